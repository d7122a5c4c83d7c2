package dns

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Type is what is asked of a name, by its number on the wire (RFC 1035, 3596, 2782).
type Type uint16

// The types that the cluster has records of.
const (
	A     Type = 1
	CNAME Type = 5
	SOA   Type = 6
	PTR   Type = 12
	TXT   Type = 16
	AAAA  Type = 28
	SRV   Type = 33
	ANY   Type = 255
)

// Record is one answer. Which fields count depends on its type. Names have no dot at
// the end.
type Record struct {
	Name    string
	Type    Type
	TTLSecs uint32
	Addr    netip.Addr // A, AAAA
	Target  string     // CNAME, PTR, SRV
	Port    uint16     // SRV
	Weight  uint16     // SRV
	Text    string     // TXT
	Serial  uint32     // SOA
}

// Answer is what is known of a name.
type Answer struct {
	Ours       bool     // else nothing is known
	Exists     bool     // else NXDOMAIN
	Records    []Record // none: NODATA
	Additional []Record
	Authority  []Record // SOA of an answer without records
	Outside    string   // the name whose addresses are asked for, after the last CNAME
}

// aliasesMax is how many aliases of the cluster may follow each other.
const aliasesMax = 8

// weights are shared by the records of an SRV answer.
const weights = 100

// Answer says what a name means. A dot at its end does not matter.
func (z *Zone) Answer(name string, of Type) Answer {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	var a Answer
	switch rest, inside := strings.CutSuffix(name, z.cfg.Domain); {
	case inside && (rest == "" || rest[len(rest)-1] == '.'):
		a = z.inside(name, strings.TrimSuffix(rest, "."), of)
	case strings.HasSuffix(name, ".in-addr.arpa") || strings.HasSuffix(name, ".ip6.arpa"):
		a = z.pointers(name, of)
	}
	if a.Ours && len(a.Records) == 0 {
		a.Authority = []Record{z.soa()}
	}
	return a
}

func (z *Zone) soa() Record {
	return Record{Name: z.cfg.Domain, Type: SOA, TTLSecs: z.cfg.TTLSecs, Serial: uint32(z.version)}
}

// question is one name asked for, with what was found.
type question struct {
	z    *Zone
	name string
	of   Type
	Answer
}

// found says that the name exists.
func (q *question) found() { q.Exists = true }

// add adds a record of the name if it is asked for.
func (q *question) add(r Record) {
	q.found()
	if q.of != r.Type && q.of != ANY && r.Type != CNAME {
		return
	}
	if r.Name == "" {
		r.Name = q.name
	}
	if r.TTLSecs == 0 {
		r.TTLSecs = q.z.cfg.TTLSecs
	}
	q.Records = append(q.Records, r)
}

func (q *question) addAddr(a netip.Addr) { q.add(Record{Type: typeOf(a), Addr: a}) }

func typeOf(a netip.Addr) Type {
	if a.Is4() {
		return A
	}
	return AAAA
}

// inside answers for a name of the cluster's domain; rest is what is before it.
func (z *Zone) inside(name, rest string, of Type) Answer {
	q := &question{z: z, name: name, of: of, Answer: Answer{Ours: true}}
	labels := strings.Split(rest, ".")
	for i, l := range labels {
		if l == "" && (i > 0 || rest != "") {
			return q.Answer
		}
	}
	switch last := labels[len(labels)-1]; {
	case rest == "":
		q.add(z.soa())
	case rest == "dns-version":
		q.add(Record{Type: TXT, Text: SchemaVersion, TTLSecs: versionTTLSecs})
	case last == "svc":
		q.services(labels[:len(labels)-1])
	case last == "pod":
		q.pods(labels[:len(labels)-1])
	}
	return q.Answer
}

// services answers for what is below svc.
func (q *question) services(labels []string) {
	n := len(labels)
	switch n {
	case 0:
		q.found()
		return
	case 1:
		prefix := labels[0] + "/"
		q.z.services.Ascend(prefix, func(key string, s *service) bool {
			if strings.HasPrefix(key, prefix) && s.visible() {
				q.found()
				return false
			}
			return strings.HasPrefix(key, prefix)
		})
		return
	}
	s, ok := q.z.services.Get(labels[n-1] + "/" + labels[n-2])
	if !ok || !s.visible() {
		return
	}
	switch {
	case s.alias != "":
		if n == 2 {
			q.alias(s)
		}
	case n == 2:
		for _, a := range s.addrs {
			q.addAddr(a)
		}
	case n == 3:
		q.host(s, labels[0])
	case n == 4:
		q.ports(s, labels[0], labels[1])
	}
}

// visible says whether a service has names at all.
func (s *service) visible() bool { return s.alias != "" || len(s.addrs) > 0 }

