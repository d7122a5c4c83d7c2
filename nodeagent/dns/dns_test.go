package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

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
	"seatrial.dev/seatrial/nodeagent/proxy"
)

var types = map[string]Type{"A": A, "AAAA": AAAA, "CNAME": CNAME, "PTR": PTR, "SRV": SRV, "TXT": TXT, "SOA": SOA, "ANY": ANY, "MX": 15}

func typeName(t Type) string {
	for name, known := range types {
		if known == t {
			return name
		}
	}
	return "?"
}

func config() Config {
	return Config{Domain: "cluster.local.", Networks: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("10.244.0.0/16")}}
}

// desk is a view, and the zone that follows it.
type desk struct {
	*viewtest.Desk
	zone *Zone
}

func newDesk(t require.TestingT) *desk {
	d := &desk{Desk: viewtest.New(kinds.Service, kinds.EndpointSlice)}
	var err error
	d.zone, err = Compile(config(), d.View)
	require.NoError(t, err)
	d.Seen = func(e store.Event) { d.zone = d.zone.Update(d.View, proxy.Concerned(e)...) }
	return d
}

// TestTranscripts: apply (manifests), delete KIND NAMESPACE/NAME, and ask (a NAME and a
// TYPE a line).
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcript", func(t *testing.T, path string) {
		d := newDesk(t)
		datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string { return d.command(t, c) })
	})
}

func (d *desk) command(t *testing.T, c *datadriven.TestData) string {
	switch c.Cmd {
	case "apply":
		d.Apply(t, c.Input)
		return ""
	case "delete":
		d.Delete(t, c.CmdArgs[0].Key, c.CmdArgs[1].Key)
		return ""
	case "ask":
		var b strings.Builder
		for line := range strings.Lines(c.Input) {
			fields := strings.Fields(line)
			of, ok := types[fields[1]]
			require.True(t, ok, line)
			fmt.Fprintf(&b, "%s %s: %s\n", fields[0], fields[1], show(d.zone.Answer(fields[0], of)))
		}
		return b.String()
	}
	t.Fatalf("unknown command %s", c.Cmd)
	return ""
}

func show(a Answer) string {
	var b strings.Builder
	switch {
	case !a.Ours:
		b.WriteString("not ours")
	case !a.Exists:
		b.WriteString("NXDOMAIN")
	case len(a.Records) == 0:
		b.WriteString("NODATA")
	}
	for _, r := range a.Records {
		b.WriteString("\n  " + showRecord(r))
	}
	for _, r := range a.Additional {
		b.WriteString("\n  beside: " + showRecord(r))
	}
	for _, r := range a.Authority {
		b.WriteString(", " + showRecord(r))
	}
	if a.Outside != "" {
		b.WriteString("\n  then " + a.Outside)
	}
	return b.String()
}

func showRecord(r Record) string {
	out := fmt.Sprintf("%s %d %s", r.Name, r.TTLSecs, typeName(r.Type))
	switch r.Type {
	case A, AAAA:
		return out + " " + r.Addr.String()
	case CNAME, PTR:
		return out + " " + r.Target
	case SRV:
		return fmt.Sprintf("%s 0 %d %d %s", out, r.Weight, r.Port, r.Target)
	case TXT:
		return out + " " + r.Text
	}
	return out
}

// TestUpdateIsCompile: a zone that followed every change is that of a fresh start, and
// one that was handed out does not change.
func TestUpdateIsCompile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(t)
		for range rapid.IntRange(1, 25).Draw(t, "changes") {
			before, was := d.zone, d.zone.dump()
			if rapid.Bool().Draw(t, "service") {
				d.change(t, drawService(t))
			} else {
				d.change(t, drawSlice(t))
			}
			require.Equal(t, was, before.dump())
			fresh, err := Compile(config(), d.View)
			require.NoError(t, err)
			require.Equal(t, fresh.dump(), d.zone.dump())
		}
	})
}

func (d *desk) change(t *rapid.T, o kinds.Object) {
	ref := kinds.RefOf(o)
	if d.Store.Get(ref) != nil && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
		d.Remove(t, ref)
		return
	}
	d.Put(t, o)
}

