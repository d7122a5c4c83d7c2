package fidelity

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// world is the objects there are, in the order in which they came.
type world struct {
	objects []kinds.Object
	rv      uint64
}

func (w *world) find(ref kinds.Ref) int {
	return slices.IndexFunc(w.objects, func(o kinds.Object) bool { return kinds.RefOf(o) == ref })
}

func (w *world) pod(key kinds.Key) *corev1.Pod {
	if i := w.find(kinds.Ref{Kind: kinds.Pod, Key: key}); i >= 0 {
		return w.objects[i].(*corev1.Pod)
	}
	return nil
}

// put takes an object, new or in place of the one of its name, and tells the event.
func (w *world) put(o kinds.Object) store.Event {
	w.rv++
	o = kinds.Clone(o)
	o.SetResourceVersion(strconv.FormatUint(w.rv, 10))
	e := store.Event{Type: store.Added, Ref: kinds.RefOf(o), RV: w.rv, Object: o}
	if i := w.find(e.Ref); i >= 0 {
		e.Type, e.Old = store.Modified, w.objects[i]
		w.objects[i] = o
	} else {
		w.objects = append(w.objects, o)
	}
	return e
}

// remove takes an object away; ok is false if it is not there.
func (w *world) remove(ref kinds.Ref) (e store.Event, ok bool) {
	i := w.find(ref)
	if i < 0 {
		return store.Event{}, false
	}
	w.rv++
	old := w.objects[i]
	w.objects = slices.Delete(w.objects, i, i+1)
	last := kinds.Clone(old)
	last.SetResourceVersion(strconv.FormatUint(w.rv, 10))
	return store.Event{Type: store.Deleted, Ref: ref, RV: w.rv, Object: last, Old: old}, true
}
