package proxy

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/cluster/view/viewtest"
)

func node() Config {
	return Config{
		Node: "n1", Zone: "z1",
		Addresses:   []netip.Addr{netip.MustParseAddr("192.168.0.1")},
		PodCIDR:     netip.MustParsePrefix("10.244.1.0/24"),
		ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"),
	}
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// desk is a view, and the rules that follow it.
type desk struct {
	*viewtest.Desk
	rules    *RuleSet
	affinity Affinity
	now      time.Time
}

func newDesk(c Config) *desk {
	d := &desk{Desk: viewtest.New(kinds.Service, kinds.EndpointSlice), now: start}
	d.rules = Compile(c, d.View)
	d.Seen = func(e store.Event) { d.rules = d.rules.Update(d.View, Concerned(e)...) }
	return d
}

// TestTranscripts plays testdata/transcript/*. Commands: node (IPv6, or other options), apply
// (manifests in, the parts that changed out), delete KIND NAMESPACE/NAME, rules (all of
// them), pick SRC DST:PORT [udp] [draws=N] (where N connections one after the other
// go), wait DURATION.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcript", func(t *testing.T, path string) {
		d := newDesk(node())
		datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string {
			if c.Cmd == "node" {
				d = newDesk(otherNode(c))
				return d.rules.String()
			}
			return d.command(t, c)
		})
	})
}

// otherNode is what the command node asks for.
func otherNode(c *datadriven.TestData) Config {
	cfg := node()
	for _, a := range c.CmdArgs {
		switch a.Key {
		case "ipv6":
			cfg.IPv6 = true
			cfg.PodCIDR, cfg.ClusterCIDR = netip.MustParsePrefix("fd00:1::/64"), netip.MustParsePrefix("fd00::/16")
		case "no-pod-network":
			cfg.PodCIDR, cfg.ClusterCIDR = netip.Prefix{}, netip.Prefix{}
		}
	}
	return cfg
}

func (d *desk) command(t *testing.T, c *datadriven.TestData) string {
	arg := func(i int) string { return c.CmdArgs[i].Key }
	before := d.rules
	switch c.Cmd {
	case "apply":
		d.Apply(t, c.Input)
		return changes(before, d.rules)
	case "delete":
		d.Delete(t, arg(0), arg(1))
		return changes(before, d.rules)
	case "rules":
		return d.rules.String()
	case "pick":
		return d.picks(t, c)
	case "wait":
		wait, err := time.ParseDuration(arg(0))
		require.NoError(t, err)
		d.now = d.now.Add(wait)
		return ""
	}
	t.Fatalf("unknown command %s", c.Cmd)
	return ""
}

func changes(old, now *RuleSet) string {
	var b strings.Builder
	for _, c := range Diff(old, now) {
		if c.New == nil {
			fmt.Fprintf(&b, "%s: gone\n", c.Key)
			continue
		}
		for i := range c.New.Ports {
			c.New.Ports[i].write(&b, &now.Config, c.New)
		}
	}
	if b.Len() == 0 {
		return "no change\n"
	}
	return b.String()
}

func (d *desk) picks(t *testing.T, c *datadriven.TestData) string {
	draws := 1
	c.MaybeScanArgs(t, "draws", &draws)
	to := netip.MustParseAddrPort(c.CmdArgs[1].Key)
	p := Packet{Src: netip.MustParseAddr(c.CmdArgs[0].Key), Dst: to.Addr(), Port: to.Port(), Protocol: corev1.ProtocolTCP, Now: d.now}
	if c.HasArg("udp") {
		p.Protocol = corev1.ProtocolUDP
	}
	var b strings.Builder
	for i := range draws {
		p.Draw = uint64(i)
		fmt.Fprintln(&b, d.rules.Pick(p, &d.affinity))
	}
	return b.String()
}

