package dns_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view/viewtest"
	livedns "seatrial.dev/seatrial/live/dns"
	names "seatrial.dev/seatrial/nodeagent/dns"
)

// eventMax is how long a test waits for what must come.
const eventMax = 20 * time.Second

// zone is that of some manifests.
func zone(t testing.TB, manifests string) *names.Zone {
	d := viewtest.New(kinds.Service, kinds.EndpointSlice)
	d.Apply(t, manifests)
	z, err := names.Compile(names.Config{Domain: "cluster.local", Networks: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}}, d.View)
	require.NoError(t, err)
	return z
}

const services = `
kind: Service
apiVersion: v1
metadata: {name: kubernetes}
spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443}]}
---
kind: Service
apiVersion: v1
metadata: {name: many}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
kind: Service
apiVersion: v1
metadata: {name: foo}
spec: {type: ExternalName, externalName: www.example.com}
---
kind: Service
apiVersion: v1
metadata: {name: nowhere}
spec: {type: ExternalName, externalName: fails.example.com}
`

// many are endpoints that do not fit into a packet.
func many() string {
	var b strings.Builder
	b.WriteString("---\nkind: EndpointSlice\napiVersion: discovery.k8s.io/v1\nmetadata: {name: many, labels: {" + discoveryv1.LabelServiceName + ": many}}\naddressType: IPv4\nports: [{name: http, port: 80}]\nendpoints:\n")
	for i := range 200 {
		fmt.Fprintf(&b, "- {addresses: [10.244.0.%d], hostname: h%d}\n", i+1, i)
	}
	return b.String()
}

func start(t testing.TB, cfg livedns.Config) (*livedns.Server, string) {
	if cfg.Report == nil {
		cfg.Report = func(err error) { t.Error(err) }
	}
	if cfg.Listen == nil {
		cfg.Listen = []string{"127.0.0.1:0"}
	}
	s, err := livedns.Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s, s.Addrs()[0].String()
}

// outside is a resolver of the world: it knows www.example.com, and more than fits of
// big.example.com.
func outside(t testing.TB, answer dns.HandlerFunc) string {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	l, err := net.Listen("tcp", packets.LocalAddr().String())
	require.NoError(t, err)
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: answer}, {Listener: l, Handler: answer}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return packets.LocalAddr().String()
}

func world(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative = true
	switch name := q.Question[0].Name; name {
	case "www.example.com.":
		r, _ := dns.NewRR("www.example.com. 300 A 192.0.2.53")
		m.Answer = append(m.Answer, r)
	case "fails.example.com.":
		m.Rcode = dns.RcodeServerFailure
	case "big.example.com.":
		for i := range 60 {
			r, _ := dns.NewRR(fmt.Sprintf("big.example.com. 300 TXT %q", strings.Repeat("x", 40)+fmt.Sprint(i)))
			m.Answer = append(m.Answer, r)
		}
	default:
		m.Rcode = dns.RcodeNameError
	}
	if _, tcp := w.RemoteAddr().(*net.TCPAddr); !tcp {
		m.Truncate(1232)
	}
	_ = w.WriteMsg(m)
}

// TestTranscripts: ask NAME TYPE [tcp] [edns=BYTES] [norec] [class=CH] [opcode=N]
// [questions=N] a line. Addresses are shown sorted, since the server turns them.
func TestTranscripts(t *testing.T) {
	refused := outside(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeRefused)
		_ = w.WriteMsg(m)
	})
	s, addr := start(t, livedns.Config{Upstreams: []string{refused, outside(t, world)}})
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "zone":
				s.SetZone(zone(t, services+many()))
				return ""
			case "ask":
				var b strings.Builder
				for line := range strings.Lines(d.Input) {
					fmt.Fprintf(&b, "%s: %s", strings.TrimSpace(line), ask(t, addr, strings.Fields(line)))
				}
				return b.String()
			}
			d.Fatalf(t, "unknown command")
			return ""
		})
	})
}

func ask(t testing.TB, addr string, words []string) string {
	q := new(dns.Msg)
	q.SetQuestion(words[0], dns.StringToType[words[1]])
	c := dns.Client{Timeout: eventMax, UDPSize: 4096}
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		var n int
		_, _ = fmt.Sscan(value, &n)
		switch name {
		case "tcp":
			c.Net = "tcp"
		case "edns":
			q.SetEdns0(uint16(n), false)
		case "version":
			q.IsEdns0().SetVersion(uint8(n))
		case "norec":
			q.RecursionDesired = false
		case "class":
			q.Question[0].Qclass = dns.StringToClass[value]
		case "opcode":
			q.Opcode = n
		case "questions":
			for len(q.Question) < n {
				q.Question = append(q.Question, q.Question[0])
			}
			q.Question = q.Question[:n]
		default:
			t.Fatalf("unknown word %s", w)
		}
	}
	got, _, err := c.Exchange(q, addr)
	require.NoError(t, err, words)
	if q.Opcode == dns.OpcodeQuery { // others are refused before they are read
		require.Equal(t, q.Question, got.Question)
	}
	return show(got)
}

