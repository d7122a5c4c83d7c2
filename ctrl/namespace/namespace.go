package namespace

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

// deletesMax is how many objects one plan deletes.
const deletesMax = 500

// Controller is the namespace controller.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "namespace-controller".
func (*Controller) Name() string { return "namespace-controller" }

// Kinds are namespaces and all that lies in them.
func (*Controller) Kinds() []kinds.Kind { return append([]kinds.Kind{kinds.Namespace}, contents()...) }

// contents are the kinds that lie in namespaces, pods first. events.k8s.io is
// another face of the core events.
func contents() []kinds.Kind {
	list := []kinds.Kind{kinds.Pod}
	for _, i := range kinds.All() {
		if i.Namespaced && i.Kind != kinds.Pod && i.Kind != kinds.EventsEvent {
			list = append(list, i.Kind)
		}
	}
	return list
}

// Keys asks for a namespace that is being deleted, and again when the last object
// of a kind has left it.
func (*Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Ref.Kind == kinds.Namespace {
		if e.Type != store.Deleted && e.Object.GetDeletionTimestamp() != nil {
			add(e.Ref)
		}
		return
	}
	if e.Type != store.Deleted {
		return
	}
	ns := kinds.Ref{Kind: kinds.Namespace, Key: kinds.Key{Name: e.Ref.Namespace}}
	if o := v.Object(ns); o == nil || o.GetDeletionTimestamp() == nil {
		return
	}
	for range view.In[kinds.Object](v, e.Ref.Kind, e.Ref.Namespace) {
		return
	}
	add(ns)
}

// Reconcile empties one namespace.
func (*Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	ns := view.Get[*corev1.Namespace](v, kinds.Namespace, key.Key)
	if ns == nil || ns.DeletionTimestamp == nil || !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return p
	}
	rest := &remains{finalizers: map[string]int{}}
	for i, k := range contents() {
		n := rest.count(v, k, ns.Name, &p)
		if i == 0 && n > 0 {
			for _, k := range contents()[1:] { // counted, but not touched yet
				rest.count(v, k, ns.Name, nil)
			}
			break
		}
	}
	if len(p.Writes) >= deletesMax {
		p.LookAgain(time.Millisecond) // there may be more
	}
	if status := rest.status(now, &ns.Status); !equality.Semantic.DeepEqual(ns.Status, status) {
		c := *ns
		c.Status = status
		p.Write(api.UpdateStatus(&c))
	}
	if len(rest.kinds) == 0 {
		p.Write(finalize(ns))
	}
	return p
}

// finalize takes the finalizer "kubernetes" from the namespace's spec. Whoever
// wrote its status in between does not matter.
func finalize(ns *corev1.Namespace) api.Request {
	c := *ns
	c.ResourceVersion = ""
	c.Spec.Finalizers = slices.DeleteFunc(slices.Clone(ns.Spec.Finalizers), func(f corev1.FinalizerName) bool {
		return f == corev1.FinalizerKubernetes
	})
	return api.Request{Verb: api.VerbUpdate, Ref: kinds.RefOf(ns), Subresource: api.SubFinalize, Object: &c, UID: ns.UID}
}

// remains is what is left in a namespace.
type remains struct {
	kinds      []string // "pods. has 2 resource instances"
	finalizers map[string]int
}

// count counts a kind's objects, and plans the deletion of those that are not being
// deleted yet, if p is given.
func (r *remains) count(v *view.View, k kinds.Kind, namespace string, p *ctrl.Plan) int {
	n := 0
	if !v.Has(k) {
		return 0
	}
	for o := range view.In[kinds.Object](v, k, namespace) {
		n++
		for _, f := range o.GetFinalizers() {
			r.finalizers[f]++
		}
		if p != nil && o.GetDeletionTimestamp() == nil && len(p.Writes) < deletesMax {
			w := api.Delete(kinds.RefOf(o), o.GetUID())
			w.Propagation = metav1.DeletePropagationBackground
			p.Write(w)
		}
	}
	if n > 0 {
		gvr := k.Info().GVR()
		r.kinds = append(r.kinds, fmt.Sprintf("%s.%s has %d resource instances", gvr.Resource, gvr.Group, n))
	}
	return n
}

// status is the namespace's status with the conditions of its deletion; their
// words are Kubernetes'.
func (r *remains) status(now time.Time, old *corev1.NamespaceStatus) corev1.NamespaceStatus {
	s := *old
	s.Conditions = slices.Clone(old.Conditions)
	set := func(t corev1.NamespaceConditionType, status corev1.ConditionStatus, reason, message string) {
		setCondition(&s, corev1.NamespaceCondition{Type: t, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(now)})
	}
	set(corev1.NamespaceDeletionDiscoveryFailure, corev1.ConditionFalse, "ResourcesDiscovered", "All resources successfully discovered")
	set(corev1.NamespaceDeletionGVParsingFailure, corev1.ConditionFalse, "ParsedGroupVersions", "All legacy kube types successfully parsed")
	set(corev1.NamespaceDeletionContentFailure, corev1.ConditionFalse, "ContentDeleted", "All content successfully deleted, may be waiting on finalization")
	if len(r.kinds) > 0 {
		slices.Sort(r.kinds)
		set(corev1.NamespaceContentRemaining, corev1.ConditionTrue, "SomeResourcesRemain", "Some resources are remaining: "+strings.Join(r.kinds, ", "))
	} else {
		set(corev1.NamespaceContentRemaining, corev1.ConditionFalse, "ContentRemoved", "All content successfully removed")
	}
	if list := r.finalizerList(); len(list) > 0 {
		set(corev1.NamespaceFinalizersRemaining, corev1.ConditionTrue, "SomeFinalizersRemain",
			"Some content in the namespace has finalizers remaining: "+strings.Join(list, ", "))
	} else {
		set(corev1.NamespaceFinalizersRemaining, corev1.ConditionFalse, "ContentHasNoFinalizers", "All content-preserving finalizers finished")
	}
	return s
}

func (r *remains) finalizerList() (out []string) {
	for f, n := range r.finalizers { //det:ok sorted just below as text
		out = append(out, fmt.Sprintf("%s in %d resource instances", f, n))
	}
	slices.Sort(out)
	return out
}

func setCondition(s *corev1.NamespaceStatus, c corev1.NamespaceCondition) {
	for i := range s.Conditions {
		old := &s.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}