// dump is all that a zone has.
func (z *Zone) dump() string {
	var b strings.Builder
	z.services.Scan(func(key string, s *service) bool {
		fmt.Fprintf(&b, "%s %+v\n", key, *s)
		return true
	})
	z.reverse.Scan(func(p pointer) bool {
		fmt.Fprintf(&b, "%v\n", p)
		return true
	})
	return b.String()
}

func drawService(t *rapid.T) *corev1.Service {
	i := rapid.IntRange(0, 3).Draw(t, "service")
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("s%d", i)}}
	switch rapid.IntRange(0, 2).Draw(t, "type") {
	case 0:
		s.Spec.ClusterIP = corev1.ClusterIPNone
	case 1:
		s.Spec.ClusterIP = fmt.Sprintf("10.96.0.%d", rapid.IntRange(1, 3).Draw(t, "ip"))
	default:
		s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, rapid.SampledFrom([]string{"a.test", "s0.default.svc.cluster.local"}).Draw(t, "external")
	}
	s.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}
	s.Spec.PublishNotReadyAddresses = rapid.Bool().Draw(t, "publish")
	return s
}

func drawSlice(t *rapid.T) *discoveryv1.EndpointSlice {
	o := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("e%d", rapid.IntRange(0, 4).Draw(t, "slice")),
		Labels: map[string]string{discoveryv1.LabelServiceName: fmt.Sprintf("s%d", rapid.IntRange(0, 3).Draw(t, "of"))}}}
	name, port := "http", int32(8080)
	o.Ports = []discoveryv1.EndpointPort{{Name: &name, Port: &port}}
	for range rapid.IntRange(0, 3).Draw(t, "endpoints") {
		ready := rapid.Bool().Draw(t, "ready")
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.0.%d", rapid.IntRange(1, 4).Draw(t, "address"))}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
		if rapid.Bool().Draw(t, "named") {
			host := rapid.SampledFrom([]string{"db-0", "db-1"}).Draw(t, "hostname")
			e.Hostname = &host
		}
		o.Endpoints = append(o.Endpoints, e)
	}
	return o
}

// TestForward: every name that a reverse name leads to leads back.
func TestForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk(t)
		for range rapid.IntRange(1, 15).Draw(t, "objects") {
			if rapid.Bool().Draw(t, "service") {
				d.Put(t, drawService(t))
			} else {
				d.Put(t, drawSlice(t))
			}
		}
		d.zone.reverse.Scan(func(p pointer) bool {
			got := d.zone.Answer(p.target, A)
			require.True(t, slices.ContainsFunc(got.Records, func(r Record) bool { return r.Addr == p.addr }), "%v: %s", p, show(got))
			return true
		})
	})
}

// FuzzAnswer: no name makes it panic, and only existing names have records.
func FuzzAnswer(f *testing.F) {
	d := newDesk(f)
	d.Put(f, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"}})
	for _, name := range []string{"web.default.svc.cluster.local.", "..svc.cluster.local", "1.0.96.10.in-addr.arpa", "1-2-3-4.x.pod.cluster.local", ".", "", "cluster.local"} {
		f.Add(name, uint16(A))
	}
	f.Fuzz(func(t *testing.T, name string, of uint16) {
		a := d.zone.Answer(name, Type(of))
		if !a.Exists && (len(a.Records) > 0 || len(a.Additional) > 0) || !a.Ours && a.Exists {
			t.Errorf("%q: %s", name, show(a))
		}
	})
}

func TestConfig(t *testing.T) {
	v := view.New(kinds.Service, kinds.EndpointSlice)
	_, err := Compile(Config{}, v)
	require.ErrorContains(t, err, "want a name like cluster.local")
	_, err = Compile(Config{Domain: "x", Networks: []netip.Prefix{{}}}, v)
	require.ErrorContains(t, err, "want one like 10.96.0.0/12")
}

func BenchmarkAnswer(b *testing.B) {
	d := newDesk(b)
	for i := range 5000 {
		d.Put(b, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("s%d", i)}, Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.96.%d.%d", i/250, i%250+1)}})
	}
	b.ReportAllocs()
	for b.Loop() {
		if a := d.zone.Answer("s4711.default.svc.cluster.local.", A); len(a.Records) != 1 {
			b.Fatal(show(a))
		}
	}
}