// host answers for an endpoint, or for the protocols above the ports.
func (q *question) host(s *service, label string) {
	at, _ := slices.BinarySearchFunc(s.hosts, label, func(h host, label string) int { return strings.Compare(h.label, label) })
	for ; at < len(s.hosts) && s.hosts[at].label == label; at++ {
		q.addAddr(s.hosts[at].addr)
	}
	if _, ok := slices.BinarySearchFunc(s.ports, label, func(p port, label string) int { return strings.Compare(p.protocol, label) }); ok {
		q.found()
	}
}

// ports answers for a port of a service.
func (q *question) ports(s *service, label, protocol string) {
	var ports []port
	at, _ := slices.BinarySearchFunc(s.ports, port{label: label, protocol: protocol}, byLabels)
	for ; at < len(s.ports) && s.ports[at].label == label && s.ports[at].protocol == protocol; at++ {
		p := s.ports[at]
		if last := len(ports) - 1; last >= 0 && p.target == ports[last].target && p.number == ports[last].number {
			continue // another address of the same name
		}
		ports = append(ports, p)
	}
	if len(ports) == 0 {
		return
	}
	q.found()
	if q.of != SRV && q.of != ANY {
		return
	}
	weight := uint16(max(weights/len(ports), 1))
	for _, p := range ports {
		q.add(Record{Type: SRV, Target: p.target, Port: p.number, Weight: weight})
	}
	beside := func(name string, a netip.Addr) {
		q.Additional = append(q.Additional, Record{Name: name, Type: typeOf(a), TTLSecs: q.z.cfg.TTLSecs, Addr: a})
	}
	if !s.headless {
		for _, a := range s.addrs {
			beside(s.name, a)
		}
		return
	}
	named := map[string]bool{}
	for _, p := range ports {
		named[p.target] = true
	}
	for _, h := range s.hosts {
		if name := h.label + "." + s.name; named[name] {
			beside(name, h.addr)
		}
	}
}

// alias follows external names for as long as they stay in the cluster.
func (q *question) alias(s *service) {
	q.add(Record{Type: CNAME, Target: s.alias})
	if q.of == CNAME {
		return
	}
	target := s.alias
	for range aliasesMax {
		rest, inside := strings.CutSuffix(target, "."+q.z.cfg.Domain)
		if target == q.name { // round in a circle, which the client will see
			return
		}
		if inside = inside || target == q.z.cfg.Domain; !inside {
			q.Outside = target
			return
		}
		if target == q.z.cfg.Domain {
			rest = ""
		}
		labels := strings.Split(rest, ".")
		if n := len(labels); n == 3 && labels[2] == "svc" {
			if next, ok := q.z.services.Get(labels[1] + "/" + labels[0]); ok && next.alias != "" {
				q.add(Record{Name: target, Type: CNAME, Target: next.alias})
				target = next.alias
				continue
			}
		}
		end := q.z.inside(target, rest, q.of)
		q.Records, q.Exists = append(q.Records, end.Records...), end.Exists
		return
	}
}

// pods answers for what is below pod: a name that is an address.
func (q *question) pods(labels []string) {
	switch len(labels) {
	case 0, 1:
		q.found()
	case 2:
		if a, ok := undashed(labels[0]); ok {
			q.addAddr(a)
		}
	}
}

// undashed is the address that a label stands for.
func undashed(label string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.ReplaceAll(label, "-", ".")); err == nil {
		return a, true
	}
	a, err := netip.ParseAddr(strings.ReplaceAll(label, "-", ":"))
	return a, err == nil && a.Is6() && !a.Is4In6() && a.Zone() == ""
}

// pointers answers for a reverse name.
func (z *Zone) pointers(name string, of Type) Answer {
	addr, ok := unreversed(name)
	if !ok {
		return Answer{}
	}
	q := &question{z: z, name: name, of: of}
	for _, n := range z.cfg.Networks {
		q.Ours = q.Ours || n.Contains(addr)
	}
	z.reverse.Ascend(pointer{addr: addr}, func(p pointer) bool {
		if p.addr != addr {
			return false
		}
		q.Ours = true
		q.add(Record{Type: PTR, Target: p.target})
		return true
	})
	return q.Answer
}

// unreversed is the address of a complete reverse name.
func unreversed(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		var b [4]byte
		labels := strings.Split(rest, ".")
		if len(labels) != len(b) {
			return netip.Addr{}, false
		}
		for i, l := range labels {
			n, err := strconv.ParseUint(l, 10, 8)
			if err != nil || len(l) > 1 && l[0] == '0' {
				return netip.Addr{}, false
			}
			b[3-i] = byte(n)
		}
		return netip.AddrFrom4(b), true
	}
	var b [16]byte
	labels := strings.Split(strings.TrimSuffix(name, ".ip6.arpa"), ".")
	if len(labels) != 2*len(b) {
		return netip.Addr{}, false
	}
	for i, l := range labels {
		n, err := strconv.ParseUint(l, 16, 4)
		if err != nil || len(l) != 1 {
			return netip.Addr{}, false
		}
		b[15-i/2] |= byte(n) << (4 * (i % 2))
	}
	return netip.AddrFrom16(b), true
}
