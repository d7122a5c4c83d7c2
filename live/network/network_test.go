package network

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: network namespaces and devices need root, which this user is not")
	}
}

// within runs f on a thread in the network namespace, which ends with it.
func within(t testing.TB, file string, f func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		runtime.LockOSThread()
		ns, err := netns.GetFromPath(file)
		if err != nil {
			return
		}
		defer ns.Close()
		if err = netns.Set(ns); err == nil {
			f()
		}
	}()
	require.NoError(t, <-done)
}

// newNetns makes a namespace that is gone after the test.
func newNetns(t testing.TB, name string) (file string) {
	file = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, "")
		}
		done <- err
	}()
	require.NoError(t, <-done)
	t.Cleanup(func() { require.NoError(t, unix.Unmount(file, unix.MNT_DETACH)) })
	return file
}

// machine is what must be the same before and after: devices and bound namespaces. Those
// of labs that others have up meanwhile are theirs.
func machine(t testing.TB) (out []string) {
	links, err := Links()
	require.NoError(t, err)
	for _, l := range links {
		if name := l.Attrs().Name; !strings.HasPrefix(name, "st-") {
			out = append(out, name)
		}
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	raw, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, " nsfs ") && strings.Contains(line, test) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// link puts a host on the switch, under an address of the link between hosts.
func link(t testing.TB, sw, host, name, address string) {
	target, err := netns.GetFromPath(host)
	require.NoError(t, err)
	defer target.Close()
	within(t, sw, func() {
		br, err := netlink.LinkByName("switch0")
		if err != nil {
			require.NoError(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "switch0"}}))
			br, err = netlink.LinkByName("switch0")
			require.NoError(t, err)
			require.NoError(t, netlink.LinkSetUp(br))
		}
		v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: br.Attrs().Index}, PeerName: "uplink", PeerNamespace: netlink.NsFd(int(target))}
		require.NoError(t, netlink.LinkAdd(v))
		require.NoError(t, netlink.LinkSetUp(v))
	})
	within(t, host, func() {
		l, err := netlink.LinkByName("uplink")
		require.NoError(t, err)
		a, err := netlink.ParseAddr(address + "/24")
		require.NoError(t, err)
		require.NoError(t, netlink.AddrAdd(l, a))
		require.NoError(t, netlink.LinkSetUp(l))
	})
}

func setup(t testing.TB, ns string, h Host) (n *Network) {
	h.Dir, h.NetnsDir = filepath.Join(filepath.Dir(ns), "state"), filepath.Join(filepath.Dir(ns), "pods")
	t.Cleanup(func() { // after a failure there may be some
		entries, _ := os.ReadDir(h.NetnsDir)
		for _, e := range entries {
			_ = removeNetns(filepath.Join(h.NetnsDir, e.Name()))
		}
	})
	within(t, ns, func() {
		var err error
		n, err = Setup(h)
		require.NoError(t, err)
	})
	return n
}

// reach sends a word from one pod to another and back, and returns whom the other saw.
func reach(t testing.TB, from, to Pod) (seen string) {
	var l net.Listener
	within(t, to.Netns, func() {
		var err error
		l, err = net.Listen("tcp4", to.IP.String()+":0")
		require.NoError(t, err)
	})
	defer l.Close()
	answered := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			answered <- err.Error()
			return
		}
		defer c.Close()
		io.Copy(c, io.LimitReader(c, 5))
		answered <- c.RemoteAddr().(*net.TCPAddr).IP.String()
	}()
	within(t, from.Netns, func() {
		c, err := net.DialTimeout("tcp4", l.Addr().String(), 5*time.Second)
		require.NoError(t, err, "from %s to %s", from.IP, to.IP)
		defer c.Close()
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		got := make([]byte, 5)
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
	})
	return <-answered
}