// drawService draws a service of any shape that the rules tell apart.
func drawService(t *rapid.T) *corev1.Service {
	i := rapid.IntRange(0, 4).Draw(t, "service")
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("s%d", i)}}
	s.Spec.Type = rapid.SampledFrom([]corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName}).Draw(t, "type")
	s.Spec.ClusterIP = rapid.SampledFrom([]string{fmt.Sprintf("10.96.0.%d", i+1), fmt.Sprintf("10.96.0.%d", i+1), "None"}).Draw(t, "ip")
	for n := range rapid.IntRange(1, 2).Draw(t, "ports") {
		p := corev1.ServicePort{Name: fmt.Sprintf("p%d", n), Port: int32(80 + n), Protocol: rapid.SampledFrom([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP}).Draw(t, "protocol")}
		if s.Spec.Type != corev1.ServiceTypeClusterIP {
			p.NodePort = int32(30000 + 10*i + n)
		}
		s.Spec.Ports = append(s.Spec.Ports, p)
	}
	if rapid.Bool().Draw(t, "external") {
		s.Spec.ExternalIPs = []string{rapid.SampledFrom([]string{"1.1.1.1", "1.1.1.2"}).Draw(t, "external IP")}
	}
	if rapid.Bool().Draw(t, "inside") {
		local := corev1.ServiceInternalTrafficPolicyLocal
		s.Spec.InternalTrafficPolicy = &local
	}
	if rapid.Bool().Draw(t, "outside") {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if rapid.IntRange(0, 3).Draw(t, "affinity") == 0 {
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	return s
}

func drawSlice(t *rapid.T) *discoveryv1.EndpointSlice {
	o := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("e%d", rapid.IntRange(0, 5).Draw(t, "slice"))}}
	if i := rapid.IntRange(0, 5).Draw(t, "of"); i < 5 {
		o.Labels = map[string]string{discoveryv1.LabelServiceName: fmt.Sprintf("s%d", i)}
	}
	for n := range 2 {
		name, port, protocol := fmt.Sprintf("p%d", n), int32(8080+n), rapid.SampledFrom([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP}).Draw(t, "protocol")
		o.Ports = append(o.Ports, discoveryv1.EndpointPort{Name: &name, Port: &port, Protocol: &protocol})
	}
	for range rapid.IntRange(0, 4).Draw(t, "endpoints") {
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.1.%d", rapid.IntRange(1, 9).Draw(t, "address"))}}
		ready, serving, terminating := rapid.Bool().Draw(t, "ready"), rapid.Bool().Draw(t, "serving"), rapid.Bool().Draw(t, "terminating")
		e.Conditions = discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}
		if where := rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "node"); where != "" {
			e.NodeName = &where
		}
		if rapid.Bool().Draw(t, "hint") {
			e.Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: rapid.SampledFrom([]string{"z1", "z2"}).Draw(t, "zone")}}}
		}
		o.Endpoints = append(o.Endpoints, e)
	}
	return o
}

func (d *desk) draw(t *rapid.T) {
	var o kinds.Object = drawService(t)
	if rapid.IntRange(0, 2).Draw(t, "kind") > 0 {
		o = drawSlice(t)
	}
	if ref := kinds.RefOf(o); d.Store.Get(ref) != nil && rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
		d.Remove(t, ref)
		return
	}
	d.Put(t, o)
}

// TestUpdatesAreAsCompiledAfresh: whatever the updates, in whatever order, the rules are
// those that a node would compile that sees the cluster for the first time; earlier
// rule sets stay as they were, and Diff names just the services that look different.
func TestUpdatesAreAsCompiledAfresh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(node())
		for range rapid.IntRange(1, 30).Draw(t, "writes") {
			before, text := d.rules, d.rules.String()
			d.draw(t)
			require.Equal(t, text, before.String(), "an earlier rule set has changed")
			for _, c := range Diff(before, d.rules) {
				require.False(t, equalServices(c.Old, c.New), "%s has not changed", c.Key)
			}
		}
		fresh := Compile(d.rules.Config, d.View)
		require.Equal(t, fresh.String(), d.rules.String())
		require.Equal(t, fresh.fronts.Len(), d.rules.fronts.Len())
		fresh.fronts.Scan(func(f frontOf) bool {
			same, ok := d.rules.fronts.Get(f)
			require.True(t, ok)
			require.True(t, equalServices(f.service, same.service))
			return true
		})
	})
}

