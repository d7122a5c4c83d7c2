package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
)

// advance lets the virtual time of a synctest bubble pass.
func advance(d time.Duration) { <-time.After(d) }

// wire joins transports within the process, until it is cut.
type wire struct {
	mu    sync.Mutex
	ports map[string]*port
	cut   func(from, to string) bool
}

// port is one member's end. Once that member is closed nobody reads here: what comes
// then is dropped or refused, as by a socket. A send that waited for a reader would wait
// for ever, while the tickers of the other members keep virtual time running.
type port struct {
	wire    *wire
	at      netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
	down    chan struct{}
	close   sync.Once
}

func (w *wire) port(ip string) *port {
	p := &port{
		wire: w, at: netip.AddrPortFrom(netip.MustParseAddr(ip), DefaultPort),
		packets: make(chan *memberlist.Packet, 1000), streams: make(chan net.Conn, 100),
		down: make(chan struct{}),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ports[p.at.String()] = p
	return p
}

func (w *wire) reach(from, to string) *port {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut != nil && w.cut(from, to) {
		return nil
	}
	return w.ports[to]
}

func (w *wire) set(cut func(from, to string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (p *port) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return p.at.Addr().AsSlice(), int(p.at.Port()), nil
}

func (p *port) WriteTo(b []byte, addr string) (time.Time, error) {
	if to := p.wire.reach(p.at.String(), addr); to != nil {
		select {
		case to.packets <- &memberlist.Packet{Buf: append([]byte(nil), b...), From: net.UDPAddrFromAddrPort(p.at), Timestamp: time.Now()}:
		default: // full: lost, as on a real wire
		}
	}
	return time.Now(), nil
}

func (p *port) PacketCh() <-chan *memberlist.Packet { return p.packets }

func (p *port) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to := p.wire.reach(p.at.String(), addr)
	if to == nil || p.wire.reach(addr, p.at.String()) == nil {
		advance(timeout)
		return nil, errors.New("no answer")
	}
	mine, theirs := net.Pipe()
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-to.down: // before the next, which may have room
		return nil, errors.New("refused")
	default:
	}
	select {
	case to.streams <- theirs:
		return mine, nil
	case <-to.down:
		return nil, errors.New("refused")
	case <-late.C:
		return nil, errors.New("no answer")
	}
}

func (p *port) StreamCh() <-chan net.Conn { return p.streams }

func (p *port) Shutdown() error {
	p.close.Do(func() { close(p.down) })
	return nil
}

// bubble is n members on a wire, in virtual time.
func bubble(t *testing.T, n int) (*wire, []*Member) {
	w := &wire{ports: map[string]*port{}}
	var all []*Member
	for i := range n {
		ip := fmt.Sprintf("10.0.0.%d", i+1)
		m, err := start(context.Background(), Config{
			Name: fmt.Sprintf("n%d", i), BindAddr: netip.MustParseAddr(ip), Key: testKey, Role: Agent, Join: []string{"10.0.0.1:7946"},
		}, w.port(ip))
		require.NoError(t, err)
		all = append(all, m)
	}
	begin := time.Now()
	for !whole(all) {
		if time.Since(begin) > time.Minute {
			shut(all)
			t.Fatal("they do not find each other")
		}
		advance(100 * time.Millisecond)
	}
	t.Logf("%d members knew each other after %v", n, time.Since(begin))
	return w, all
}

func whole(all []*Member) bool {
	for _, m := range all {
		if len(m.Members()) < len(all) {
			return false
		}
	}
	return true
}

// shut closes all at once, as one by one the rest would go on missing those that are
// closed, and lets what they still wait for time out.
func shut(all []*Member) {
	var closing sync.WaitGroup
	for _, m := range all {
		closing.Go(m.Close)
	}
	closing.Wait()
	advance(2 * streamTimeout)
}

// TestHalvesJoinAgain cuts for longer than the dead are talked to.
func TestHalvesJoinAgain(t *testing.T) {
	for _, cut := range []time.Duration{10 * time.Second, deadGossip + 5*time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w, all := bubble(t, 6)
			defer shut(all)
			left := func(a string) bool { return a < "10.0.0.4" }
			w.set(func(from, to string) bool { return left(from) != left(to) })
			advance(cut)
			for _, m := range all {
				require.Len(t, m.Members(), 3)
			}
			w.set(nil)
			begin := time.Now()
			for !whole(all) {
				require.Less(t, time.Since(begin), 30*time.Second, "still apart")
				advance(100 * time.Millisecond)
			}
			t.Logf("cut %v: whole again after %v", cut, time.Since(begin))
		})
	}
}

// TestFailureIsNoticedInTime kills one of many, by size of the cluster. The draws are
// memberlist's own, so the limit is above what doc.go says.
func TestFailureIsNoticedInTime(t *testing.T) {
	for _, n := range []int{2, 3, 5, 10, 30} {
		synctest.Test(t, func(t *testing.T) {
			w, all := bubble(t, n)
			defer shut(all)
			dead := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), DefaultPort).String()
			w.set(func(from, to string) bool { return from == dead || to == dead })
			begin := time.Now()
			for all[0].has(fmt.Sprintf("n%d", n-1)) {
				require.Less(t, time.Since(begin), 10*time.Second, "of %d hosts", n)
				advance(100 * time.Millisecond)
			}
			t.Logf("%d hosts: noticed after %v", n, time.Since(begin))
		})
	}
}

// TestShortSilenceIsNoFailure holds the other side of the settings.
func TestShortSilenceIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, all := bubble(t, 10)
		defer shut(all)
		for range 20 {
			w.set(func(from, to string) bool { return from == "10.0.0.5:7946" || to == "10.0.0.5:7946" })
			advance(1500 * time.Millisecond)
			w.set(nil)
			advance(3 * time.Second)
			for _, m := range all {
				require.Len(t, m.Members(), 10)
			}
		}
	})
}

func (m *Member) has(name string) bool {
	for _, n := range m.Members() {
		if n.Name == name {
			return true
		}
	}
	return false
}
