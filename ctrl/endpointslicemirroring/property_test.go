package endpointslicemirroring_test

import (
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/endpointslicemirroring"
)

var (
	ips   = []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.10", "2001:db8::1", "2001:db8::2", "2001:db8::a"}
	ports = []corev1.EndpointPort{
		{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}, {Name: "http", Port: 8080, Protocol: corev1.ProtocolTCP},
		{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolTCP},
		{Name: "dns-udp", Port: 53, Protocol: corev1.ProtocolUDP},
	}
)

// serving says by address and port whether it is ready. Where an address has no port,
// it counts as one without number.
type serving map[string]bool

func (s serving) add(ip string, uid types.UID, port *int32, name string, ready bool) {
	key := fmt.Sprintf("%s %s no port", ip, uid)
	if port != nil {
		key = fmt.Sprintf("%s %s %s=%d", ip, uid, name, *port)
	}
	if was, there := s[key]; there {
		ready = ready && was
	}
	s[key] = ready
}

func drawSubsets(t *rapid.T) []corev1.EndpointSubset {
	address := rapid.Custom(func(t *rapid.T) corev1.EndpointAddress {
		a := corev1.EndpointAddress{IP: rapid.SampledFrom(ips).Draw(t, "ip")}
		if uid := rapid.SampledFrom([]types.UID{"", "", "a", "b"}).Draw(t, "uid"); uid != "" {
			a.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "pod-" + string(uid), UID: uid}
		}
		return a
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) corev1.EndpointSubset {
		return corev1.EndpointSubset{
			Addresses:         rapid.SliceOfN(address, 1, 5).Draw(t, "ready"),
			NotReadyAddresses: rapid.SliceOfN(address, 0, 3).Draw(t, "not ready"),
			Ports:             rapid.SliceOfNDistinct(rapid.SampledFrom(ports), 0, 4, func(p corev1.EndpointPort) int32 { return p.Port }).Draw(t, "ports"),
		}
	}), 0, 4).Draw(t, "subsets")
}

func uidOf(r *corev1.ObjectReference) types.UID {
	if r == nil {
		return ""
	}
	return r.UID
}

func wanted(subsets []corev1.EndpointSubset) serving {
	all := serving{}
	for _, s := range subsets {
		add := func(list []corev1.EndpointAddress, ready bool) {
			for _, a := range list {
				if len(s.Ports) == 0 {
					all.add(a.IP, uidOf(a.TargetRef), nil, "", ready)
				}
				for _, p := range s.Ports {
					all.add(a.IP, uidOf(a.TargetRef), &p.Port, p.Name, ready)
				}
			}
		}
		add(s.Addresses, true)
		add(s.NotReadyAddresses, false)
	}
	return all
}

func mirrored(t *rapid.T, w *ctrltest.World) serving {
	all, places := serving{}, map[string]string{}
	for o := range w.Store.List(kinds.EndpointSlice, "") {
		s := o.(*discoveryv1.EndpointSlice)
		place := fmt.Sprint(s.AddressType)
		for _, p := range s.Ports {
			place += fmt.Sprintf(" %s=%d", *p.Name, *p.Port)
		}
		if other := places[place]; other != "" {
			t.Fatalf("%s and %s are both for %s", other, s.Name, place)
		}
		places[place] = s.Name
		for _, e := range s.Endpoints {
			if len(s.Ports) == 0 {
				all.add(e.Addresses[0], uidOf(e.TargetRef), nil, "", *e.Conditions.Ready)
			}
			for _, p := range s.Ports {
				all.add(e.Addresses[0], uidOf(e.TargetRef), p.Port, *p.Name, *e.Conditions.Ready)
			}
		}
	}
	return all
}

// Whatever people write into the Endpoints, and over it, and whatever others do to the
// slices, the slices have each address with each port that it has there, as ready as
// there, and no other; and then the controller rests.
func TestMirrorsHaveTheAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := endpointslicemirroring.New()
		w := ctrltest.New(c)
		w.Load(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}})
		e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Subsets: drawSubsets(t)}
		w.Write(api.Create(e))
		for round := range 4 {
			if !w.Settle() {
				t.Fatal("the controller does not come to rest")
			}
			want, have := wanted(e.Subsets), mirrored(t, w)
			for k := range want { // an address that has ports elsewhere needs no place without
				if _, there := have[k]; !there && k[len(k)-7:] == "no port" && len(have) > 0 {
					delete(want, k)
				}
			}
			if !maps.Equal(want, have) {
				t.Fatalf("round %d: the mirrors have\n%v, want\n%v", round, have, want)
			}
			if p := c.Reconcile(w.Now, w.View, kinds.RefOf(e)); !p.Empty() {
				t.Fatalf("round %d: it would still write:\n%s", round, w.Print(&p))
			}
			for o := range w.Store.List(kinds.EndpointSlice, "") {
				if rapid.IntRange(0, 4).Draw(t, "spoil one in five") == 0 {
					s := kinds.Clone(o.(*discoveryv1.EndpointSlice))
					s.Endpoints, s.ResourceVersion = s.Endpoints[1:], ""
					w.Write(api.Update(s))
				}
			}
			e = kinds.Clone(e)
			e.Subsets = drawSubsets(t)
			w.Write(api.Update(e))
		}
	})
}
