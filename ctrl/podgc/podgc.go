package podgc

import (
	"cmp"
	"slices"
	"time"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

const (
	// finishedMax is how many finished pods a cluster keeps
	// (--terminated-pod-gc-threshold).
	finishedMax = 12500
	// quarantine is how long the pods of a node that is gone are left alone: it may
	// only be that we have not heard of the node yet.
	quarantine = 40 * time.Second
	// deletesMax is how many pods one plan removes.
	deletesMax = 500
)

// Controller is the pod garbage collector.
type Controller struct {
	read     bool // finished holds what the view had
	finished *btree.BTreeG[finishedPod]
	gone     map[string]time.Time // nodes that are not there: since when
	max      int
}

type finishedPod struct {
	evicted bool
	created time.Time
	key     kinds.Key
	uid     types.UID
}

func lessFinished(a, b finishedPod) bool {
	if a.evicted != b.evicted {
		return a.evicted
	}
	return cmp.Or(a.created.Compare(b.created), a.key.Compare(b.key), cmp.Compare(a.uid, b.uid)) < 0
}

// New returns it.
func New() *Controller {
	return &Controller{
		finished: btree.NewBTreeGOptions(lessFinished, btree.Options{NoLocks: true}),
		gone:     map[string]time.Time{}, max: finishedMax,
	}
}

// Name is "pod-garbage-collector-controller".
func (*Controller) Name() string { return "pod-garbage-collector-controller" }

// Kinds are pods and nodes.
func (*Controller) Kinds() []kinds.Kind { return []kinds.Kind{kinds.Node, kinds.Pod} }

// allFinished is the key for the finished pods of the cluster.
func allFinished() kinds.Ref { return kinds.Ref{Kind: kinds.Pod} }

func nodeRef(name string) kinds.Ref { return kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: name}} }

// Keys asks for a node that went or is out of service, for a pod that leaves
// without an agent, and for the finished pods when there are too many.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Ref.Kind == kinds.Node {
		if e.Type == store.Added {
			delete(c.gone, e.Ref.Name)
		}
		if e.Type == store.Deleted || outOfService(e.Object.(*corev1.Node)) {
			add(e.Ref)
		}
		return
	}
	c.readOnce(v)
	c.follow(e)
	if c.finished.Len() > c.max {
		add(allFinished())
	}
	if e.Type == store.Deleted {
		return
	}
	pod := e.Object.(*corev1.Pod)
	var old *corev1.Pod
	if e.Old != nil {
		old = e.Old.(*corev1.Pod)
	}
	switch leaves := pod.DeletionTimestamp != nil && (old == nil || old.DeletionTimestamp == nil); {
	case pod.Spec.NodeName == "" && leaves:
		add(e.Ref)
	case pod.Spec.NodeName == "" || (old != nil && old.Spec.NodeName != "" && !leaves):
	default: // it came to its node, or begins to leave it
		if n := v.Node(pod.Spec.NodeName); n == nil || (leaves && outOfService(n)) {
			add(nodeRef(pod.Spec.NodeName))
		}
	}
}

func (c *Controller) readOnce(v *view.View) {
	if c.read {
		return
	}
	c.read = true
	for pod := range view.All[*corev1.Pod](v, kinds.Pod) {
		if view.Finished(pod) {
			c.finished.Set(recordOf(pod))
		}
	}
}

// follow keeps the finished pods up to date.
func (c *Controller) follow(e store.Event) {
	if e.Old != nil && view.Finished(e.Old.(*corev1.Pod)) {
		c.finished.Delete(recordOf(e.Old.(*corev1.Pod)))
	}
	if e.Type != store.Deleted && view.Finished(e.Object.(*corev1.Pod)) {
		c.finished.Set(recordOf(e.Object.(*corev1.Pod)))
	}
}

func recordOf(p *corev1.Pod) finishedPod {
	return finishedPod{p.Status.Reason == "Evicted", p.CreationTimestamp.Time, kinds.KeyOf(p), p.UID}
}

// outOfService says whether a node is down for good: somebody said so by the taint,
// and it is not ready.
func outOfService(n *corev1.Node) bool {
	tainted := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return tainted && !ready
}

// Reconcile removes the pods that a key stands for.
func (c *Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	switch {
	case key.Kind == kinds.Node:
		c.node(now, v, key.Name, &p)
	case key == allFinished():
		c.tooMany(v, &p)
	default:
		pod := v.Pod(key.Key)
		if pod != nil && pod.DeletionTimestamp != nil && pod.Spec.NodeName == "" && len(pod.Finalizers) == 0 {
			fail(now, pod, "", &p)
		}
	}
	if len(p.Writes) >= deletesMax {
		p.LookAgain(time.Millisecond) // there may be more
	}
	return p
}

func (c *Controller) tooMany(v *view.View, p *ctrl.Plan) {
	c.readOnce(v)
	n := min(c.finished.Len()-c.max, deletesMax)
	c.finished.Scan(func(f finishedPod) bool {
		if len(p.Writes) >= n {
			return false
		}
		p.Write(removal(f.key, f.uid))
		return true
	})
}

func removal(key kinds.Key, uid types.UID) api.Request {
	w := api.Delete(kinds.Ref{Kind: kinds.Pod, Key: key}, uid)
	w.Grace = 0
	return w
}

func (c *Controller) node(now time.Time, v *view.View, name string, p *ctrl.Plan) {
	n := v.Node(name)
	if n != nil {
		delete(c.gone, name)
		if outOfService(n) {
			for pod := range v.PodsOn(name) {
				if pod.DeletionTimestamp != nil && len(p.Writes) < deletesMax {
					fail(now, pod, "", p)
				}
			}
		}
		return
	}
	if v.PodsOnLen(name) == 0 {
		delete(c.gone, name)
		return
	}
	since, known := c.gone[name]
	if !known {
		since = now
		c.gone[name] = now
	}
	if wait := since.Add(quarantine).Sub(now); wait > 0 {
		p.LookAgain(wait)
		return
	}
	for pod := range v.PodsOn(name) {
		if len(p.Writes) < deletesMax {
			fail(now, pod, "PodGC: node no longer exists", p)
		}
	}
}

// fail marks an unfinished pod Failed, with the condition DisruptionTarget if there
// is something to say, and removes it without grace.
func fail(now time.Time, pod *corev1.Pod, why string, p *ctrl.Plan) {
	if !view.Finished(pod) {
		c := *pod
		c.Status.Phase = corev1.PodFailed
		if why != "" {
			c.Status.Conditions = slices.DeleteFunc(slices.Clone(pod.Status.Conditions), func(c corev1.PodCondition) bool {
				return c.Type == corev1.DisruptionTarget
			})
			c.Status.Conditions = append(c.Status.Conditions, corev1.PodCondition{
				Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now),
				Reason: "DeletionByPodGC", Message: why,
			})
		}
		p.Write(api.UpdateStatus(&c))
	}
	p.Write(removal(kinds.KeyOf(pod), pod.UID))
}
