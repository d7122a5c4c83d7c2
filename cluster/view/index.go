package view

import (
	"iter"
	"time"

	"github.com/tidwall/btree"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
)

// NodeLeaseNamespace is where node agents renew their leases.
const NodeLeaseNamespace = "kube-node-lease"

// index moves an entry from where its old state belongs to where its new state
// does. Either may be nil.
func (v *View) index(e *entry, old, now kinds.Object) {
	if !sameOwners(old, now) {
		eachOwner(old, func(uid types.UID) { drop(v.owned, uid, e) })
		eachOwner(now, func(uid types.UID) { add(v.owned, uid, e) })
	}
	v.ownerless.index(e, old, now)
	v.selections.index(v, e, old, now)
	if e.ref.Kind == kinds.PersistentVolume {
		v.volumes.index(e, old, now)
	}
	if e.ref.Kind == kinds.EndpointSlice {
		v.slices.index(e, old, now)
	}
	if e.ref.Kind == kinds.Pod {
		o, _ := old.(*corev1.Pod)
		n, _ := now.(*corev1.Pod)
		v.indexPod(e, o, n)
	}
}

func (v *View) indexPod(e *entry, old, now *corev1.Pod) {
	if old == nil || now == nil || old.Spec.NodeName != now.Spec.NodeName {
		if old != nil {
			drop(v.onNode, old.Spec.NodeName, e)
		}
		if now != nil {
			add(v.onNode, now.Spec.NodeName, e)
		}
	}
	was, is := controllerOf(old), controllerOf(now)
	if old != nil && was != "" {
		g := v.podsOf[was]
		g.tally(old, -1)
		if now == nil || was != is {
			g.tree.Delete(e)
			if g.tree.Len() == 0 {
				delete(v.podsOf, was)
			}
		}
	}
	if now != nil && is != "" {
		g := v.podsOf[is]
		if g == nil {
			g = &Group{tree: newTree()}
			v.podsOf[is] = g
		}
		g.tally(now, +1)
		if old == nil || was != is {
			g.tree.Set(e)
		}
	}
	wasOrphan, isOrphan := old != nil && was == "", now != nil && is == ""
	if wasOrphan != isOrphan {
		if isOrphan {
			add(v.orphans, e.ref.Namespace, e)
		} else {
			drop(v.orphans, e.ref.Namespace, e)
		}
	}
}

func add[K comparable](m map[K]*btree.BTreeG[*entry], key K, e *entry) {
	t := m[key]
	if t == nil {
		t = newTree()
		m[key] = t
	}
	t.Set(e)
}

func drop[K comparable](m map[K]*btree.BTreeG[*entry], key K, e *entry) {
	if t := m[key]; t != nil {
		t.Delete(e)
		if t.Len() == 0 {
			delete(m, key)
		}
	}
}

func eachOwner(o kinds.Object, f func(types.UID)) {
	if o == nil {
		return
	}
	for _, r := range o.GetOwnerReferences() {
		f(r.UID)
	}
}

func sameOwners(a, b kinds.Object) bool {
	if a == nil || b == nil {
		return false
	}
	x, y := a.GetOwnerReferences(), b.GetOwnerReferences()
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].UID != y[i].UID {
			return false
		}
	}
	return true
}

func controllerOf(p *corev1.Pod) types.UID {
	if p == nil {
		return ""
	}
	if r := metav1.GetControllerOfNoCopy(p); r != nil {
		return r.UID
	}
	return ""
}

// Owned walks the objects of every kind that name uid among their owners, in the
// order of kinds and keys.
func (v *View) Owned(uid types.UID) iter.Seq[kinds.Object] {
	return walk[kinds.Object](v.owned[uid])
}

// HasOwned says whether any object names uid among its owners.
func (v *View) HasOwned(uid types.UID) bool { return v.owned[uid] != nil }

// PodsOf returns the pods whose controller has the given UID; never nil.
func (v *View) PodsOf(uid types.UID) *Group {
	if g := v.podsOf[uid]; g != nil {
		return g
	}
	return &emptyGroup
}

// PodsOn walks the pods assigned to a node, "" for those assigned to none.
func (v *View) PodsOn(node string) iter.Seq[*corev1.Pod] { return walk[*corev1.Pod](v.onNode[node]) }

// PodsOnLen is the number of pods assigned to a node.
func (v *View) PodsOnLen(node string) int {
	if t := v.onNode[node]; t != nil {
		return t.Len()
	}
	return 0
}

// OrphanPods walks a namespace's pods that have no controller.
func (v *View) OrphanPods(namespace string) iter.Seq[*corev1.Pod] {
	return walk[*corev1.Pod](v.orphans[namespace])
}

func walk[T kinds.Object](t *btree.BTreeG[*entry]) iter.Seq[T] {
	return func(yield func(T) bool) {
		if t != nil {
			t.Scan(func(e *entry) bool { return yield(e.obj.(T)) })
		}
	}
}

// Heartbeat returns when the node was last heard of; see Pulse.
func (v *View) Heartbeat(node string) (last time.Time, steady bool) {
	if v.pulse != nil {
		return v.pulse.Heartbeat(node)
	}
	l := Get[*coordinationv1.Lease](v, kinds.Lease, kinds.Key{Namespace: NodeLeaseNamespace, Name: node})
	if l == nil || l.Spec.RenewTime == nil {
		return time.Time{}, false
	}
	return l.Spec.RenewTime.Time, false
}

// UnheardAfter is the annotation of a node's Lease by which membership gossip says
// that the host was given up for dead. Its value is when the host was last heard of
// (LastHeard, RFC 3339), so the next heartbeat disproves it, whatever the hosts' clocks
// say.
const UnheardAfter = "seatrial.dev/unheard-after"

// Unheard says whether the other hosts have given up a node for dead, and no heartbeat
// has disproved them.
func (v *View) Unheard(node string) bool {
	l := Get[*coordinationv1.Lease](v, kinds.Lease, kinds.Key{Namespace: NodeLeaseNamespace, Name: node})
	if l == nil {
		return false
	}
	after, err := time.Parse(time.RFC3339Nano, l.Annotations[UnheardAfter])
	return err == nil && after.Equal(LastHeard(v.Node(node), l))
}

// LastHeard is the later of a Lease's renewal and the heartbeat of the node's condition
// Ready; the zero time if there is neither. Either object may be nil.
func LastHeard(n *corev1.Node, l *coordinationv1.Lease) (last time.Time) {
	if l != nil && l.Spec.RenewTime != nil {
		last = l.Spec.RenewTime.Time
	}
	if n == nil {
		return last
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.LastHeartbeatTime.After(last) {
			last = c.LastHeartbeatTime.Time
		}
	}
	return last
}