func TestTwoHosts(t *testing.T) {
	needRoot(t)
	for _, mode := range []Mode{Direct, VXLAN} {
		t.Run(string(mode), func(t *testing.T) {
			before := machine(t)
			t.Cleanup(func() { require.Equal(t, before, machine(t), "something is left over") })
			sw, one, two := newNetns(t, "switch"), newNetns(t, "one"), newNetns(t, "two")
			link(t, sw, one, "to-one", "10.99.0.1")
			link(t, sw, two, "to-two", "10.99.0.2")
			hosts := []Host{
				{PodCIDR: netip.MustParsePrefix("10.244.1.0/24"), NodeIP: netip.MustParseAddr("10.99.0.1"), Mode: mode},
				{PodCIDR: netip.MustParsePrefix("10.244.2.0/24"), NodeIP: netip.MustParseAddr("10.99.0.2"), Mode: mode},
			}
			a, b := setup(t, one, hosts[0]), setup(t, two, hosts[1])
			routes := []NodeRoute{{hosts[0].PodCIDR, hosts[0].NodeIP}, {hosts[1].PodCIDR, hosts[1].NodeIP}}
			for range 2 { // the second time there is nothing to do
				require.NoError(t, a.SetRoutes(routes))
				require.NoError(t, b.SetRoutes(routes))
			}
			a1, a2, b1 := add(t, a, "a-1"), add(t, a, "a-2"), add(t, b, "b-1")
			require.Equal(t, map[Mode]int{Direct: 1500, VXLAN: 1450}[mode], a.MTU())
			for _, pair := range [][2]Pod{{a1, a2}, {a1, b1}, {b1, a2}} {
				require.Equal(t, pair[0].IP.String(), reach(t, pair[0], pair[1]), "the address must not be translated")
			}
			reach(t, a1, Pod{IP: a.Gateway(), Netns: one})

			// A host moves, and moves back.
			moved := []NodeRoute{{hosts[1].PodCIDR, netip.MustParseAddr("10.99.0.3")}}
			require.NoError(t, a.SetRoutes(moved))
			require.Equal(t, []string{"10.244.2.0/24"}, ours(t, a))
			require.NoError(t, a.SetRoutes(nil))
			require.Empty(t, ours(t, a))
			require.NoError(t, a.SetRoutes(routes))
			reach(t, a1, b1)

			// The agent starts anew.
			a.Close()
			a = setup(t, one, hosts[0])
			require.Equal(t, []Pod{a1, a2}, a.Pods())
			require.Equal(t, a1, add(t, a, "a-1"))
			reach(t, b1, a1)
			require.NoError(t, a.Sweep([]string{"a-2"}))
			require.Equal(t, []Pod{a2}, a.Pods())
			require.NoFileExists(t, a1.Netns)
			require.NoError(t, a.DelPod("a-1"), "twice is no error")

			require.NoError(t, a.Remove())
			require.NoError(t, b.Remove())
			for _, ns := range []string{one, two} {
				within(t, ns, func() {
					links, err := Links()
					require.NoError(t, err)
					require.Len(t, links, 2, "lo and the uplink")
				})
			}
		})
	}
}

func add(t testing.TB, n *Network, uid string) Pod {
	p, err := n.AddPod(uid)
	require.NoError(t, err)
	return p
}

func ours(t *testing.T, n *Network) (out []string) {
	list, err := n.handle.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	require.NoError(t, err)
	for _, r := range list {
		out = append(out, r.Dst.String())
	}
	return out
}

// TestAPodThatIsHalfThereIsMadeWhole has what a crash in AddPod may leave.
func TestAPodThatIsHalfThereIsMadeWhole(t *testing.T) {
	needRoot(t)
	before := machine(t)
	t.Cleanup(func() { require.Equal(t, before, machine(t)) })
	n := setup(t, newNetns(t, "host"), Host{PodCIDR: netip.MustParsePrefix("10.244.1.0/24")})
	p, other := add(t, n, "a"), add(t, n, "b")
	require.NoError(t, n.handle.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: deviceOf("a")}}))
	require.Equal(t, p, add(t, n, "a"))
	require.NoError(t, removeNetns(p.Netns))
	require.Equal(t, p, add(t, n, "a"))
	require.NoError(t, removeNetns(p.Netns))
	require.NoError(t, os.WriteFile(p.Netns, nil, 0o600))
	require.Equal(t, p, add(t, n, "a"))
	reach(t, p, other)
	for _, uid := range []string{"", "../a", "a/b", "-a", strings.Repeat("a", 101)} {
		_, err := n.AddPod(uid)
		require.ErrorContains(t, err, "pod UID")
		require.ErrorContains(t, n.DelPod(uid), "pod UID")
	}
	require.Equal(t, Masquerade{Source: n.host.PodCIDR, ExceptTo: []netip.Prefix{n.host.PodCIDR}}, n.Masquerade())
	require.NoError(t, n.Remove())
}

// TestManyPodsAtOnce has a node's usual most.
func TestManyPodsAtOnce(t *testing.T) {
	needRoot(t)
	n := setup(t, newNetns(t, "host"), Host{PodCIDR: netip.MustParsePrefix("10.244.1.0/24")})
	pods := make([]Pod, 110)
	var all sync.WaitGroup
	start := time.Now()
	for i := range pods {
		all.Go(func() {
			var err error
			pods[i], err = n.AddPod(fmt.Sprintf("pod-%d", i))
			assert.NoError(t, err)
		})
	}
	all.Wait()
	t.Logf("%d pods in %v", len(pods), time.Since(start))
	seen := map[netip.Addr]bool{}
	for _, p := range pods {
		seen[p.IP] = true
	}
	require.Len(t, seen, len(pods))
	reach(t, pods[0], pods[109])
	start = time.Now()
	require.NoError(t, n.Sweep(nil))
	t.Logf("swept in %v", time.Since(start))
	require.Empty(t, n.Pods())
	require.NoError(t, n.Remove())
}