func show(m *dns.Msg) string {
	var b strings.Builder
	b.WriteString(dns.RcodeToString[m.Rcode])
	for _, f := range []struct {
		name string
		set  bool
	}{{"aa", m.Authoritative}, {"tc", m.Truncated}, {"rd", m.RecursionDesired}, {"ra", m.RecursionAvailable}} {
		if f.set {
			b.WriteString(" " + f.name)
		}
	}
	b.WriteString("\n")
	for _, part := range []struct {
		name string
		list []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		if len(part.list) > 10 {
			fmt.Fprintf(&b, "  %s: %d records\n", part.name, len(part.list))
			continue
		}
		var lines []string
		for _, r := range part.list {
			text := strings.ReplaceAll(r.String(), "\t", " ")
			if o, ok := r.(*dns.OPT); ok {
				text = fmt.Sprintf("OPT udp=%d version=%d", o.UDPSize(), o.Version())
			}
			lines = append(lines, "  "+part.name+": "+text+"\n")
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
	}
	return b.String()
}

// TestTurned: every address comes first now and then.
func TestTurned(t *testing.T) {
	s, addr := start(t, livedns.Config{})
	s.SetZone(zone(t, services+strings.Join(strings.SplitAfter(many(), "\n")[:10], "")))
	first := map[string]bool{}
	for deadline := time.Now().Add(eventMax); len(first) < 3; {
		require.True(t, time.Now().Before(deadline), "%v", first)
		q := new(dns.Msg)
		q.SetQuestion("many.default.svc.cluster.local.", dns.TypeA)
		got, err := dns.Exchange(q, addr)
		require.NoError(t, err)
		require.Len(t, got.Answer, 3)
		first[got.Answer[0].String()] = true
	}
}

// TestLoop: an upstream that asks this server again is found out.
func TestLoop(t *testing.T) {
	var mu sync.Mutex
	var addr string
	known := make(chan struct{})
	stub := outside(t, func(w dns.ResponseWriter, q *dns.Msg) {
		<-known
		mu.Lock()
		to := addr
		mu.Unlock()
		if got, err := dns.Exchange(q, to); err == nil {
			got.Id = q.Id
			_ = w.WriteMsg(got)
		}
	})
	reports := make(chan error, 10)
	s, at := start(t, livedns.Config{Upstreams: []string{stub}, Report: func(err error) { reports <- err }})
	mu.Lock()
	addr = at
	mu.Unlock()
	close(known)
	select {
	case err := <-reports:
		require.ErrorContains(t, err, "sends questions back here")
	case <-time.After(eventMax):
		t.Fatal("the loop was not found")
	}
	s.SetZone(zone(t, services))
	require.Equal(t, "SERVFAIL rd ra\n", ask(t, at, []string{"www.example.com.", "A"}))
	require.Contains(t, ask(t, at, []string{"kubernetes.default.svc.cluster.local.", "A"}), "10.96.0.1")
}

// TestSilence: an upstream that says nothing costs no more than its time.
func TestSilence(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	s, addr := start(t, livedns.Config{Upstreams: []string{silent.LocalAddr().String(), outside(t, world)}})
	s.SetZone(zone(t, services))
	require.Contains(t, ask(t, addr, []string{"www.example.com.", "A"}), "192.0.2.53")
}

// TestGarbage: what is no question is no matter.
func TestGarbage(t *testing.T) {
	s, addr := start(t, livedns.Config{})
	s.SetZone(zone(t, services))
	conn, err := net.Dial("udp", addr)
	require.NoError(t, err)
	defer conn.Close()
	q := new(dns.Msg)
	q.SetQuestion("kubernetes.default.svc.cluster.local.", dns.TypeA)
	wire, err := q.Pack()
	require.NoError(t, err)
	for i := range wire {
		_, err = conn.Write(wire[:i])
		require.NoError(t, err)
		broken := slices.Clone(wire)
		broken[i] ^= 0xff
		_, err = conn.Write(broken)
		require.NoError(t, err)
	}
	require.Contains(t, ask(t, addr, []string{"kubernetes.default.svc.cluster.local.", "A"}), "10.96.0.1")
}

func TestUpstreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	require.NoError(t, os.WriteFile(path, []byte("nameserver 10.96.0.10\nnameserver 192.0.2.1\nnameserver fd00::1\nsearch x\n"), 0o600))
	got, err := livedns.Upstreams(path, []netip.Addr{netip.MustParseAddr("10.96.0.10")})
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.1:53", "[fd00::1]:53"}, got)
	_, err = livedns.Upstreams(path+"x", nil)
	require.ErrorContains(t, err, "no such file")
	require.NoError(t, os.WriteFile(path, []byte("nameserver here\n"), 0o600))
	_, err = livedns.Upstreams(path, nil)
	require.ErrorContains(t, err, `nameserver "here": want an address`)
}

