package deployment

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
)

const component = "deployment-controller"

// Controller is the controller of Deployments.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "deployment-controller".
func (*Controller) Name() string { return component }

// Kinds are Deployments, their ReplicaSets, and the pods whose end a recreation
// waits for.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.Deployment, kinds.ReplicaSet, kinds.Pod}
}

// Keys asks for a Deployment when it or a set of its changed, when a set that
// nobody controls came to match it, and, for the strategy Recreate, when a pod of
// its ended.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	switch e.Ref.Kind {
	case kinds.Deployment:
		if e.Type != store.Deleted {
			add(e.Ref)
		}
	case kinds.ReplicaSet:
		c.setKeys(v, e, add)
	case kinds.Pod:
		c.podKeys(v, e, add)
	}
}

func (c *Controller) setKeys(v *view.View, e store.Event, add func(kinds.Ref)) {
	rs := e.Object.(*appsv1.ReplicaSet)
	if d := parent(v, rs); d != nil {
		add(kinds.RefOf(d))
	}
	if e.Old != nil && ownership.ControllerUID(e.Old) != ownership.ControllerUID(rs) {
		if d := parent(v, e.Old); d != nil {
			add(kinds.RefOf(d))
		}
	}
	if e.Type == store.Deleted || ownership.Controller(rs) != nil {
		return
	}
	for d := range view.In[*appsv1.Deployment](v, kinds.Deployment, rs.Namespace) {
		if s := selectorOf(d); !s.Empty() && s.Matches(labels.Set(rs.Labels)) {
			add(kinds.RefOf(d))
		}
	}
}

func (c *Controller) podKeys(v *view.View, e store.Event, add func(kinds.Ref)) {
	pod := e.Object.(*corev1.Pod)
	if e.Type != store.Deleted && (e.Old == nil || !view.Finished(pod) || view.Finished(e.Old.(*corev1.Pod))) {
		return
	}
	ref, uid, ok := ownership.ParentOf(pod, kinds.ReplicaSet)
	if !ok {
		return
	}
	rs := view.Get[*appsv1.ReplicaSet](v, kinds.ReplicaSet, ref.Key)
	if rs == nil || rs.UID != uid {
		return
	}
	if d := parent(v, rs); d != nil && !isRolling(d) {
		add(kinds.RefOf(d))
	}
}

// parent is the Deployment that controls a set, or nil.
func parent(v *view.View, rs metav1.Object) *appsv1.Deployment {
	ref, uid, ok := ownership.ParentOf(rs, kinds.Deployment)
	if !ok {
		return nil
	}
	if d := view.Get[*appsv1.Deployment](v, kinds.Deployment, ref.Key); d != nil && d.UID == uid {
		return d
	}
	return nil
}

func selectorOf(d *appsv1.Deployment) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return labels.Nothing()
	}
	return s
}

// Reconcile plays one turn of a Deployment.
func (c *Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	d := view.Get[*appsv1.Deployment](v, kinds.Deployment, key.Key)
	if d == nil {
		return p
	}
	if s := d.Spec.Selector; s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		p.Note(api.Warning(d, component, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required."))
		if d.Status.ObservedGeneration < d.Generation {
			c := *d
			c.Status.ObservedGeneration = d.Generation
			p.Write(api.UpdateStatus(&c))
		}
		return p
	}
	t := begin(now, v, d, &p)
	if !p.Empty() {
		return p // sets change hands first; their events bring the key back
	}
	t.play()
	t.finish()
	return p
}

// Refused tells why the new ReplicaSet could not be created: an event, and the
// condition Progressing.
func (c *Controller) Refused(now time.Time, v *view.View, key kinds.Ref, w api.Request, err error) (p ctrl.Plan) {
	d := view.Get[*appsv1.Deployment](v, kinds.Deployment, key.Key)
	if d == nil || w.Verb != api.VerbCreate || w.Ref.Kind != kinds.ReplicaSet || refusalIsTransient(err) {
		return p
	}
	message := "Failed to create new replica set \"" + w.Ref.Name + "\": " + err.Error()
	p.Note(api.Warning(d, component, reasonCreateError, message))
	if hasDeadline(d) {
		status := d.Status.DeepCopy()
		setCondition(status, newCondition(now, appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonCreateError, message))
		copied := *d
		copied.Status = *status
		if !sameStatus(&d.Status, status) {
			p.Write(api.UpdateStatus(&copied))
		}
	}
	return p
}