func TestAddresses(t *testing.T) {
	dir, cidr := t.TempDir(), netip.MustParsePrefix("10.0.0.0/29")
	a, err := openAddresses(dir, cidr)
	require.NoError(t, err)
	for i, want := range []string{"10.0.0.2", "10.0.0.3", "10.0.0.4"} {
		ip, err := a.take(fmt.Sprint(i))
		require.NoError(t, err)
		require.Equal(t, want, ip.String())
	}
	require.NoError(t, a.giveBack("1"))
	require.NoError(t, a.giveBack("1"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "10.0.0.5"), nil, 0o600), "as a crash of the host leaves it")

	// Two processes on one folder: none is handed out twice.
	b, err := openAddresses(dir, cidr)
	require.NoError(t, err)
	ip, err := b.take("0")
	require.NoError(t, err)
	require.Equal(t, "10.0.0.2", ip.String())
	seen := map[netip.Addr]bool{}
	for i, x := range []*addresses{b, a, b} {
		ip, err := x.take(fmt.Sprint("new", i))
		require.NoError(t, err)
		require.False(t, seen[ip], "%s is handed out twice", ip)
		seen[ip] = true
	}
	require.Len(t, seen, 3)
	require.True(t, seen[netip.MustParseAddr("10.0.0.3")], "the one given back, last of all")
	for _, x := range []*addresses{a, b} {
		_, err = x.take("more")
		require.ErrorIs(t, err, ErrRangeUsedUp)
	}
	require.NoError(t, b.giveBack("new2"))
	_, err = b.take("more")
	require.NoError(t, err)
}

func TestHostIsChecked(t *testing.T) {
	good := Host{PodCIDR: netip.MustParsePrefix("10.0.0.0/24"), Dir: "x"}
	for want, change := range map[string]func(*Host){
		"pod CIDR":             func(h *Host) { h.PodCIDR = netip.MustParsePrefix("10.0.0.0/30") },
		"want an IPv4 range":   func(h *Host) { h.PodCIDR = netip.MustParsePrefix("fd00::/64") },
		"mode":                 func(h *Host) { h.Mode = "gre" },
		"VXLAN wants the host": func(h *Host) { h.Mode = VXLAN },
		"MTU 10":               func(h *Host) { h.MTU = 10 },
		"bridge":               func(h *Host) { h.Bridge = "a-name-that-is-too-long" },
		"dir":                  func(h *Host) { h.Dir = "" },
	} {
		h := good
		change(&h)
		_, err := Setup(h)
		require.ErrorContains(t, err, want)
	}
}

func BenchmarkAddPod(b *testing.B) {
	needRoot(b)
	n := setup(b, newNetns(b, "host"), Host{PodCIDR: netip.MustParsePrefix("10.244.0.0/16")})
	defer func() { require.NoError(b, n.Remove()) }()
	var took []time.Duration
	i := 0
	for b.Loop() {
		start := time.Now()
		add(b, n, fmt.Sprintf("pod-%d", i))
		took = append(took, time.Since(start))
		if i++; i%110 == 0 { // as many as a node has
			b.StopTimer()
			require.NoError(b, n.Sweep(nil))
			b.StartTimer()
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(took[len(took)*9/10].Microseconds()), "p90-µs")
}

// TestBadRouteKeepsNoOther: one node's address that is on no link does not keep the ways
// to all others from being made.
func TestBadRouteKeepsNoOther(t *testing.T) {
	needRoot(t)
	sw, one := newNetns(t, "switch"), newNetns(t, "one")
	link(t, sw, one, "to-one", "10.99.0.1")
	n := setup(t, one, Host{PodCIDR: netip.MustParsePrefix("10.244.1.0/24"), NodeIP: netip.MustParseAddr("10.99.0.1")})
	routes := []NodeRoute{{netip.MustParsePrefix("10.244.2.0/24"), netip.MustParseAddr("203.0.113.1")}}
	for i := range 16 {
		routes = append(routes, NodeRoute{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(10 + i), 0}), 24), netip.AddrFrom4([4]byte{10, 99, 0, byte(10 + i)})})
	}
	err := n.SetRoutes(routes)
	require.ErrorContains(t, err, "route to 10.244.2.0/24 by 203.0.113.1")
	require.Len(t, ours(t, n), 16)
	require.NoError(t, n.Remove())
}

// TestPodsAreNoRouters: neither the host nor another pod takes a pod for an IPv6 router.
func TestPodsAreNoRouters(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		t.Skip("NOT RUN: the kernel has no IPv6")
	}
	for _, mode := range []Mode{Direct, VXLAN} {
		sw, one := newNetns(t, "switch"), newNetns(t, "one")
		link(t, sw, one, "to-one", "10.99.0.1")
		n := setup(t, one, Host{PodCIDR: netip.MustParsePrefix("10.244.1.0/24"), NodeIP: netip.MustParseAddr("10.99.0.1"), Mode: mode})
		p := add(t, n, "a-1")
		said := func(ns, file string) (text string) {
			within(t, ns, func() {
				raw, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + file)
				require.NoError(t, err)
				text = strings.TrimSpace(string(raw))
			})
			return text
		}
		require.Equal(t, "1", said(one, DefaultBridge+"/disable_ipv6"))
		if mode == VXLAN {
			require.Equal(t, "1", said(one, n.vxlanName()+"/disable_ipv6"))
		}
		require.Equal(t, "0", said(p.Netns, podDevice+"/accept_ra"))
		require.NoError(t, n.Remove())
	}
}
