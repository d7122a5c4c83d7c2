package tainteviction

import (
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/placement"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

const component = "taint-eviction-controller"

// Controller is the taint eviction controller.
type Controller struct {
	// pending are the pods that will go when their time is up: since when they
	// have been seen to stand on a tainted node.
	pending map[kinds.Key]time.Time
}

// New returns it.
func New() *Controller { return &Controller{pending: map[kinds.Key]time.Time{}} }

// Name is "taint-eviction-controller".
func (*Controller) Name() string { return component }

// Kinds are nodes, for their taints, and pods.
func (*Controller) Kinds() []kinds.Kind { return []kinds.Kind{kinds.Node, kinds.Pod} }

// Keys asks for a node's pods when its NoExecute taints changed, and for a pod
// that came to a node or changed its tolerations.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Ref.Kind == kinds.Pod {
		c.podKeys(v, e, add)
		return
	}
	if e.Type == store.Deleted {
		return // package podgc sees to its pods
	}
	var old []corev1.Taint
	if e.Old != nil {
		old = noExecute(e.Old.(*corev1.Node))
	}
	if now := noExecute(e.Object.(*corev1.Node)); !equality.Semantic.DeepEqual(old, now) {
		for pod := range v.PodsOn(e.Ref.Name) {
			add(kinds.RefOf(pod))
		}
	}
}

func (c *Controller) podKeys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Type == store.Deleted {
		delete(c.pending, e.Ref.Key)
		return
	}
	pod := e.Object.(*corev1.Pod)
	if pod.Spec.NodeName == "" {
		return
	}
	if e.Old != nil {
		old := e.Old.(*corev1.Pod)
		if old.Spec.NodeName == pod.Spec.NodeName && len(old.Spec.Tolerations) == len(pod.Spec.Tolerations) {
			return // tolerations can only be added to
		}
	}
	if n := v.Node(pod.Spec.NodeName); n != nil && len(noExecute(n)) > 0 {
		add(e.Ref)
	}
}

func noExecute(n *corev1.Node) (out []corev1.Taint) {
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			out = append(out, t)
		}
	}
	return out
}

// Reconcile deletes one pod, or waits until its time is up.
func (c *Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	pod := v.Pod(key.Key)
	if pod == nil || pod.DeletionTimestamp != nil || pod.Spec.NodeName == "" {
		delete(c.pending, key.Key)
		return p
	}
	n := v.Node(pod.Spec.NodeName)
	if n == nil {
		return p
	}
	seen, waiting := c.pending[key.Key]
	if !waiting {
		seen = now
	}
	due, goes := eviction(pod, noExecute(n), seen)
	switch {
	case !goes && waiting:
		delete(c.pending, key.Key)
		p.Note(api.Normal(pod, component, "TaintManagerEviction", "Cancelling deletion of Pod "+key.Key.String()))
	case goes && due.After(now):
		c.pending[key.Key] = seen
		p.LookAgain(due.Sub(now))
	case goes:
		evict(now, pod, &p)
	}
	return p
}

// eviction is when a pod must leave a node with these taints; goes is false when
// it may stay. seen is since when it has been seen there with them.
func eviction(pod *corev1.Pod, taints []corev1.Taint, seen time.Time) (due time.Time, goes bool) {
	for i := range taints {
		grace, ever := tolerance(pod.Spec.Tolerations, &taints[i])
		if ever {
			continue
		}
		start := seen
		if at := taints[i].TimeAdded; at != nil {
			start = at.Time
			if came := arrival(pod); came.After(start) {
				start = came
			}
		}
		if at := start.Add(grace); !goes || at.Before(due) {
			due, goes = at, true
		}
	}
	return due, goes
}

// arrival is when the pod was assigned to its node.
func arrival(pod *corev1.Pod) time.Time {
	if c := view.Condition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return pod.CreationTimestamp.Time
}

// tolerance is how long a pod bears a taint: by its first toleration that matches,
// as upstream takes it.
func tolerance(tolerations []corev1.Toleration, taint *corev1.Taint) (grace time.Duration, ever bool) {
	i := slices.IndexFunc(tolerations, func(t corev1.Toleration) bool { return placement.Tolerates(&t, taint) })
	switch {
	case i < 0:
		return 0, false
	case tolerations[i].TolerationSeconds == nil:
		return 0, true
	}
	seconds := min(max(0, *tolerations[i].TolerationSeconds), math.MaxInt64/int64(time.Second))
	return time.Duration(seconds) * time.Second, false
}

func evict(now time.Time, pod *corev1.Pod, p *ctrl.Plan) {
	name := kinds.KeyOf(pod).String()
	if c := view.Condition(pod, corev1.DisruptionTarget); c == nil || c.Status != corev1.ConditionTrue {
		p.Write(markDisrupted(now, pod))
	}
	p.WriteNoted(api.Delete(kinds.RefOf(pod), pod.UID),
		api.Normal(pod, component, "TaintManagerEviction", "Marking for deletion Pod "+name))
}

func markDisrupted(now time.Time, pod *corev1.Pod) api.Request {
	c := *pod
	c.Status.Conditions = slices.DeleteFunc(slices.Clone(pod.Status.Conditions), func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget
	})
	c.Status.Conditions = append(c.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now),
		Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint",
	})
	return api.UpdateStatus(&c)
}
