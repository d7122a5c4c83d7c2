package endpointslicemirroring

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/backend"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// want is what one slice should hold.
type want struct {
	place
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
}

// place is what tells the slices of one Endpoints apart.
type place struct {
	family  discoveryv1.AddressType
	portsID string
}

func placeOf(s *discoveryv1.EndpointSlice) place {
	return place{s.AddressType, backend.PortsID(s.Ports)}
}

// wants are the slices that groups should have: one for each family in them.
func wants(list []*group) []*want {
	var out []*want
	for _, g := range list {
		v4, v6 := &want{}, &want{}
		v4.family, v6.family = discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6
		for i := range g.addresses {
			w := v4
			if g.addresses[i].v6 {
				w = v6
			}
			w.endpoints = append(w.endpoints, endpointOf(&g.addresses[i]))
		}
		ports := portsOf(g.ports)
		for _, w := range []*want{v4, v6} {
			if len(w.endpoints) > 0 {
				w.ports, w.portsID = ports, backend.PortsID(ports)
				out = append(out, w)
			}
		}
	}
	return out
}

func portsOf(list []corev1.EndpointPort) []discoveryv1.EndpointPort {
	out := make([]discoveryv1.EndpointPort, 0, len(list))
	for i := range list {
		p := &list[i]
		out = append(out, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
	}
	return out
}

var yes, no = true, false //det:ok constants that pointers can show to; nobody writes to them

// endpointOf is an address as slices have it. Endpoints do not say whether one serves or
// ends, so neither does the slice.
func endpointOf(a *address) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{a.ip}, TargetRef: a.from.TargetRef, NodeName: a.from.NodeName}
	e.Conditions.Ready = &no
	if a.ready {
		e.Conditions.Ready = &yes
	}
	if a.from.Hostname != "" {
		e.Hostname = &a.from.Hostname
	}
	return e
}

// sameEndpoint says whether an endpoint needs no change. What a mirror never says
// (conditions, zone, hints) must be missing.
func sameEndpoint(a, b discoveryv1.Endpoint) bool {
	said := func(e *discoveryv1.Endpoint) bool {
		return e.Conditions.Serving != nil || e.Conditions.Terminating != nil || e.Zone != nil || e.Hints != nil || e.Conditions.Ready == nil
	}
	return !said(&a) && !said(&b) && *a.Conditions.Ready == *b.Conditions.Ready && slices.Equal(a.Addresses, b.Addresses) &&
		deref(a.NodeName) == deref(b.NodeName) && deref(a.Hostname) == deref(b.Hostname) && deref(a.TargetRef) == deref(b.TargetRef)
}

// turn is one call of Reconcile.
type turn struct {
	v                   *view.View
	e                   *corev1.Endpoints
	labels, annotations map[string]string
	taken               map[string]bool // names of planned slices
}

// play plans writes by which the present slices, in the order of their names, become
// the wanted ones. A new slice takes the place of one of its family that would go.
func (t *turn) play(list []*want, present []*discoveryv1.EndpointSlice, p *ctrl.Plan) {
	wanted, kept := map[place]bool{}, map[place]*discoveryv1.EndpointSlice{}
	for _, w := range list {
		wanted[w.place] = true
	}
	var spare []*discoveryv1.EndpointSlice
	for _, s := range present {
		if at := placeOf(s); wanted[at] && kept[at] == nil {
			kept[at] = s
		} else {
			spare = append(spare, s)
		}
	}
	for _, w := range list {
		seen := kept[w.place]
		if seen == nil {
			if i := slices.IndexFunc(spare, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == w.family }); i >= 0 {
				seen = spare[i]
				spare = slices.Delete(spare, i, i+1)
			}
		}
		switch {
		case seen == nil:
			p.Write(api.Create(t.slice(w, metav1.ObjectMeta{Namespace: t.e.Namespace, Name: t.freeName()})))
		case !t.same(w, seen):
			p.Write(api.Update(t.slice(w, seen.ObjectMeta)))
		}
	}
	for _, s := range spare {
		p.Write(api.Delete(kinds.RefOf(s), s.UID))
	}
}

func (t *turn) same(w *want, s *discoveryv1.EndpointSlice) bool {
	return placeOf(s) == w.place && ownership.Controls(t.e, s) &&
		maps.Equal(s.Labels, t.labels) && maps.Equal(s.Annotations, t.annotations) &&
		slices.EqualFunc(s.Endpoints, w.endpoints, sameEndpoint)
}

func (t *turn) slice(w *want, meta metav1.ObjectMeta) *discoveryv1.EndpointSlice {
	meta.Labels, meta.Annotations = t.labels, t.annotations
	meta.OwnerReferences = []metav1.OwnerReference{ownership.Ref(t.e)}
	return &discoveryv1.EndpointSlice{ObjectMeta: meta, AddressType: w.family, Ports: w.ports, Endpoints: w.endpoints}
}

// freeName is the first of the names of this Endpoints' mirrors that no slice has, so
// that a plan that is made again names the same ones.
func (t *turn) freeName() string {
	for n := 0; ; n++ {
		name := backend.SliceName(t.e, n)
		ref := kinds.Ref{Kind: kinds.EndpointSlice, Key: kinds.Key{Namespace: t.e.Namespace, Name: name}}
		if !t.taken[name] && t.v.Object(ref) == nil {
			t.taken[name] = true
			return name
		}
	}
}

// labelsOf are the labels of the mirrors: those of the Endpoints, and those by which
// slices are found.
func labelsOf(e *corev1.Endpoints) map[string]string {
	l := maps.Clone(e.Labels)
	if l == nil {
		l = map[string]string{}
	}
	l[discoveryv1.LabelServiceName] = e.Name
	l[discoveryv1.LabelManagedBy] = managedBy
	return l
}

// annotationsOf are the annotations of the mirrors: those of the Endpoints that are not
// about the Endpoints object itself.
func annotationsOf(e *corev1.Endpoints) map[string]string {
	a := maps.Clone(e.Annotations)
	delete(a, corev1.EndpointsLastChangeTriggerTime)
	delete(a, corev1.LastAppliedConfigAnnotation)
	return a
}
