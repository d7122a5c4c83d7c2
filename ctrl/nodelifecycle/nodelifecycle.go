package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

const component = "node-controller"

// How long a node may be silent: after its last heartbeat, and after its creation
// if there never was one (--node-monitor-grace-period, which was 40 s until
// Kubernetes 1.32, and --node-startup-grace-period).
const (
	graceMax        = 40 * time.Second
	startupGraceMax = 60 * time.Second
)

// Controller is the node lifecycle controller.
type Controller struct {
	registered map[string]first // nodes whose event RegisteredNode was told
}

// first is when a node was first seen. Its silence counts from then at the earliest: the
// heartbeats of a time without an API server could not be written, and its node is not to
// blame (a node monitor of Kubernetes that has just started waits, too).
type first struct {
	uid types.UID
	at  time.Time
}

// New returns it.
func New() *Controller { return &Controller{registered: map[string]first{}} }

// Name is "node-lifecycle-controller".
func (*Controller) Name() string { return "node-lifecycle-controller" }

// Kinds are the nodes and their leases.
func (*Controller) Kinds() []kinds.Kind { return []kinds.Kind{kinds.Node, kinds.Lease} }

// Keys asks for a node when its spec or its conditions changed, and when its lease was
// written, which may say that the heartbeats stopped.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Ref.Kind == kinds.Lease {
		if e.Ref.Namespace == view.NodeLeaseNamespace && e.Type != store.Deleted {
			add(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: e.Ref.Name}})
		}
		return
	}
	n := e.Object.(*corev1.Node)
	switch {
	case e.Type == store.Deleted:
		delete(c.registered, n.Name)
	case e.Old == nil || concerns(e.Old.(*corev1.Node), n):
		add(e.Ref)
	}
}

func concerns(old, now *corev1.Node) bool {
	return old.UID != now.UID || old.Spec.Unschedulable != now.Spec.Unschedulable ||
		!equality.Semantic.DeepEqual(old.Spec.Taints, now.Spec.Taints) ||
		!equality.Semantic.DeepEqual(old.Status.Conditions, now.Status.Conditions)
}

// Reconcile looks after one node.
func (c *Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	n := v.Node(key.Name)
	if n == nil {
		return p
	}
	if c.registered[n.Name].uid != n.UID {
		c.registered[n.Name] = first{n.UID, now.Truncate(time.Second)} // as its creation is told
		p.Note(api.Normal(n, component, "RegisteredNode", "Node "+n.Name+" event: Registered Node "+n.Name+" in Controller"))
	}
	due, watched := deadline(v, n, c.registered[n.Name].at)
	if watched && !now.Before(due) {
		if conditions, changed := silent(n, now); changed {
			p.WriteNoted(statusWrite(n, conditions), notReadyNotes(n)...)
			markPods(now, v, n.Name, &p)
			return p
		}
	}
	if ready := condition(n, corev1.NodeReady); ready != nil && ready.Status == corev1.ConditionUnknown {
		markPods(now, v, n.Name, &p)
	} else if watched {
		p.LookAgain(due.Sub(now))
	}
	tend(now, n, &p)
	return p
}

// deadline is when a node's silence has lasted too long, of one that was first seen at a
// time; watched is false when the view vouches for its heartbeats.
func deadline(v *view.View, n *corev1.Node, seen time.Time) (due time.Time, watched bool) {
	last, steady := v.Heartbeat(n.Name)
	if steady {
		return time.Time{}, false
	}
	if v.Unheard(n.Name) {
		return last, true
	}
	ready := condition(n, corev1.NodeReady)
	if ready == nil {
		if last.IsZero() {
			return n.CreationTimestamp.Add(startupGraceMax), true
		}
		return later(later(last, n.CreationTimestamp.Time), seen).Add(graceMax), true
	}
	return later(later(last, ready.LastHeartbeatTime.Time), later(n.CreationTimestamp.Time, seen)).Add(graceMax), true
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func condition(n *corev1.Node, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == t {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// silent returns a silent node's conditions: what it said last is unknown now.
func silent(n *corev1.Node, now time.Time) (conditions []corev1.NodeCondition, changed bool) {
	at := metav1.NewTime(now)
	conditions = slices.Clone(n.Status.Conditions)
	for _, t := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		i := slices.IndexFunc(conditions, func(c corev1.NodeCondition) bool { return c.Type == t })
		if i < 0 {
			conditions = append(conditions, corev1.NodeCondition{
				Type: t, Status: corev1.ConditionUnknown,
				Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: at,
			})
			changed = true
			continue
		}
		if c := &conditions[i]; c.Status != corev1.ConditionUnknown {
			c.Status, c.LastTransitionTime = corev1.ConditionUnknown, at
			c.Reason, c.Message = "NodeStatusUnknown", "Kubelet stopped posting node status."
			changed = true
		}
	}
	return conditions, changed
}

func statusWrite(n *corev1.Node, conditions []corev1.NodeCondition) api.Request {
	c := *n // shares all but the conditions, which alone a status write changes here
	c.Status.Conditions = conditions
	return api.UpdateStatus(&c)
}

// notReadyNotes tell of a node that was ready until now.
func notReadyNotes(n *corev1.Node) []api.Note {
	if c := condition(n, corev1.NodeReady); c == nil || c.Status != corev1.ConditionTrue {
		return nil
	}
	return []api.Note{api.Normal(n, component, "NodeNotReady", "Node "+n.Name+" status is now: NodeNotReady")}
}

// markPods sets the pods of a silent node not ready, so that services leave them.
func markPods(now time.Time, v *view.View, node string, p *ctrl.Plan) {
	for pod := range v.PodsOn(node) {
		if !view.Ready(pod) {
			continue
		}
		c := *pod
		c.Status.Conditions = slices.Clone(pod.Status.Conditions)
		r := view.Condition(&c, corev1.PodReady)
		r.Status, r.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(now)
		p.WriteNoted(api.UpdateStatus(&c), api.Warning(pod, component, "NodeNotReady", "Node is not ready"))
	}
}
