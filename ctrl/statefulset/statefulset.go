package statefulset

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/podset"
)

const component = "statefulset-controller"

// Controller is the StatefulSet controller.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "statefulset-controller".
func (*Controller) Name() string { return component }

// Kinds are StatefulSets, their pods and revisions.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.StatefulSet, kinds.Pod, kinds.ControllerRevision}
}

// Keys asks for a StatefulSet when it, a pod of its or a revision of its changed.
func (*Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	switch e.Ref.Kind {
	case kinds.StatefulSet:
		if e.Type != store.Deleted {
			add(e.Ref)
		}
	case kinds.ControllerRevision:
		if e.Type == store.Deleted {
			addParent(v, e.Object, add)
		}
	case kinds.Pod:
		podKeys(v, e, add)
	}
}

func podKeys(v *view.View, e store.Event, add func(kinds.Ref)) {
	now := e.Object.(*corev1.Pod)
	if e.Old == nil || e.Type == store.Deleted {
		addParent(v, now, add)
	} else if old := e.Old.(*corev1.Pod); podset.Changed(old, now) {
		if ownership.ControllerUID(old) != ownership.ControllerUID(now) {
			addParent(v, old, add)
		}
		addParent(v, now, add)
	}
	if e.Type == store.Deleted || ownership.Controller(now) != nil || len(now.Labels) == 0 {
		return
	}
	for set := range view.In[*appsv1.StatefulSet](v, kinds.StatefulSet, now.Namespace) {
		if s := selectorOf(set); !s.Empty() && s.Matches(labels.Set(now.Labels)) {
			add(kinds.RefOf(set))
		}
	}
}

func addParent(v *view.View, o kinds.Object, add func(kinds.Ref)) {
	ref, uid, ok := ownership.ParentOf(o, kinds.StatefulSet)
	if !ok {
		return
	}
	if set := v.Object(ref); set != nil && set.GetUID() == uid {
		add(ref)
	}
}

func selectorOf(set *appsv1.StatefulSet) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return labels.Nothing()
	}
	return s
}

// Reconcile plays one turn of a StatefulSet.
func (*Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	set := view.Get[*appsv1.StatefulSet](v, kinds.StatefulSet, key.Key)
	if set == nil || selectorOf(set).Empty() {
		return p
	}
	t := begin(now, v, set, &p)
	if !p.Empty() {
		return p // pods change hands first; their events bring the key back
	}
	t.play()
	return p
}

// Refused tells why a pod or a claim could not be created or deleted.
func (*Controller) Refused(_ time.Time, v *view.View, key kinds.Ref, w api.Request, err error) (p ctrl.Plan) {
	set := view.Get[*appsv1.StatefulSet](v, kinds.StatefulSet, key.Key)
	if set == nil || w.Subresource != "" || errors.IsAlreadyExists(err) || errors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return p
	}
	what := "Pod " + w.Ref.Name
	switch {
	case w.Ref.Kind == kinds.PersistentVolumeClaim:
		what = "Claim " + w.Ref.Name
	case w.Ref.Kind != kinds.Pod:
		return p
	}
	switch w.Verb {
	case api.VerbCreate:
		p.Note(api.Warning(set, component, "FailedCreate", fmt.Sprintf("create %s in StatefulSet %s failed error: %v", what, set.Name, err)))
	case api.VerbDelete:
		p.Note(api.Warning(set, component, "FailedDelete", fmt.Sprintf("delete %s in StatefulSet %s failed error: %v", what, set.Name, err)))
	}
	return p
}
