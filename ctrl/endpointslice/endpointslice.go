package endpointslice

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/backend"
	"seatrial.dev/seatrial/ctrl/ownership"
)

const (
	component = "endpoint-slice-controller"
	managedBy = "endpointslice-controller.k8s.io"
)

// Controller is the controller of EndpointSlices.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "endpointslice-controller".
func (*Controller) Name() string { return "endpointslice-controller" }

// Kinds are services, their slices, pods, and nodes, for their zones.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.Service, kinds.EndpointSlice, kinds.Pod, kinds.Node}
}

// Keys asks for a service when it or a pod behind it changed, when a slice of its
// was changed by others or went, and when a pod's node came or changed its zone.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	switch e.Ref.Kind {
	case kinds.Service:
		if e.Type != store.Deleted {
			add(e.Ref)
		}
	case kinds.EndpointSlice:
		sliceKeys(v, e, add)
	case kinds.Pod:
		backend.Concerned(v, e, add)
	case kinds.Node:
		nodeKeys(v, e, add)
	}
}

func sliceKeys(v *view.View, e store.Event, add func(kinds.Ref)) {
	s := e.Object.(*discoveryv1.EndpointSlice)
	name := s.Labels[discoveryv1.LabelServiceName]
	mine := s.Labels[discoveryv1.LabelManagedBy] == managedBy
	if e.Type == store.Deleted && mine && name != "" {
		add(kinds.Ref{Kind: kinds.Service, Key: kinds.Key{Namespace: s.Namespace, Name: name}})
	}
}

func nodeKeys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Type == store.Deleted || (e.Old != nil &&
		e.Old.GetLabels()[corev1.LabelTopologyZone] == e.Object.GetLabels()[corev1.LabelTopologyZone]) {
		return
	}
	seen := map[kinds.Ref]bool{}
	for pod := range v.PodsOn(e.Ref.Name) {
		if !backend.Counts(pod, true) {
			continue
		}
		for _, s := range v.ServicesOf(pod.Namespace, pod.Labels) {
			if ref := kinds.RefOf(s); backend.Selects(s) && !seen[ref] {
				seen[ref] = true
				add(ref)
			}
		}
	}
}

// Reconcile brings one service's slices up to date.
func (c *Controller) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	s := v.Service(key.Key)
	if s == nil || s.DeletionTimestamp != nil || !backend.Selects(s) {
		return p
	}
	t := &turn{s: s, labels: labelsOf(s), taken: map[string]bool{}}
	for o := range v.Owned(s.UID) {
		if slice, ok := o.(*discoveryv1.EndpointSlice); ok && slice.Labels[discoveryv1.LabelManagedBy] == managedBy {
			t.taken[slice.Name] = true
			t.present = append(t.present, slice)
		}
	}
	t.play(wants(v, s), &p)
	return p
}

// turn is one call of Reconcile.
type turn struct {
	s       *corev1.Service
	labels  map[string]string
	present []*discoveryv1.EndpointSlice // in the order of their names
	taken   map[string]bool              // names of slices, present and planned
}

// sliceGroup is what a slice must have in common with the endpoints in it.
type sliceGroup struct {
	family  discoveryv1.AddressType
	portsID string
}

func (t *turn) play(list []*want, p *ctrl.Plan) {
	byGroup := map[sliceGroup][]*discoveryv1.EndpointSlice{}
	for _, s := range t.present {
		g := sliceGroup{s.AddressType, backend.PortsID(s.Ports)}
		byGroup[g] = append(byGroup[g], s)
	}
	var spare []*discoveryv1.EndpointSlice // to be deleted, or used for another group
	wanted := map[sliceGroup]bool{}
	for _, w := range list {
		wanted[sliceGroup{w.family, w.portsID}] = true
	}
	for _, s := range t.present {
		if !wanted[sliceGroup{s.AddressType, backend.PortsID(s.Ports)}] {
			spare = append(spare, s)
		}
	}
	for _, w := range list {
		drafts := w.fill(byGroup[sliceGroup{w.family, w.portsID}])
		spare = t.write(w, drafts, spare, p)
	}
	for _, s := range spare {
		p.Write(api.Delete(kinds.RefOf(s), s.UID))
	}
}

