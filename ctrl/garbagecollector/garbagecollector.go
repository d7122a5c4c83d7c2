package garbagecollector

import (
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// writesMax is how many dependents one plan releases.
const writesMax = 500

// Controller is the garbage collector.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "garbage-collector-controller".
func (*Controller) Name() string { return "garbage-collector-controller" }

// Kinds are all but the events, which nobody owns.
func (*Controller) Kinds() []kinds.Kind {
	var list []kinds.Kind
	for _, i := range kinds.All() {
		if i.Kind != kinds.Event && i.Kind != kinds.EventsEvent {
			list = append(list, i.Kind)
		}
	}
	return list
}

// Keys asks for an object when an owner that it names is not there or is waiting
// for it, and for one that waits for its dependents when it begins to, and when one
// of them goes or changes.
func (*Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	switch e.Type {
	case store.Added:
		if unsound(v, e.Object) || waits(e.Object) {
			add(e.Ref)
		}
	case store.Modified:
		modified(v, e, add)
	case store.Deleted:
		for o := range v.Owned(e.Object.GetUID()) {
			add(kinds.RefOf(o))
		}
		waitingOwners(v, e.Object, add)
	}
}

func modified(v *view.View, e store.Event, add func(kinds.Ref)) {
	now, old := e.Object, e.Old
	if waits(now) && (!waits(old) || !slices.Equal(old.GetFinalizers(), now.GetFinalizers())) {
		add(e.Ref)
		if hasFinalizer(now, metav1.FinalizerDeleteDependents) {
			for o := range v.Owned(now.GetUID()) {
				add(kinds.RefOf(o))
			}
		}
	}
	if sameOwners(old, now) {
		return
	}
	if unsound(v, now) {
		add(e.Ref)
	}
	waitingOwners(v, old, add)
	waitingOwners(v, now, add)
}

// waits says whether an object is being deleted and waits for this controller.
func waits(o kinds.Object) bool {
	return o.GetDeletionTimestamp() != nil &&
		(hasFinalizer(o, metav1.FinalizerDeleteDependents) || hasFinalizer(o, metav1.FinalizerOrphanDependents))
}

// waitsInForeground says whether an object waits for its dependents to go.
func waitsInForeground(o kinds.Object) bool {
	return o.GetDeletionTimestamp() != nil && hasFinalizer(o, metav1.FinalizerDeleteDependents)
}

func hasFinalizer(o kinds.Object, name string) bool { return slices.Contains(o.GetFinalizers(), name) }

// sameOwners is quick for the commonest change, one that shares its references
// with the state before.
func sameOwners(old, now kinds.Object) bool {
	a, b := old.GetOwnerReferences(), now.GetOwnerReferences()
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 || &a[0] == &b[0] {
		return true
	}
	for i := range a {
		if a[i].UID != b[i].UID || blocks(&a[i]) != blocks(&b[i]) {
			return false
		}
	}
	return true
}

func blocks(r *metav1.OwnerReference) bool {
	return r.BlockOwnerDeletion != nil && *r.BlockOwnerDeletion
}

// unsound says whether any owner that the object names is gone, or waits for it.
func unsound(v *view.View, o kinds.Object) bool {
	for _, r := range o.GetOwnerReferences() {
		if stateOf(v, r, o.GetNamespace()) != solid {
			return true
		}
	}
	return false
}

func waitingOwners(v *view.View, o kinds.Object, add func(kinds.Ref)) {
	for _, r := range o.GetOwnerReferences() {
		if stateOf(v, r, o.GetNamespace()) == waiting {
			ref, _ := ownership.RefOf(r, o.GetNamespace())
			add(ref)
		}
	}
}

// state is how an owner stands.
type state uint8

const (
	solid    state = iota // it is there
	dangling              // it is gone
	waiting               // it is being deleted in the foreground
)

func stateOf(v *view.View, r metav1.OwnerReference, namespace string) state {
	ref, known := ownership.RefOf(r, namespace)
	if !known || !v.Has(ref.Kind) {
		return solid
	}
	owner := v.Object(ref)
	switch {
	case owner == nil || owner.GetUID() != r.UID:
		return dangling
	case waitsInForeground(owner):
		return waiting
	}
	return solid
}

// Reconcile looks after one object.
func (*Controller) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	o := v.Object(key)
	if o == nil {
		return p
	}
	if o.GetDeletionTimestamp() != nil {
		switch {
		case hasFinalizer(o, metav1.FinalizerOrphanDependents):
			orphan(v, o, &p)
		case hasFinalizer(o, metav1.FinalizerDeleteDependents):
			if !blocked(v, o) {
				p.Write(dropFinalizer(o, metav1.FinalizerDeleteDependents))
			}
		}
		return p
	}
	collect(v, o, &p)
	return p
}

