package endpoint

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/backend"
)

const (
	component    = "endpoint-controller"
	managedBy    = "endpoints.kubernetes.io/managed-by"
	overCapacity = corev1.EndpointsOverCapacity
)

// Controller is the controller of Endpoints.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "endpoint-controller".
func (*Controller) Name() string { return component }

// Kinds are services, their Endpoints, and pods.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.Service, kinds.Endpoints, kinds.Pod}
}

// Keys asks for a service when it or a pod behind it changed or its Endpoints went,
// and for one that is gone when Endpoints of it are left.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	switch e.Ref.Kind {
	case kinds.Service:
		add(e.Ref)
	case kinds.Endpoints:
		left := e.Type == store.Added && v.Service(e.Ref.Key) == nil && ours(e.Object.(*corev1.Endpoints))
		if left || e.Type == store.Deleted {
			add(kinds.Ref{Kind: kinds.Service, Key: e.Ref.Key})
		}
	case kinds.Pod:
		backend.Concerned(v, e, add)
	}
}

func ours(e *corev1.Endpoints) bool { return e.Labels[managedBy] == component }

// Reconcile brings one service's Endpoints up to date.
func (c *Controller) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	s := v.Service(key.Key)
	have := view.Get[*corev1.Endpoints](v, kinds.Endpoints, key.Key)
	if s == nil {
		if have != nil {
			p.Write(api.Delete(kinds.RefOf(have), have.UID))
		}
		return p
	}
	if !backend.Selects(s) {
		return p
	}
	want := wanted(s, subsets(v, s), have)
	switch {
	case have == nil:
		p.Write(api.Create(want))
	case !sameSubsets(have.Subsets, want.Subsets) ||
		!maps.Equal(have.Labels, want.Labels) || !maps.Equal(have.Annotations, want.Annotations):
		p.Write(api.Update(want))
	}
	return p
}

// wanted is what the service's Endpoints should be. The service's labels become
// theirs.
func wanted(s *corev1.Service, list []corev1.EndpointSubset, have *corev1.Endpoints) *corev1.Endpoints {
	want := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace}}
	if have != nil {
		want.ObjectMeta = have.ObjectMeta
	}
	want.Annotations = maps.Clone(want.Annotations)
	delete(want.Annotations, overCapacity)
	if truncate(list) {
		if want.Annotations == nil {
			want.Annotations = map[string]string{}
		}
		want.Annotations[overCapacity] = "truncated"
	}
	want.Subsets = list
	want.Labels = maps.Clone(s.Labels)
	if want.Labels == nil {
		want.Labels = map[string]string{}
	}
	delete(want.Labels, corev1.IsHeadlessService)
	if backend.Headless(s) {
		want.Labels[corev1.IsHeadlessService] = ""
	}
	want.Labels[managedBy] = component
	return want
}

// Refused tells why the Endpoints could not be written.
func (c *Controller) Refused(_ time.Time, v *view.View, key kinds.Ref, w api.Request, err error) (p ctrl.Plan) {
	s := v.Service(key.Key)
	if s == nil || errors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || errors.IsConflict(err) {
		return p
	}
	switch w.Verb {
	case api.VerbCreate:
		p.Note(api.Warning(s, component, "FailedToCreateEndpoint", fmt.Sprintf("Failed to create endpoint for service %s: %v", key.Key, err)))
	case api.VerbUpdate:
		p.Note(api.Warning(s, component, "FailedToUpdateEndpoint", fmt.Sprintf("Failed to update endpoint %s: %v", key.Key, err)))
	}
	return p
}
