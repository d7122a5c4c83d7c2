package netsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Party is one end of a link: a host, by number.
type Party int32

// Latency is the one-way delay between two parties, by how far they are apart.
type Latency struct {
	SameHost  time.Duration // loopback
	SameZone  time.Duration
	CrossZone time.Duration
	// JitterPercent is by how much, at most, a message may take longer than that.
	JitterPercent int64
}

// DefaultLatency is that of a cloud region: a tenth of a millisecond inside a
// zone, half a millisecond between zones.
func DefaultLatency() Latency {
	return Latency{SameHost: 20 * time.Microsecond, SameZone: 100 * time.Microsecond, CrossZone: 500 * time.Microsecond, JitterPercent: 20}
}

// Net is the network.
type Net struct {
	latency Latency
	rand    *rand.Rand
	names   []string
	zones   []string
	byName  map[string]Party
	cuts    []cut
}

// cut is one rule: nothing passes from one of From to one of To.
type cut struct {
	from, to set
}

// set is a sorted list of parties; all when nil.
type set []Party

func (s set) has(p Party) bool {
	if s == nil {
		return true
	}
	_, ok := slices.BinarySearch(s, p)
	return ok
}

// New returns a network without parties. rand is the stream that jitter is drawn
// from.
func New(l Latency, rand *rand.Rand) *Net {
	return &Net{latency: l, rand: rand, byName: map[string]Party{}}
}

// Join adds a party; names are unique.
func (n *Net) Join(name, zone string) Party {
	if _, ok := n.byName[name]; ok {
		panic(fmt.Sprintf("netsim: party %q joined twice", name))
	}
	p := Party(len(n.names))
	n.names, n.zones = append(n.names, name), append(n.zones, zone)
	n.byName[name] = p
	return p
}

// Find returns the party of that name.
func (n *Net) Find(name string) (Party, bool) { p, ok := n.byName[name]; return p, ok }

// Name returns a party's name.
func (n *Net) Name(p Party) string { return n.names[p] }

// Delay is how long a message from a to b takes this time: the latency, and a jitter
// that is drawn anew for each message. Two messages may so overtake each other;
// whoever needs their order keeps it.
func (n *Net) Delay(a, b Party) time.Duration {
	d := n.Latency(a, b)
	if spread := int64(d) * n.latency.JitterPercent / 100; spread > 0 {
		d += time.Duration(n.rand.Uint64() % uint64(spread+1))
	}
	return d
}

// Latency is the least one-way delay from a to b.
func (n *Net) Latency(a, b Party) time.Duration {
	switch {
	case a == b:
		return n.latency.SameHost
	case n.zones[a] == n.zones[b]:
		return n.latency.SameZone
	}
	return n.latency.CrossZone
}

// Up says whether a message from a reaches b.
func (n *Net) Up(a, b Party) bool {
	if a == b {
		return true
	}
	for _, c := range n.cuts {
		if c.from.has(a) && c.to.has(b) {
			return false
		}
	}
	return true
}

// Connected says whether a connection between a and b works: both directions.
func (n *Net) Connected(a, b Party) bool {
	return len(n.cuts) == 0 || n.Up(a, b) && n.Up(b, a)
}

// Isolate cuts a party from all others, both ways.
func (n *Net) Isolate(p Party) {
	n.cuts = append(n.cuts, cut{set{p}, nil}, cut{nil, set{p}})
}

// Cut stops everything from one of a to one of b, and unless oneWay the reverse.
func (n *Net) Cut(a, b []Party, oneWay bool) {
	n.cuts = append(n.cuts, cut{sorted(a), sorted(b)})
	if !oneWay {
		n.cuts = append(n.cuts, cut{sorted(b), sorted(a)})
	}
}

// Rejoin takes back every cut that names a party of its own, as Isolate does.
func (n *Net) Rejoin(p Party) {
	alone := func(s set) bool { return len(s) == 1 && s[0] == p }
	n.cuts = slices.DeleteFunc(n.cuts, func(c cut) bool {
		return alone(c.from) && c.to == nil || c.from == nil && alone(c.to)
	})
}

// Heal takes back the cuts between a and b: both ways, or from a to b only.
func (n *Net) Heal(a, b []Party, oneWay bool) {
	x, y := sorted(a), sorted(b)
	n.cuts = slices.DeleteFunc(n.cuts, func(c cut) bool {
		there := slices.Equal(c.from, x) && slices.Equal(c.to, y)
		back := slices.Equal(c.from, y) && slices.Equal(c.to, x)
		return there || back && !oneWay
	})
}

func sorted(p []Party) set {
	s := slices.Clone(p)
	slices.Sort(s)
	return slices.Compact(s)
}

// HealAll takes back every cut.
func (n *Net) HealAll() { n.cuts = nil }