// collect deletes an object that has no solid owner left, and takes from any other
// the references to owners that are gone or wait for it (attemptToDeleteItem).
func collect(v *view.View, o kinds.Object, p *ctrl.Plan) {
	var gone, waits []types.UID
	owners := o.GetOwnerReferences()
	for _, r := range owners {
		switch stateOf(v, r, o.GetNamespace()) {
		case dangling:
			gone = append(gone, r.UID)
		case waiting:
			waits = append(waits, r.UID)
		}
	}
	switch away := len(gone) + len(waits); {
	case away == 0:
		return
	case away < len(owners):
		p.Write(ownership.ReleaseWrite(o, append(gone, waits...)...))
		return
	case len(waits) > 0 && v.HasOwned(o.GetUID()):
		if inCircle(v, o) {
			p.Write(unblock(o))
		}
		p.Write(remove(o, metav1.DeletePropagationForeground))
		return
	}
	policy := metav1.DeletePropagationBackground
	switch {
	case hasFinalizer(o, metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case hasFinalizer(o, metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	}
	p.Write(remove(o, policy))
}

func remove(o kinds.Object, policy metav1.DeletionPropagation) api.Request {
	w := api.Delete(kinds.RefOf(o), o.GetUID())
	w.Propagation = policy
	return w
}

// blocked says whether a dependent still blocks the deletion of its owner.
func blocked(v *view.View, owner kinds.Object) bool {
	for o := range v.Owned(owner.GetUID()) {
		for _, r := range o.GetOwnerReferences() {
			if r.UID == owner.GetUID() && blocks(&r) {
				return true
			}
		}
	}
	return false
}

// inCircle says whether a dependent of an object waits for its own dependents: it
// may be that they wait for each other.
func inCircle(v *view.View, o kinds.Object) bool {
	for d := range v.Owned(o.GetUID()) {
		if waitsInForeground(d) {
			return true
		}
	}
	return false
}

// unblock lets the owners of an object go before it.
func unblock(o kinds.Object) api.Request {
	refs := slices.Clone(o.GetOwnerReferences())
	no := false
	for i := range refs {
		refs[i].BlockOwnerDeletion = &no
	}
	return patchMeta(o, "ownerReferences", refs)
}

// orphan takes from the dependents their references to an owner, and then lets it
// go.
func orphan(v *view.View, owner kinds.Object, p *ctrl.Plan) {
	for o := range v.Owned(owner.GetUID()) {
		if len(p.Writes) == writesMax {
			p.LookAgain(time.Millisecond) // there are more
			return
		}
		p.Write(ownership.ReleaseWrite(o, owner.GetUID()))
	}
	p.Write(dropFinalizer(owner, metav1.FinalizerOrphanDependents))
}

func dropFinalizer(o kinds.Object, name string) api.Request {
	rest := slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool { return f == name })
	return patchMeta(o, "finalizers", rest)
}

// patchMeta replaces a list in the metadata, of the version that was seen.
func patchMeta(o kinds.Object, field string, value any) api.Request {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{field: value}})
	if err != nil {
		panic("garbagecollector: a list that is no JSON: " + err.Error())
	}
	w := api.Patch(kinds.RefOf(o), types.MergePatchType, body)
	w.UID, w.RV = o.GetUID(), o.GetResourceVersion()
	return w
}
