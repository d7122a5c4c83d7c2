package iptables

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// needRoot skips a test where network namespaces cannot be made, and installs iptables
// where it is missing. It is the one place that changes the machine.
func needRoot(t testing.TB) {
	skip := func(why string) {
		fmt.Fprintf(os.Stderr, "\n*** %s DID NOT RUN: %s\n\n", t.Name(), why)
		t.Skip(why)
	}
	if os.Geteuid() != 0 {
		skip("rules of a kernel can be tested by root only")
	}
	installOnce.Do(func() {
		if _, err := exec.LookPath("iptables-nft"); err != nil {
			out, err := exec.Command("apt-get", "install", "-y", "iptables").CombinedOutput()
			if err != nil {
				installError = fmt.Sprintf("iptables is not here and cannot be installed: %v: %s", err, out)
			}
		}
	})
	if installError != "" {
		skip(installError)
	}
	h, err := makeNetns()
	if err != nil {
		skip(fmt.Sprintf("no network namespace can be made: %v", err))
	}
	h.Close()
}

var (
	installOnce  sync.Once
	installError string
)

// makeNetns makes a namespace that goes with its last handle: nothing is left behind.
func makeNetns() (h netns.NsHandle, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		if h, err = netns.New(); err != nil {
			return
		}
	}()
	<-done
	return h, err
}

// machine is a network namespace: a host or a pod.
type machine struct {
	t    testing.TB
	name string
	path string
	link *netlink.Handle
	ns   netns.NsHandle
}

func newMachine(t testing.TB, name string) *machine {
	ns, err := makeNetns()
	require.NoError(t, err)
	link, err := netlink.NewHandleAt(ns)
	require.NoError(t, err)
	m := &machine{t: t, name: name, ns: ns, link: link, path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(ns))}
	t.Cleanup(func() {
		link.Close()
		ns.Close()
	})
	lo, err := link.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, link.LinkSetUp(lo))
	return m
}

func (m *machine) run(do func() error) { require.NoError(m.t, inNetns(m.path, do)) }

func (m *machine) sysctl(name, value string) {
	m.run(func() error {
		return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0o644)
	})
}

// wire joins two machines by a cable.
func wire(a, b *machine, nameA, nameB string) {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: nameA, MTU: 1500}, PeerName: nameB, PeerNamespace: netlink.NsFd(b.ns)}
	require.NoError(a.t, a.link.LinkAdd(veth))
	a.up(nameA)
	b.up(nameB)
}

func (m *machine) up(name string) netlink.Link {
	l, err := m.link.LinkByName(name)
	require.NoError(m.t, err)
	require.NoError(m.t, m.link.LinkSetUp(l))
	return l
}

func (m *machine) address(dev, cidr string) {
	a, err := netlink.ParseAddr(cidr)
	require.NoError(m.t, err)
	require.NoError(m.t, m.link.AddrAdd(m.up(dev), a))
}

func (m *machine) route(to, via string) {
	r := &netlink.Route{Gw: net.ParseIP(via)}
	if to != "default" {
		_, dst, err := net.ParseCIDR(to)
		require.NoError(m.t, err)
		r.Dst = dst
	} else {
		_, r.Dst, _ = net.ParseCIDR("0.0.0.0/0")
	}
	require.NoError(m.t, m.link.RouteAdd(r))
}

// pod hangs a new machine on a host's bridge.
func (m *machine) pod(name, ip, gateway string) *machine {
	p := newMachine(m.t, name)
	port := "v-" + name
	wire(m, p, port, "eth0")
	l := m.up(port)
	bridge, err := m.link.LinkByName("cni0")
	require.NoError(m.t, err)
	require.NoError(m.t, m.link.LinkSetMaster(l, bridge))
	require.NoError(m.t, m.link.LinkSetHairpin(l, true))
	p.address("eth0", ip+"/24")
	p.route("default", gateway)
	return p
}

