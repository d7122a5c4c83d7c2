package daemonset

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
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

const component = "daemonset-controller"

// burstMax is how many pods one plan creates, and deletes.
const burstMax = 250

// Controller is the DaemonSet controller.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "daemonset-controller".
func (*Controller) Name() string { return component }

// Kinds are DaemonSets, their pods and revisions, and nodes.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.DaemonSet, kinds.Pod, kinds.Node, kinds.ControllerRevision}
}

// Keys asks for a DaemonSet when it, a pod of its or a revision of its changed, and
// for all when a node came, went, or changed in what makes it suit.
func (*Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	switch e.Ref.Kind {
	case kinds.DaemonSet:
		if e.Type != store.Deleted {
			add(e.Ref)
		}
	case kinds.Node:
		if e.Old != nil && e.Type == store.Modified && sameNode(e.Old.(*corev1.Node), e.Object.(*corev1.Node)) {
			return
		}
		for ds := range view.All[*appsv1.DaemonSet](v, kinds.DaemonSet) {
			add(kinds.RefOf(ds))
		}
	case kinds.ControllerRevision:
		if e.Type == store.Deleted {
			addParent(v, e.Object, add)
		}
	case kinds.Pod:
		podKeys(v, e, add)
	}
}

func sameNode(a, b *corev1.Node) bool {
	return equality.Semantic.DeepEqual(a.Labels, b.Labels) && equality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints)
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
	for ds := range view.In[*appsv1.DaemonSet](v, kinds.DaemonSet, now.Namespace) {
		if s := selectorOf(ds); !s.Empty() && s.Matches(labels.Set(now.Labels)) {
			add(kinds.RefOf(ds))
		}
	}
}

func addParent(v *view.View, o kinds.Object, add func(kinds.Ref)) {
	ref, uid, ok := ownership.ParentOf(o, kinds.DaemonSet)
	if !ok {
		return
	}
	if ds := v.Object(ref); ds != nil && ds.GetUID() == uid {
		add(ref)
	}
}

func selectorOf(ds *appsv1.DaemonSet) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return labels.Nothing()
	}
	return s
}

// Reconcile plays one turn of a DaemonSet.
func (*Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	ds := view.Get[*appsv1.DaemonSet](v, kinds.DaemonSet, key.Key)
	if ds == nil || ds.DeletionTimestamp != nil {
		return p
	}
	if selectorOf(ds).Empty() {
		p.Note(api.Warning(ds, component, "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required."))
		return p
	}
	t := begin(now, v, ds, &p)
	t.play()
	return p
}

// Refused tells why a pod could not be created or deleted.
func (*Controller) Refused(_ time.Time, v *view.View, key kinds.Ref, w api.Request, err error) (p ctrl.Plan) {
	ds := view.Get[*appsv1.DaemonSet](v, kinds.DaemonSet, key.Key)
	if ds == nil || w.Ref.Kind != kinds.Pod || errors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return p
	}
	switch w.Verb {
	case api.VerbCreate:
		p.Note(api.Warning(ds, component, "FailedCreate", fmt.Sprintf("Error creating: %v", err)))
	case api.VerbDelete:
		p.Note(api.Warning(ds, component, "FailedDelete", fmt.Sprintf("Error deleting: %v", err)))
	}
	return p
}