// TestEveryEndpointHasItsShare: of k·n draws each of n endpoints gets k, and the
// endpoints that get any are the ready ones or, without those, those still serving.
func TestEveryEndpointHasItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(node())
		for range rapid.IntRange(5, 30).Draw(t, "writes") {
			d.draw(t)
		}
		draw := rapid.Uint64Range(0, math.MaxUint64/2).Draw(t, "first")
		for s := range d.rules.Services() {
			for i := range s.Ports {
				p := &s.Ports[i]
				pool := p.Pool(p.Fronts[0].Policy)
				got := map[netip.AddrPort]int{}
				for range 3 * len(pool) {
					v := d.rules.Pick(Packet{Src: netip.MustParseAddr("10.244.1.200"), Dst: p.Fronts[0].Addr, Port: p.Fronts[0].Port, Protocol: p.Protocol, Draw: draw}, nil)
					require.Equal(t, Forward, v.Action)
					got[v.Endpoint]++
					draw++
				}
				require.Len(t, got, len(pool))
				for _, e := range pool {
					require.Equal(t, 3, got[e.Addr])
					require.True(t, usable(d.View, s.Key, e.Addr), "%s is not to be used", e.Addr)
				}
			}
		}
	})
}

// usable asks the slices again, in another way, whether an endpoint may be used.
func usable(v *view.View, key kinds.Key, at netip.AddrPort) bool {
	for slice := range v.SlicesOf(key) {
		for _, e := range slice.Endpoints {
			if e.Addresses[0] == at.Addr().String() && (*e.Conditions.Ready || *e.Conditions.Serving && *e.Conditions.Terminating) {
				return true
			}
		}
	}
	return false
}

// TestEndpointsMax: endpoints beyond the limit are counted and get nothing.
func TestEndpointsMax(t *testing.T) {
	d := newDesk(node())
	d.Put(t, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1", Ports: []corev1.ServicePort{{Port: 80}}}})
	name, port := "", int32(80)
	o := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "e", Labels: map[string]string{discoveryv1.LabelServiceName: "s"}},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
	for i := range EndpointsMax + 3 {
		o.Endpoints = append(o.Endpoints, discoveryv1.Endpoint{Addresses: []string{netip.AddrFrom4([4]byte{10, 250, byte(i >> 8), byte(i)}).String()}})
	}
	d.Put(t, o)
	p := d.rules.Service(kinds.Key{Namespace: "default", Name: "s"}).Ports[0]
	require.Len(t, p.Cluster, EndpointsMax)
	require.Equal(t, 3, p.Unused)
}

// TestClientsPerEndpointMax: the client that has not come for longest is forgotten.
func TestClientsPerEndpointMax(t *testing.T) {
	var a Affinity
	port := &Port{Name: "p", Affinity: time.Hour}
	pool := []Endpoint{{Addr: netip.MustParseAddrPort("10.0.0.1:1")}, {Addr: netip.MustParseAddrPort("10.0.0.2:1")}}
	go1 := func(client int, drawn int) netip.AddrPort {
		return a.stay(kinds.Key{Name: "s"}, port, pool, pool[drawn].Addr, &Packet{Src: netip.AddrFrom4([4]byte{1, 2, byte(client >> 8), byte(client)}), Now: start})
	}
	for i := range ClientsPerEndpointMax + 1 {
		require.Equal(t, pool[0].Addr, go1(i, 0))
	}
	require.Equal(t, pool[0].Addr, go1(1, 1), "stays")
	require.Equal(t, pool[1].Addr, go1(0, 1), "was forgotten")
}

func manyServices(b *testing.B) *desk {
	d := newDesk(node())
	d.Services(b, 1000, 10)
	return d
}

func BenchmarkCompile(b *testing.B) {
	d := manyServices(b)
	for b.Loop() {
		Compile(d.rules.Config, d.View)
	}
}

func BenchmarkUpdate(b *testing.B) {
	d := manyServices(b)
	for i := 0; b.Loop(); i++ {
		d.Put(b, viewtest.Slice("s0500", 500, 9+i%2))
	}
}

func BenchmarkPick(b *testing.B) {
	d := manyServices(b)
	p := Packet{Src: netip.MustParseAddr("10.244.1.2"), Dst: netip.MustParseAddr("10.96.2.1"), Port: 80, Protocol: corev1.ProtocolTCP}
	for b.Loop() {
		p.Draw++
		d.rules.Pick(p, nil)
	}
}
