package iptables

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view/viewtest"
)

func open(t testing.TB, m *machine, backend string) *Tables {
	tables, err := Open(t.Context(), Config{Netns: m.path, Backend: backend})
	require.NoError(t, err)
	t.Cleanup(tables.Close)
	return tables
}

const services = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: 10.96.0.10, externalIPs: [10.99.0.1], ports: [{name: http, port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {clusterIP: 10.96.0.11, sessionAffinity: ClientIP, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: self}
spec: {clusterIP: 10.96.0.12, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {type: NodePort, clusterIP: 10.96.0.13, ports: [{name: http, port: 80, nodePort: 30081}]}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec: {type: NodePort, clusterIP: 10.96.0.14, externalTrafficPolicy: Local, ports: [{name: http, port: 80, nodePort: 30082}]}
---
apiVersion: v1
kind: Service
metadata: {name: names}
spec: {clusterIP: 10.96.0.15, ports: [{name: http, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: here}
spec: {type: LoadBalancer, clusterIP: 10.96.0.16, internalTrafficPolicy: Local, loadBalancerSourceRanges: [10.244.1.0/24], ports: [{name: http, port: 80, nodePort: 30083}]}
status: {loadBalancer: {ingress: [{ip: 10.99.0.2}]}}
`

var whereIs = map[string]string{"10.244.1.2": "n1", "10.244.1.3": "n1", "10.244.2.2": "n2"}

// TestRestorerNeverAnswers: with a program that does not read on, each script has one of
// its own.
func TestRestorerNeverAnswers(t *testing.T) {
	needRoot(t)
	tables := open(t, newMachine(t, "m"), NFTables)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"x-restore": "case \"$*\" in *verbose*) exit 7;; esac\nexec iptables-nft-restore \"$@\"",
		"x-save":    "exec iptables-nft-save \"$@\"",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	tables.program = filepath.Join(dir, "x")
	d := newDesk(node())
	for i := range 2 {
		d.Put(t, viewtest.Service(viewtest.ServiceName(i), i))
		_, err := tables.Apply(t.Context(), d.rules)
		require.NoError(t, err)
		require.Nil(t, tables.restorer)
		noDrift(t, tables)
	}
}

func endpoints(service, protocol string, ips ...string) string {
	s := fmt.Sprintf("---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %s-1, labels: {kubernetes.io/service-name: %s}}\naddressType: IPv4\nports: [{name: http, port: 8080, protocol: %s}]\nendpoints:\n", service, service, protocol)
	for _, ip := range ips {
		s += fmt.Sprintf("- {addresses: [%s], nodeName: %s}\n", ip, whereIs[ip])
	}
	return s
}

func all(service, protocol string) string {
	return endpoints(service, protocol, "10.244.1.2", "10.244.1.3", "10.244.2.2")
}

// TestReal sends packets through the rules on a lab of network namespaces, with each
// backend.
func TestReal(t *testing.T) {
	for _, backend := range []string{NFTables, Legacy} {
		t.Run(backend, func(t *testing.T) {
			needRoot(t)
			l := newLab(t)
			tables := open(t, l.host1, backend)
			d := newDesk(node())
			d.Apply(t, services+all("web", "TCP")+all("sticky", "TCP")+all("local", "TCP")+all("names", "UDP")+all("here", "TCP")+endpoints("self", "TCP", "10.244.1.2"))
			done, err := tables.Apply(t.Context(), d.rules)
			require.NoError(t, err)
			require.True(t, done.Full)
			noDrift(t, tables)

			t.Run("spread", func(t *testing.T) { l.testSpread(t) })
			t.Run("affinity", func(t *testing.T) { l.testAffinity(t) })
			t.Run("masquerade", func(t *testing.T) { l.testMasquerade(t) })
			t.Run("reject", func(t *testing.T) { l.testReject(t) })
			t.Run("policies", func(t *testing.T) { l.testPolicies(t) })
			t.Run("udp", func(t *testing.T) { l.testUDP(t, tables, d) })
			t.Run("sweep", func(t *testing.T) { l.testSweep(t, tables, d) })
		})
	}
}

func noDrift(t testing.TB, tables *Tables) {
	drift, err := tables.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, drift)
}

// testSpread: 90 connections of each client are 30 for each endpoint; fewer than 10
// come with a chance of one in a million.
func (l *lab) testSpread(t *testing.T) {
	for client, at := range map[*machine]string{l.client: "10.96.0.10:80", l.host1: "10.96.0.10:80", l.host2: "192.168.77.1:30080", l.pod3: "192.168.77.1:30080", l.pod1: "10.99.0.1:80"} {
		got := client.gets(at, 90)
		t.Logf("%s asks %s: %v", client.name, at, got)
		for _, pod := range []string{"pod1", "pod2", "pod3"} {
			require.GreaterOrEqual(t, got[pod], 10, "%s of %v", pod, got)
		}
	}
}

func (l *lab) testAffinity(t *testing.T) {
	require.Len(t, l.client.gets("10.96.0.11:80", 20), 1)
	require.Len(t, l.pod2.gets("10.96.0.11:80", 20), 1)
}

// testMasquerade: who the endpoint sees.
func (l *lab) testMasquerade(t *testing.T) {
	for _, c := range []struct {
		client   *machine
		at, from string
	}{
		{l.client, "10.96.0.12:80", "10.244.1.9"},
		{l.pod1, "10.96.0.12:80", "10.244.1.1"}, // hairpin
		{l.host2, "192.168.77.1:30082", "192.168.77.2"},
	} {
		_, from, err := c.client.get(c.at)
		require.NoError(t, err)
		require.Equal(t, c.from, from, "%s asks %s", c.client.name, c.at)
	}
	var seen string // out of the cluster: host2 sees host1, not the pod
	l.host2.serve()
	_, seen, err := l.client.get("192.168.77.2:8080")
	require.NoError(t, err)
	require.Equal(t, "192.168.77.1", seen)
}

func (l *lab) testReject(t *testing.T) {
	for client, at := range map[*machine]string{l.client: "10.96.0.13:80", l.host1: "10.96.0.13:80", l.host2: "192.168.77.1:30081"} {
		refused, after := client.refused(at)
		require.True(t, refused, "%s asks %s", client.name, at)
		require.Less(t, after, time.Second, "the first packet must be answered: the second is sent after a second")
		t.Logf("%s was refused after %s", client.name, after)
	}
}

func (l *lab) testPolicies(t *testing.T) {
	require.NotContains(t, l.host2.gets("192.168.77.1:30082", 30), "pod3", "from outside only endpoints here")
	require.Contains(t, l.host1.gets("192.168.77.1:30082", 60), "pod3", "this node as if from anywhere")
	require.NotContains(t, l.client.gets("10.96.0.16:80", 30), "pod3", "internalTrafficPolicy")
	require.Len(t, l.client.gets("10.99.0.2:80", 60), 3)
	refused, after := l.host1.refused("10.99.0.2:80")
	require.False(t, refused)
	require.Greater(t, after, dialMax/2, "the node is in no source range, so that nobody answers")
}

// testUDP: a flow goes on to its endpoint, and to another when that is gone.
func (l *lab) testUDP(t *testing.T, tables *Tables, d *desk) {
	c := l.client.dialUDP("10.96.0.15:53")
	first, err := ask(c)
	require.NoError(t, err)
	for range 5 {
		again, err := ask(c)
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
	left := map[string]string{"pod1": "10.244.1.2", "pod2": "10.244.1.3", "pod3": "10.244.2.2"}
	delete(left, first)
	var ips []string
	for _, ip := range left {
		ips = append(ips, ip)
	}
	d.Apply(t, endpoints("names", "UDP", ips...))
	done, err := tables.Apply(t.Context(), d.rules)
	require.NoError(t, err)
	require.False(t, done.Full)
	require.GreaterOrEqual(t, done.Flows, 1)
	second, err := ask(c)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
}

// testSweep: somebody flushes a chain, which is found and put right; in the end nothing
// is left.
func (l *lab) testSweep(t *testing.T, tables *Tables, d *desk) {
	require.NoError(t, inNetns(l.host1.path, func() error {
		return exec.Command(tables.program, "-t", "nat", "-F", "KUBE-SERVICES").Run()
	}))
	drift, err := tables.Check(t.Context())
	require.NoError(t, err)
	require.Len(t, drift, 1)
	done, err := tables.Apply(t.Context(), d.rules)
	require.NoError(t, err)
	require.True(t, done.Full)
	noDrift(t, tables)

	fresh := open(t, l.host1, tables.Backend()) // as after a restart
	require.NoError(t, fresh.Sweep(t.Context()))
	has, err := fresh.saved(t.Context())
	require.NoError(t, err)
	for c, rules := range has {
		require.False(t, ours(c.name), "%v is left", c)
		require.Empty(t, rules, "rules of %v", c)
	}
}

// TestTheKernelSaysWhatWasWritten: after any changes iptables-save prints the very
// rules of the plan. So positions are right, and Check is exact.
func TestTheKernelSaysWhatWasWritten(t *testing.T) {
	needRoot(t)
	for _, backend := range []string{NFTables, Legacy} {
		m := newMachine(t, "m")
		tables := open(t, m, backend)
		d := newDesk(node())
		rapid.Check(t, func(t *rapid.T) {
			for range rapid.SampledFrom([]int{1, 2, 5, 80}).Draw(t, "changes") {
				d.draw(t)
			}
			_, err := tables.Apply(context.Background(), d.rules)
			require.NoError(t, err)
			drift, err := tables.Check(context.Background())
			require.NoError(t, err)
			require.Empty(t, drift)
		})
	}
}

// TestIPv6: rules of the other family are taken and printed as written.
func TestIPv6(t *testing.T) {
	needRoot(t)
	m := newMachine(t, "m")
	tables, err := Open(t.Context(), Config{Netns: m.path, IPv6: true})
	require.NoError(t, err)
	t.Cleanup(tables.Close)
	c := node()
	_, err = tables.Apply(t.Context(), newDesk(c).rules)
	require.ErrorContains(t, err, "other family")
	c.IPv6, c.PodCIDR, c.ClusterCIDR = true, netip.MustParsePrefix("fd00:1::/64"), netip.MustParsePrefix("fd00::/16")
	d := newDesk(c)
	d.Apply(t, `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, clusterIP: "fd00:96::1", sessionAffinity: ClientIP, ports: [{name: http, port: 80, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {clusterIP: "fd00:96::2", ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints:
- {addresses: ["fd00:1::2"], nodeName: n1}
- {addresses: ["fd00:2::2"], nodeName: n2}
`)
	_, err = tables.Apply(t.Context(), d.rules)
	require.NoError(t, err)
	noDrift(t, tables)
}

// TestErrors: what cannot work says so, and a rule that is not taken is named.
func TestErrors(t *testing.T) {
	needRoot(t)
	_, err := Open(t.Context(), Config{Netns: "/proc/self/nowhere"})
	require.ErrorContains(t, err, "network namespace /proc/self/nowhere")
	_, err = Open(t.Context(), Config{Backend: "ipvs"})
	require.ErrorContains(t, err, "iptables-ipvs")
	m := newMachine(t, "m")
	tables := open(t, m, "")
	err = tables.restore(t.Context(), []byte("*nat\n:KUBE-SVC-X - [0:0]\n-A KUBE-SVC-X -j NOWHERE-TO-GO\nCOMMIT\n"))
	require.ErrorContains(t, err, "NOWHERE-TO-GO")
	_, err = tables.Check(t.Context())
	require.ErrorContains(t, err, "no rule set")
	require.NoError(t, tables.restore(t.Context(), []byte("*nat\n:KUBE-SVC-X - [0:0]\nCOMMIT\n")))
	err = tables.restore(t.Context(), []byte("*nat\n-A KUBE-SVC-X -p tcp -j ACCEPT\n-A KUBE-SVC-X --no-such-option\nCOMMIT\n"))
	require.ErrorContains(t, err, `the line is "-A KUBE-SVC-X --no-such-option"`)
	err = tables.restore(t.Context(), []byte("*nat\n-D KUBE-SVC-X 7\nCOMMIT\n"))
	require.ErrorContains(t, err, `the line is "-D KUBE-SVC-X 7"`)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, tables.restore(ended, []byte("*nat\nCOMMIT\n")), context.Canceled)
}

// TestRestorerStays: one process takes all scripts; when it has read its fill, was closed
// or somebody has killed it, another takes its place.
func TestRestorerStays(t *testing.T) {
	needRoot(t)
	tables := open(t, newMachine(t, "m"), NFTables)
	d := newDesk(node())
	apply := func() *restorer {
		d.Put(t, viewtest.Service(viewtest.ServiceName(d.rules.Len()), d.rules.Len()))
		done, err := tables.Apply(t.Context(), d.rules)
		require.NoError(t, err)
		require.Equal(t, d.rules.Len() == 1, done.Full)
		noDrift(t, tables)
		return tables.restorer
	}
	first := apply()
	require.Same(t, first, apply())
	require.NoError(t, syscall.Kill(first.pid, syscall.SIGKILL))
	<-first.ended
	second := apply()
	require.NotSame(t, first, second)
	second.read = restorerLinesMax
	require.Nil(t, apply())
	<-second.ended
	require.NoError(t, second.err)
	third := apply()
	tables.Close()
	<-third.ended
	require.NoError(t, third.err)
	require.NotSame(t, third, apply())
}

func benchmark(b *testing.B, what func(*Tables, *desk, int) (begin func(), run func() error)) {
	benchmarkOf(b, 1000, what)
}

func benchmarkOf(b *testing.B, services int, what func(*Tables, *desk, int) (begin func(), run func() error)) {
	needRoot(b)
	m := newMachine(b, "m")
	tables := open(b, m, "")
	d := newDesk(node())
	d.Services(b, services, 10)
	_, err := tables.Apply(b.Context(), d.rules)
	require.NoError(b, err)
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		prepare, run := what(tables, d, i)
		prepare()
		settle(b, m)
		b.StartTimer()
		start := time.Now()
		require.NoError(b, run())
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms/median")
	noDrift(b, tables)
}

// settle waits until the kernel has let go of the rules that were replaced: a change right
// after another waits for that, and those of life do not come so close. The end of any
// socket of netfilter waits for it.
func settle(b *testing.B, m *machine) {
	h, err := netlink.NewHandleAt(m.ns, unix.NETLINK_NETFILTER)
	require.NoError(b, err)
	h.Close()
}

// BenchmarkFirst is 1,000 services of 10 endpoints on an empty machine.
func BenchmarkFirst(b *testing.B) {
	benchmark(b, func(t *Tables, d *desk, i int) (func(), func() error) {
		begin := func() {
			require.NoError(b, t.Sweep(b.Context()))
			t.Close()
		}
		return begin, func() error {
			_, err := t.Apply(b.Context(), d.rules)
			return err
		}
	})
}

// BenchmarkResync is all of it over what is there.
func BenchmarkResync(b *testing.B) {
	benchmark(b, func(t *Tables, d *desk, i int) (func(), func() error) {
		return func() {}, func() error {
			_, err := t.Resync(b.Context(), d.rules)
			return err
		}
	})
}

// BenchmarkEndpoint is one endpoint more or less of one service among 1,000, from the
// event on.
func BenchmarkEndpoint(b *testing.B) {
	benchmark(b, func(t *Tables, d *desk, i int) (func(), func() error) {
		return func() {}, func() error {
			d.Put(b, viewtest.Slice("s0500", 500, 9+i%2))
			_, err := t.Apply(b.Context(), d.rules)
			return err
		}
	})
}

// BenchmarkService is a service that comes, or goes, among 1,000.
func BenchmarkService(b *testing.B) {
	benchmark(b, func(t *Tables, d *desk, i int) (func(), func() error) {
		return func() {}, func() error {
			if s := viewtest.Service("s0500", 500); i%2 == 0 {
				d.Remove(b, kinds.RefOf(s))
			} else {
				d.Put(b, s)
			}
			_, err := t.Apply(b.Context(), d.rules)
			return err
		}
	})
}

// BenchmarkTenfold is BenchmarkEndpoint among 10,000 services.
func BenchmarkTenfold(b *testing.B) {
	benchmarkOf(b, 10_000, func(t *Tables, d *desk, i int) (func(), func() error) {
		return func() {}, func() error {
			d.Put(b, viewtest.Slice("s0500", 500, 9+i%2))
			_, err := t.Apply(b.Context(), d.rules)
			return err
		}
	})
}

// BenchmarkCheck is the comparison of all rules with what iptables-save prints.
func BenchmarkCheck(b *testing.B) {
	benchmark(b, func(t *Tables, d *desk, i int) (func(), func() error) {
		return func() {}, func() error {
			drift, err := t.Check(b.Context())
			if len(drift) > 0 {
				return fmt.Errorf("drift: %s", strings.Join(drift, "; "))
			}
			return err
		}
	})
}