func newHost(t testing.TB, name, gateway string) *machine {
	h := newMachine(t, name)
	require.NoError(t, h.link.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "cni0"}}))
	h.address("cni0", gateway+"/24")
	h.sysctl("net.ipv4.ip_forward", "1")
	h.sysctl("net.bridge.bridge-nf-call-iptables", "1")
	return h
}

// lab is two hosts on a cable, with two pods on the first, one on the second, and a
// client pod on the first.
type lab struct {
	host1, host2             *machine
	pod1, pod2, pod3, client *machine
}

func newLab(t testing.TB) *lab {
	l := &lab{host1: newHost(t, "host1", "10.244.1.1"), host2: newHost(t, "host2", "10.244.2.1")}
	wire(l.host1, l.host2, "eth0", "eth0")
	l.host1.address("eth0", "192.168.77.1/24")
	l.host2.address("eth0", "192.168.77.2/24")
	l.host1.route("10.244.2.0/24", "192.168.77.2")
	l.host2.route("10.244.1.0/24", "192.168.77.1")
	l.host1.route("default", "192.168.77.2") // its own traffic to a service needs a route before it is translated
	l.pod1 = l.host1.pod("pod1", "10.244.1.2", "10.244.1.1")
	l.pod2 = l.host1.pod("pod2", "10.244.1.3", "10.244.1.1")
	l.pod3 = l.host2.pod("pod3", "10.244.2.2", "10.244.2.1")
	l.client = l.host1.pod("client", "10.244.1.9", "10.244.1.1")
	for _, p := range []*machine{l.pod1, l.pod2, l.pod3} {
		p.serve()
	}
	return l
}

// serve answers each TCP connection, and each datagram, at port 8080 with the
// machine's name and the address that the client seems to have.
func (m *machine) serve() {
	var tcp net.Listener
	var udp net.PacketConn
	m.run(func() (err error) {
		if tcp, err = net.Listen("tcp4", "0.0.0.0:8080"); err != nil {
			return err
		}
		udp, err = net.ListenPacket("udp4", "0.0.0.0:8080")
		return err
	})
	var both sync.WaitGroup
	both.Add(2)
	m.t.Cleanup(func() {
		tcp.Close()
		udp.Close()
		both.Wait()
	})
	go func() {
		defer both.Done()
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			fmt.Fprintf(c, "%s %s", m.name, host)
			c.Close()
		}
	}()
	go func() {
		defer both.Done()
		for buf := make([]byte, 64); ; {
			_, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			udp.WriteTo([]byte(m.name), from)
		}
	}()
}

const dialMax = 2 * time.Second

// get asks a server once: its name and the client's address as it sees it.
func (m *machine) get(at string) (name, from string, err error) {
	err = inNetns(m.path, func() error {
		c, err := net.DialTimeout("tcp4", at, dialMax)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(dialMax))
		text, err := io.ReadAll(c)
		name, from, _ = strings.Cut(string(text), " ")
		return err
	})
	return name, from, err
}

// gets counts the answers by name.
func (m *machine) gets(at string, n int) map[string]int {
	count := map[string]int{}
	for range n {
		name, _, err := m.get(at)
		require.NoError(m.t, err, "%s asks %s", m.name, at)
		count[name]++
	}
	return count
}

// refused says whether a connection is refused, and how long that took.
func (m *machine) refused(at string) (bool, time.Duration) {
	begin := time.Now()
	_, _, err := m.get(at)
	return errors.Is(err, syscall.ECONNREFUSED), time.Since(begin)
}

// dialUDP opens a socket to which answers come from the address asked only.
func (m *machine) dialUDP(at string) net.Conn {
	var c net.Conn
	m.run(func() (err error) {
		c, err = net.Dial("udp4", at)
		return err
	})
	m.t.Cleanup(func() { c.Close() })
	return c
}

func ask(c net.Conn) (string, error) {
	if _, err := c.Write([]byte("?")); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(dialMax / 4))
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}
