package gossip

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	eventMax   = 20 * time.Second // that a test waits for what must come
	childWants = "SEATRIAL_GOSSIP_CHILD"
)

// TestMain is also the member that a test kills: "name address join".
func TestMain(m *testing.M) {
	child := os.Getenv(childWants)
	if child == "" {
		os.Exit(m.Run())
	}
	f := strings.Fields(child)
	_, err := Start(context.Background(), Config{
		Name: f[0], BindAddr: netip.MustParseAddr(f[1]), Join: f[2:], Key: testKey, Role: Agent,
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	select {}
}

var testKey = bytes.Repeat([]byte("k"), KeyBytes)

// loopback is an address for each test and member: 127.0.0.0/8 is all this machine's.
func loopback(t testing.TB, i int) netip.Addr {
	n := os.Getpid()
	for _, c := range t.Name() {
		n = n*31 + int(c)
	}
	return netip.AddrFrom4([4]byte{127, byte(1 + n>>8&127), byte(n), byte(10 + i)})
}

func at(a netip.Addr) string { return netip.AddrPortFrom(a, DefaultPort).String() }

type reports struct {
	mu   sync.Mutex
	list []string
	news chan struct{}
}

func newReports() *reports { return &reports{news: make(chan struct{}, 1)} }

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, err.Error())
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// expect waits for a report that has the words.
func (r *reports) expect(t testing.TB, words string) {
	deadline := time.After(eventMax)
	for {
		r.mu.Lock()
		all := strings.Join(r.list, "\n")
		r.mu.Unlock()
		if strings.Contains(all, words) {
			return
		}
		select {
		case <-r.news:
		case <-deadline:
			t.Fatalf("no report says %q, but:\n%s", words, all)
		}
	}
}

func newMember(t testing.TB, name string, i int, change func(*Config)) *Member {
	c := Config{Name: name, BindAddr: loopback(t, i), Key: testKey, Role: Agent}
	if change != nil {
		change(&c)
	}
	m, err := Start(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return m
}

// expect waits for an event of the node; others before it may come.
func expect(t testing.TB, m *Member, kind Kind, node string) Event {
	t.Helper()
	var seen []string
	deadline := time.After(eventMax)
	for {
		select {
		case e, ok := <-m.Events():
			require.True(t, ok, "closed")
			if e.Kind == kind && e.Node == node {
				return e
			}
			seen = append(seen, e.String())
		case <-deadline:
			t.Fatalf("%s waits for %s %s; saw %s", m.config.Name, kind, node, seen)
		}
	}
}

func names(m *Member) (out []string) {
	for _, n := range m.Members() {
		out = append(out, n.Name+"/"+n.Role)
	}
	return out
}

func TestMembersComeAndLeave(t *testing.T) {
	server := newMember(t, "server-0", 0, func(c *Config) { c.Role = Server })
	join := func(c *Config) { c.Join = []string{at(loopback(t, 0))} }
	a := newMember(t, "a", 1, join)
	b := newMember(t, "b", 2, join)
	got := map[string]Event{}
	for len(got) < 2 { // in any order
		e := <-server.Events()
		got[e.Node] = e
	}
	require.Equal(t, Event{Kind: Joined, Node: "b", Addr: netip.AddrPortFrom(loopback(t, 2), DefaultPort), Role: Agent}, got["b"])
	expect(t, a, Joined, "b")
	expect(t, b, Joined, "a") // else it could not say farewell
	require.Equal(t, []string{"a/agent", "b/agent", "server-0/server"}, names(server))

	require.NoError(t, b.Leave())
	expect(t, server, Left, "b")
	expect(t, a, Left, "b")
	require.Equal(t, []string{"a/agent", "server-0/server"}, names(server))

	newMember(t, "b", 3, join) // from another address
	require.Equal(t, loopback(t, 3), expect(t, server, Joined, "b").Addr.Addr())
	b.Close()
	require.NoError(t, a.Leave())
}

func TestJoinIsTriedUntilSomebodyAnswers(t *testing.T) {
	var r = newReports()
	a := newMember(t, "a", 1, func(c *Config) {
		c.Join, c.Report = []string{at(loopback(t, 0))}, r.add
	})
	r.expect(t, "joining "+at(loopback(t, 0)))
	newMember(t, "server-0", 0, nil)
	expect(t, a, Joined, "server-0")
}

// TestKilledMemberIsNoticed is the figure that the settings are for.
func TestKilledMemberIsNoticed(t *testing.T) {
	server := newMember(t, "server-0", 0, nil)
	join := at(loopback(t, 0))
	others := []*Member{server}
	for i := range 3 {
		others = append(others, newMember(t, fmt.Sprintf("n%d", i), 1+i, func(c *Config) { c.Join = []string{join} }))
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), fmt.Sprintf("%s=victim %s %s", childWants, loopback(t, 9), join))
	child.Stdout, child.Stderr = os.Stderr, os.Stderr
	require.NoError(t, child.Start())
	t.Cleanup(func() { child.Process.Kill() })
	for _, m := range others {
		expect(t, m, Joined, "victim")
	}
	begin := time.Now()
	require.NoError(t, child.Process.Kill())
	child.Wait()
	for _, m := range others {
		expect(t, m, Failed, "victim")
		t.Logf("%s noticed after %v", m.config.Name, time.Since(begin).Round(time.Millisecond))
	}
	require.Less(t, time.Since(begin), 7*time.Second)
	require.Len(t, server.Members(), 4)
}

func TestOneNameTwice(t *testing.T) {
	server := newMember(t, "server-0", 0, nil)
	join := func(c *Config) { c.Join = []string{at(loopback(t, 0))} }
	newMember(t, "a", 1, join)
	expect(t, server, Joined, "a")
	second := newMember(t, "a", 2, join)
	e := expect(t, server, Clashed, "a")
	require.Equal(t, loopback(t, 1), e.Addr.Addr())
	require.Equal(t, loopback(t, 2), e.Other.Addr())
	require.Contains(t, e.String(), "two members are named a")
	e = expect(t, second, Clashed, "a") // the second learns it too
	require.Equal(t, loopback(t, 2), e.Addr.Addr())
}

func TestWithoutTheKeyNobodyGetsIn(t *testing.T) {
	var r, other = newReports(), newReports()
	server := newMember(t, "server-0", 0, func(c *Config) { c.Report = r.add })
	newMember(t, "thief", 1, func(c *Config) {
		c.Key, c.Join, c.Report = bytes.Repeat([]byte("x"), KeyBytes), []string{at(loopback(t, 0))}, other.add
	})
	other.expect(t, "joining")

	c, err := net.Dial("udp", at(loopback(t, 0)))
	require.NoError(t, err)
	defer c.Close()
	for i := range 200 {
		_, err := c.Write(bytes.Repeat([]byte{byte(i)}, i))
		require.NoError(t, err)
	}
	r.expect(t, "ecrypt") // said, and no more
	newMember(t, "a", 2, func(c *Config) { c.Join = []string{at(loopback(t, 0))} })
	expect(t, server, Joined, "a")
	require.Equal(t, []string{"a/agent", "server-0/agent"}, names(server))
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Name: "a", BindAddr: netip.MustParseAddr("127.0.0.1"), Key: testKey, Role: Agent}
	for want, change := range map[string]func(*Config){
		"the key has 0 bytes: want 32":            func(c *Config) { c.Key = nil },
		"the key has 16 bytes":                    func(c *Config) { c.Key = testKey[:16] },
		`name ""`:                                 func(c *Config) { c.Name = "" },
		`name "a/b"`:                              func(c *Config) { c.Name = "a/b" },
		`role "king": want server or agent`:       func(c *Config) { c.Role = "king" },
		"port 70000":                              func(c *Config) { c.Port = 70000 },
		"say with Advertise":                      func(c *Config) { c.BindAddr = netip.Addr{} },
		`join "10.0.0.1": want host:port`:         func(c *Config) { c.Join = []string{"10.0.0.1"} },
		"65 addresses to join: want at most 64":   func(c *Config) { c.Join = make([]string, joinMax+1) },
		"listening on 203.0.113.1:7946":           func(c *Config) { c.BindAddr = netip.MustParseAddr("203.0.113.1") },
		`address to join "x:0": want host:port, `: func(c *Config) { c.Join = []string{"x:0"} },
	} {
		c := good
		change(&c)
		_, err := Start(context.Background(), c)
		require.ErrorContains(t, err, want)
	}
}
