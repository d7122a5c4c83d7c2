package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	farewellPrefix = "leave "
	clashEvery     = 30 * time.Second // between two reports of one clash
)

// delegate is the member as memberlist calls it: with its lock held, so nothing here
// may call it back or wait.
type delegate struct{ m *Member }

func (d delegate) NodeMeta(int) []byte { return []byte(d.m.config.Role + " " + d.m.life) }

func (delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (delegate) LocalState(bool) []byte          { return nil }
func (delegate) MergeRemoteState([]byte, bool)   {}

// NotifyAlive is asked before a member is taken in.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if n.Name == m.config.Name || m.known[n.Name] != nil {
		return nil
	}
	if len(n.Name) > nameBytes {
		return fmt.Errorf("its name is longer than %d characters", nameBytes)
	}
	if len(m.known) >= membersMax {
		return fmt.Errorf("%d members are known, which is the limit", membersMax)
	}
	return nil
}

func (d delegate) NotifyJoin(n *memberlist.Node) { d.m.came(n) }

// NotifyUpdate is told of a member that died and came back before it was missed.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.m.came(n) }

func (m *Member) came(n *memberlist.Node) {
	if n.Name == m.config.Name {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.known[n.Name]
	if r == nil {
		r = &record{}
		m.known[n.Name] = r
	}
	_, life := readMeta(n.Meta)
	r.Node, r.life, r.state, r.since = nodeOf(n), life, Joined, time.Now()
	m.queue.put(Event{Kind: Joined, Node: r.Name, Addr: r.Addr, Role: r.Role})
}

func (d delegate) NotifyLeave(n *memberlist.Node) {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.known[n.Name]; r != nil {
		if r.leaves == r.life {
			m.gone(r, Left)
		} else {
			m.gone(r, Failed)
		}
	}
}

func (m *Member) gone(r *record, kind Kind) {
	r.state, r.since = kind, time.Now()
	m.queue.put(Event{Kind: kind, Node: r.Name, Addr: r.Addr, Role: r.Role})
}

// NotifyMsg takes a farewell. It may come after the death that it explains.
func (d delegate) NotifyMsg(message []byte) {
	rest, ok := bytes.CutPrefix(message, []byte(farewellPrefix))
	life, name, found := strings.Cut(string(rest), " ")
	if !ok || !found {
		d.m.config.Report(fmt.Errorf("gossip: a message of %d bytes that is none of ours; is another program's key the same?", len(message)))
		return
	}
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.known[name]
	if r == nil || r.life != life {
		return // of an earlier process
	}
	r.leaves = life
	if r.state == Failed {
		m.gone(r, Left)
	}
}

// NotifyConflict is told of two members with one name, by each message of the second.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.known[existing.Name]
	if r == nil {
		// It is this member's own name, or one that is just coming in.
		r = &record{Node: nodeOf(existing), state: Joined, since: time.Now()}
		if existing.Name != m.config.Name {
			return
		}
		m.known[existing.Name] = r
	}
	if time.Since(r.clash) < clashEvery {
		return
	}
	r.clash = time.Now()
	m.queue.put(Event{Kind: Clashed, Node: r.Name, Addr: nodeOf(existing).Addr, Other: nodeOf(other).Addr, Role: nodeOf(existing).Role})
}

func nodeOf(n *memberlist.Node) Node {
	ip, _ := netip.AddrFromSlice(n.Addr)
	role, _ := readMeta(n.Meta)
	return Node{Name: n.Name, Addr: netip.AddrPortFrom(ip.Unmap(), n.Port), Role: role}
}

func readMeta(meta []byte) (role, life string) {
	role, life, _ = strings.Cut(string(meta), " ")
	return role, life
}

// complaints takes memberlist's log: what is wrong is reported, the rest dropped.
// Anyone can make it complain by sending rubbish, so it reports no more than
// reportsMax lines each reportEvery.
type complaints struct {
	report func(error)

	mu      sync.Mutex
	begin   time.Time
	count   int
	dropped int
}

func (c *complaints) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	rest, wrong := strings.CutPrefix(text, "[ERR] ")
	if !wrong {
		if rest, wrong = strings.CutPrefix(text, "[WARN] "); !wrong {
			return len(line), nil
		}
	}
	if strings.Contains(rest, "Refuting an alive message") {
		return len(line), nil // others had this host as it was before it was started again
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.begin) >= reportEvery {
		if c.dropped > 0 {
			c.report(fmt.Errorf("gossip: %d more complaints like the last ones", c.dropped))
		}
		c.begin, c.count, c.dropped = now, 0, 0
	}
	if c.count++; c.count > reportsMax {
		c.dropped++
		return len(line), nil
	}
	c.report(errors.New("gossip: " + strings.TrimPrefix(rest, "memberlist: ")))
	return len(line), nil
}