func TestConfig(t *testing.T) {
	report := func(error) {}
	for want, cfg := range map[string]livedns.Config{
		"Listen": {Report: report}, "Report": {Listen: []string{"127.0.0.1:0"}},
		"want an address with a port": {Listen: []string{"127.0.0.1:0"}, Upstreams: []string{"x"}, Report: report},
		"3 at most":                   {Listen: []string{"127.0.0.1:0"}, Upstreams: []string{"1.1.1.1:1", "1.1.1.1:1", "1.1.1.1:1", "1.1.1.1:1"}, Report: report},
		"listen on 192.0.2.1:5":       {Listen: []string{"192.0.2.1:5"}, Report: report},
	} {
		_, err := livedns.Start(cfg)
		require.ErrorContains(t, err, want)
	}
	_, addr := start(t, livedns.Config{})
	require.Equal(t, "SERVFAIL rd ra\n", ask(t, addr, []string{"kubernetes.default.svc.cluster.local.", "A"}), "before there is a zone")
	_, err := livedns.Start(livedns.Config{Listen: []string{addr}, Report: report})
	require.ErrorContains(t, err, "address already in use")
}

// TestPodReachesIt: a pod that knows nothing but its gateway asks 10.96.0.10.
func TestPodReachesIt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN, network namespaces need: root")
	}
	host, pod := fmt.Sprintf("seatrial-dns-%d-host", os.Getpid()), fmt.Sprintf("seatrial-dns-%d-pod", os.Getpid())
	for _, args := range []string{
		"netns add " + host,
		"netns add " + pod,
		"-n " + host + " link add veth0 type veth peer name eth0 netns " + pod,
		"-n " + host + " addr add 10.244.1.1/24 dev veth0", "-n " + host + " link set veth0 up",
		"-n " + pod + " addr add 10.244.1.2/24 dev eth0", "-n " + pod + " link set eth0 up", "-n " + pod + " route add default via 10.244.1.1",
	} {
		if name, ok := strings.CutPrefix(args, "netns add "); ok {
			t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
		}
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", args, out)
	}
	address := netip.MustParseAddr("10.96.0.10")
	var s *livedns.Server
	in(t, host, func() {
		require.NoError(t, livedns.Bind(address))
		require.NoError(t, livedns.Bind(address), "again")
		var err error
		s, err = livedns.Start(livedns.Config{Listen: []string{"10.96.0.10:53"}, Report: func(err error) { t.Error(err) }})
		require.NoError(t, err)
	})
	defer func() { require.NoError(t, s.Close()) }()
	s.SetZone(zone(t, services))
	for _, network := range []string{"udp", "tcp"} {
		var conn net.Conn
		in(t, pod, func() {
			var err error
			conn, err = net.DialTimeout(network, "10.96.0.10:53", eventMax)
			require.NoError(t, err)
		})
		q := new(dns.Msg)
		q.SetQuestion("kubernetes.default.svc.cluster.local.", dns.TypeA)
		c := dns.Client{Timeout: eventMax, Net: network}
		got, _, err := c.ExchangeWithConn(q, &dns.Conn{Conn: conn})
		require.NoError(t, err)
		require.Contains(t, show(got), "10.96.0.1\n")
		conn.Close()
	}
	in(t, host, func() {
		require.NoError(t, livedns.Unbind(address))
		require.NoError(t, livedns.Unbind(address), "again")
	})
	require.ErrorContains(t, livedns.Bind(netip.Addr{}), "want one such as 10.96.0.10")
}

// in runs f on a thread in a network namespace.
func in(t testing.TB, netns string, f func()) {
	done := make(chan error, 1)
	go func() {
		err := fmt.Errorf("it did not end")
		defer func() { done <- err }()
		runtime.LockOSThread() // the thread ends with the goroutine
		ns, oerr := os.Open("/var/run/netns/" + netns)
		if err = oerr; err != nil {
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			f()
		}
	}()
	require.NoError(t, <-done)
}

// BenchmarkUDP is answers over loopback, client included.
func BenchmarkUDP(b *testing.B) {
	s, addr := start(b, livedns.Config{})
	s.SetZone(zone(b, services))
	b.RunParallel(func(pb *testing.PB) {
		conn, err := dns.Dial("udp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		q := new(dns.Msg)
		q.SetQuestion("kubernetes.default.svc.cluster.local.", dns.TypeA)
		for pb.Next() {
			if err := conn.WriteMsg(q); err != nil {
				b.Error(err)
				return
			}
			if _, err := conn.ReadMsg(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
}