// write plans the drafts of one group. An empty one becomes spare, unless it is the
// only one of the group; a new one takes the place of a spare one of its family.
func (t *turn) write(w *want, drafts []*draft, spare []*discoveryv1.EndpointSlice, p *ctrl.Plan) []*discoveryv1.EndpointSlice {
	if len(w.endpoints) == 0 { // one empty slice stands for a service without pods
		if len(drafts) == 0 {
			drafts = append(drafts, &draft{})
		}
		for _, d := range drafts[1:] {
			spare = append(spare, d.seen)
		}
		drafts = drafts[:1]
	}
	for _, d := range drafts {
		if d.seen != nil && len(d.endpoints) == 0 && len(w.endpoints) > 0 {
			spare = append(spare, d.seen)
			continue
		}
		if d.seen == nil {
			spare = d.reuse(w.family, spare)
		}
		switch {
		case d.seen == nil:
			p.Write(api.Create(t.slice(w, d)))
		case d.changed || !t.labelled(d.seen):
			p.Write(api.Update(t.slice(w, d)))
		}
	}
	return spare
}

// reuse gives a new draft the name of a spare slice of its family: an update in
// place of a creation and a deletion.
func (d *draft) reuse(family discoveryv1.AddressType, spare []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
	i := slices.IndexFunc(spare, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == family })
	if i < 0 {
		return spare
	}
	d.seen, d.changed = spare[i], true
	return slices.Delete(spare, i, i+1)
}

func (t *turn) labelled(s *discoveryv1.EndpointSlice) bool { return maps.Equal(s.Labels, t.labels) }

// slice is the object that a draft becomes.
func (t *turn) slice(w *want, d *draft) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace:       t.s.Namespace,
		OwnerReferences: []metav1.OwnerReference{ownership.Ref(t.s)},
	}}
	if d.seen != nil {
		s.ObjectMeta = d.seen.ObjectMeta
	} else {
		s.Name = t.freeName()
	}
	s.Labels = maps.Clone(t.labels)
	s.AddressType, s.Ports, s.Endpoints = w.family, w.ports, d.endpoints
	if s.Endpoints == nil {
		s.Endpoints = []discoveryv1.Endpoint{}
	}
	return s
}

// freeName is the first of the service's slice names that is not taken. Kubernetes
// has the API mint one; this one is the same when the plan is made again.
func (t *turn) freeName() string {
	for n := 0; ; n++ {
		if name := backend.SliceName(t.s, n); !t.taken[name] {
			t.taken[name] = true
			return name
		}
	}
}

// labelsOf are the labels of a service's slices: its own, and those by which slices
// are found.
func labelsOf(s *corev1.Service) map[string]string {
	l := maps.Clone(s.Labels)
	if l == nil {
		l = map[string]string{}
	}
	delete(l, corev1.IsHeadlessService)
	if backend.Headless(s) {
		l[corev1.IsHeadlessService] = ""
	}
	l[discoveryv1.LabelServiceName] = s.Name
	l[discoveryv1.LabelManagedBy] = managedBy
	return l
}

// Refused tells why a slice could not be written.
func (c *Controller) Refused(_ time.Time, v *view.View, key kinds.Ref, _ api.Request, err error) (p ctrl.Plan) {
	s := v.Service(key.Key)
	if s != nil && !errors.HasStatusCause(err, corev1.NamespaceTerminatingCause) && !errors.IsConflict(err) {
		p.Note(api.Warning(s, component, "FailedToUpdateEndpointSlices",
			fmt.Sprintf("Error updating Endpoint Slices for Service %s: %v", key.Key, err)))
	}
	return p
}
