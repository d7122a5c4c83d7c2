package view

import (
	"iter"
	"time"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// View is an indexed read view of a cluster.
type View struct {
	tables [kinds.Count]*table
	rv     uint64
	pulse  Pulse

	owned   map[types.UID]*btree.BTreeG[*entry] // by UID of every owner
	podsOf  map[types.UID]*Group                // pods by UID of their controller
	onNode  map[string]*btree.BTreeG[*entry]    // pods by spec.nodeName; "" is unassigned
	orphans map[string]*btree.BTreeG[*entry]    // pods without controller, by namespace

	ownerless  ownerless
	selections selections
	volumes    volumes
	slices     slicesOf
}

// Pulse tells when a node was last heard of. It stands beside the Lease objects
// because a world may vouch for a quiet node's heartbeats instead of playing
// each of them.
type Pulse interface {
	// Heartbeat returns the time of the node's last heartbeat that has reached
	// the API. steady means that the world vouches for all later heartbeats
	// until it announces, by a change of the node's Lease, that they stopped.
	Heartbeat(node string) (last time.Time, steady bool)
}

type table struct {
	byKey   map[kinds.Key]*entry
	ordered *btree.BTreeG[*entry]
}

type entry struct {
	ref kinds.Ref
	obj kinds.Object
}

func lessEntry(a, b *entry) bool { return a.ref.Compare(b.ref) < 0 }

func newTree() *btree.BTreeG[*entry] {
	return btree.NewBTreeGOptions(lessEntry, btree.Options{NoLocks: true, Degree: 16})
}

// New returns an empty view of the kinds named (of all, if none is): events of
// other kinds only move its resourceVersion.
func New(of ...kinds.Kind) *View {
	v := &View{
		owned:   map[types.UID]*btree.BTreeG[*entry]{},
		podsOf:  map[types.UID]*Group{},
		onNode:  map[string]*btree.BTreeG[*entry]{},
		orphans: map[string]*btree.BTreeG[*entry]{},

		ownerless:  ownerless{},
		selections: selections{},
		volumes:    volumes{},
		slices:     slicesOf{},
	}
	if len(of) == 0 {
		for _, i := range kinds.All() {
			of = append(of, i.Kind)
		}
	}
	for _, k := range of {
		v.tables[k] = &table{byKey: map[kinds.Key]*entry{}, ordered: newTree()}
	}
	return v
}

// SetPulse makes p the view's source of heartbeats; without one they are read
// from the Lease objects of namespace kube-node-lease.
func (v *View) SetPulse(p Pulse) { v.pulse = p }

// RV is the resourceVersion of the last event applied.
func (v *View) RV() uint64 { return v.rv }

// Has says whether the view holds objects of the kind.
func (v *View) Has(k kinds.Kind) bool { return v.tables[k] != nil }

// Apply feeds one event. Events must come in the order of their versions; one
// that is not newer than the view is ignored, so a resumed watch may overlap.
func (v *View) Apply(e store.Event) {
	if e.RV <= v.rv {
		return
	}
	v.rv = e.RV
	if t := v.tables[e.Ref.Kind]; t != nil {
		if e.Type == store.Deleted {
			v.remove(t, e.Ref)
		} else {
			v.put(t, e.Ref, e.Object)
		}
	}
}

// Replace makes the view equal to a fresh list at resourceVersion rv, as after a
// watch that could not be resumed. It returns what changed, in the order of
// refs, for whoever follows the view by events.
func (v *View) Replace(rv uint64, objects iter.Seq[kinds.Object]) []store.Event {
	fresh := New(kinds.All()[0].Kind)
	for i, t := range v.tables {
		fresh.tables[i] = nil
		if t != nil {
			fresh.tables[i] = &table{byKey: map[kinds.Key]*entry{}, ordered: newTree()}
		}
	}
	for o := range objects {
		if t := fresh.tables[kinds.Of(o)]; t != nil {
			fresh.put(t, kinds.RefOf(o), o)
		}
	}
	var changes []store.Event
	for i, t := range v.tables {
		if t != nil {
			changes = t.diff(fresh.tables[i], rv, changes)
		}
	}
	pulse := v.pulse
	*v = *fresh
	v.rv, v.pulse = rv, pulse
	return changes
}

func (t *table) diff(to *table, rv uint64, out []store.Event) []store.Event {
	t.ordered.Scan(func(e *entry) bool {
		if to.byKey[e.ref.Key] == nil {
			out = append(out, store.Event{Type: store.Deleted, Ref: e.ref, RV: rv, Object: e.obj, Old: e.obj})
		}
		return true
	})
	to.ordered.Scan(func(e *entry) bool {
		switch old := t.byKey[e.ref.Key]; {
		case old == nil:
			out = append(out, store.Event{Type: store.Added, Ref: e.ref, RV: rv, Object: e.obj})
		case old.obj != e.obj:
			out = append(out, store.Event{Type: store.Modified, Ref: e.ref, RV: rv, Object: e.obj, Old: old.obj})
		}
		return true
	})
	return out
}

func (v *View) put(t *table, ref kinds.Ref, o kinds.Object) {
	e := t.byKey[ref.Key]
	if e == nil {
		e = &entry{ref: ref, obj: o}
		t.byKey[ref.Key] = e
		t.ordered.Set(e)
		v.index(e, nil, o)
		return
	}
	old := e.obj
	e.obj = o
	v.index(e, old, o)
}

func (v *View) remove(t *table, ref kinds.Ref) {
	e := t.byKey[ref.Key]
	if e == nil {
		return
	}
	delete(t.byKey, ref.Key)
	t.ordered.Delete(e)
	v.index(e, e.obj, nil)
}

// Get returns the object of a kind with the given key, or nil. The type
// parameter is the kind's Go type: Get[*corev1.Pod](v, kinds.Pod, key).
func Get[T kinds.Object](v *View, k kinds.Kind, key kinds.Key) T {
	if e := v.tables[k].byKey[key]; e != nil {
		return e.obj.(T)
	}
	var none T
	return none
}

// Object returns the object that ref names, or nil.
func (v *View) Object(ref kinds.Ref) kinds.Object {
	if t := v.tables[ref.Kind]; t != nil {
		if e := t.byKey[ref.Key]; e != nil {
			return e.obj
		}
	}
	return nil
}

// All walks the objects of a kind in the order of their keys.
func All[T kinds.Object](v *View, k kinds.Kind) iter.Seq[T] { return In[T](v, k, "") }

// In walks the objects of a kind in one namespace ("" for all) in the order of
// their keys.
func In[T kinds.Object](v *View, k kinds.Kind, namespace string) iter.Seq[T] {
	return func(yield func(T) bool) {
		from := &entry{ref: kinds.Ref{Kind: k, Key: kinds.Key{Namespace: namespace}}}
		v.tables[k].ordered.Ascend(from, func(e *entry) bool {
			if namespace != "" && e.ref.Namespace != namespace {
				return false
			}
			return yield(e.obj.(T))
		})
	}
}

// Len is the number of objects of a kind.
func (v *View) Len(k kinds.Kind) int { return len(v.tables[k].byKey) }

// Pod, Node, Service are short for the commonest uses of Get.
func (v *View) Pod(key kinds.Key) *corev1.Pod { return Get[*corev1.Pod](v, kinds.Pod, key) }

// Node returns the node of that name, or nil.
func (v *View) Node(name string) *corev1.Node {
	return Get[*corev1.Node](v, kinds.Node, kinds.Key{Name: name})
}

// Service returns the service of that key, or nil.
func (v *View) Service(key kinds.Key) *corev1.Service {
	return Get[*corev1.Service](v, kinds.Service, key)
}
