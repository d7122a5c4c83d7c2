package endpointslicemirroring

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

const (
	component = "endpoint-slice-mirroring-controller"
	managedBy = "endpointslicemirroring-controller.k8s.io"
	// leader is the annotation by which Endpoints once served as a lock.
	leader = "control-plane.alpha.kubernetes.io/leader"
)

// Controller is the controller of mirrored EndpointSlices.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "endpointslicemirroring-controller".
func (*Controller) Name() string { return "endpointslicemirroring-controller" }

// Kinds are Endpoints, the services that they are of, and their mirrors.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.Service, kinds.Endpoints, kinds.EndpointSlice}
}

// Keys asks for Endpoints when they, one of their mirrors, or whether their service has
// a selector changed; only where there is something to mirror, or a mirror to delete.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	switch e.Ref.Kind {
	case kinds.Service:
		old, _ := e.Old.(*corev1.Service)
		if e.Type == store.Deleted || old == nil || bare(old) != bare(e.Object.(*corev1.Service)) {
			ask(v, e.Ref.Key, add)
		}
	case kinds.Endpoints:
		if s := v.Service(e.Ref.Key); e.Type == store.Deleted || (s != nil && bare(s)) {
			ask(v, e.Ref.Key, add)
		}
	case kinds.EndpointSlice:
		is, was := keyOf(e.Object), keyOf(e.Old)
		if is.Name != "" {
			ask(v, is, add)
		}
		if was.Name != "" && was != is {
			ask(v, was, add)
		}
	}
}

func bare(s *corev1.Service) bool { return s.Spec.Selector == nil }

func ours(s *discoveryv1.EndpointSlice) bool {
	return s.Labels[discoveryv1.LabelManagedBy] == managedBy
}

// keyOf are the Endpoints that a mirror is of; no key for anything else.
func keyOf(o kinds.Object) kinds.Key {
	if s, ok := o.(*discoveryv1.EndpointSlice); ok && ours(s) {
		return view.ServiceOfSlice(s)
	}
	return kinds.Key{}
}

func ask(v *view.View, key kinds.Key, add func(kinds.Ref)) {
	if toMirror(v, key) != nil || len(mirrors(v, key)) > 0 {
		add(kinds.Ref{Kind: kinds.Endpoints, Key: key})
	}
}

// toMirror are the Endpoints of that key, nil if there are none or nothing is to be
// mirrored of them.
func toMirror(v *view.View, key kinds.Key) *corev1.Endpoints {
	s := v.Service(key)
	if s == nil || !bare(s) {
		return nil
	}
	e := view.Get[*corev1.Endpoints](v, kinds.Endpoints, key)
	if e == nil || e.Labels[discoveryv1.LabelSkipMirror] == "true" {
		return nil
	}
	if _, lock := e.Annotations[leader]; lock {
		return nil
	}
	return e
}

// mirrors are the slices that this controller has made for a service, in the order of
// their names.
func mirrors(v *view.View, service kinds.Key) []*discoveryv1.EndpointSlice {
	var list []*discoveryv1.EndpointSlice
	for s := range v.SlicesOf(service) {
		if ours(s) {
			list = append(list, s)
		}
	}
	return list
}

// Reconcile brings the mirrors of one Endpoints up to date.
func (c *Controller) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	e := toMirror(v, key.Key)
	present := mirrors(v, key.Key)
	switch {
	case e == nil:
		for _, s := range present {
			p.Write(api.Delete(kinds.RefOf(s), s.UID))
		}
		return p
	case e.DeletionTimestamp != nil:
		return p // the garbage collector takes the mirrors
	}
	list, lost := regroup(e.Subsets)
	t := turn{v: v, e: e, labels: labelsOf(e), annotations: annotationsOf(e), taken: map[string]bool{}}
	t.play(wants(list), present, &p)
	if lost.invalid > 0 {
		p.Note(api.Warning(e, component, "InvalidIPAddress",
			fmt.Sprintf("%d addresses are not IP addresses; they are in no EndpointSlice", lost.invalid)))
	}
	if lost.beyond > 0 {
		p.Note(api.Warning(e, component, "TooManyAddressesToMirror", fmt.Sprintf(
			"EndpointSlices mirror at most %d addresses of a subset and %d subsets; %d addresses were left out", addressesMax, subsetsMax, lost.beyond)))
	}
	return p
}

// Refused tells why a mirror could not be written.
func (c *Controller) Refused(_ time.Time, v *view.View, key kinds.Ref, _ api.Request, err error) (p ctrl.Plan) {
	e := toMirror(v, key.Key)
	if e != nil && !errors.HasStatusCause(err, corev1.NamespaceTerminatingCause) && !errors.IsConflict(err) {
		p.Note(api.Warning(e, component, "FailedToUpdateEndpointSlices",
			fmt.Sprintf("Could not mirror Endpoints %s to EndpointSlices: %v", key.Key, err)))
	}
	return p
}
