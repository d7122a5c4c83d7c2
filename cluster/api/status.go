package api

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// The kinds with a status all have a field of that name; reflection reaches it so
// that a new kind in the table needs no code here.

func clearStatus(o kinds.Object) {
	if f := reflect.ValueOf(o).Elem().FieldByName("Status"); f.IsValid() {
		f.SetZero()
	}
}

func copyStatus(to, from kinds.Object) {
	if p, ok := to.(*corev1.Pod); ok {
		p.Status = from.(*corev1.Pod).Status
		return
	}
	f := reflect.ValueOf(to).Elem().FieldByName("Status")
	if f.IsValid() {
		f.Set(reflect.ValueOf(from).Elem().FieldByName("Status"))
	}
}

// shallow returns a copy of an object that shares everything it points to. Stored
// objects never change, so a writer may replace any field of the copy but not
// write through one.
func shallow[T kinds.Object](o T) T {
	switch p := any(o).(type) { // the kinds that are written most
	case *corev1.Pod:
		c := *p
		return any(&c).(T)
	case *corev1.Node:
		c := *p
		return any(&c).(T)
	case *corev1.Event:
		c := *p
		return any(&c).(T)
	}
	v := reflect.ValueOf(o).Elem()
	c := reflect.New(v.Type())
	c.Elem().Set(v)
	return c.Interface().(T)
}

// sameSpec says whether two objects differ in nothing but their metadata and
// status: whether a write leaves the generation as it was.
func sameSpec(a, b kinds.Object) bool {
	x, y := shallow(a), shallow(b)
	for _, o := range [2]kinds.Object{x, y} {
		clearStatus(o)
		clearMeta(o)
	}
	return equality.Semantic.DeepEqual(x, y)
}

// sameObject says whether a write changes nothing at all.
func sameObject(a, b kinds.Object) bool {
	x, y := shallow(a), shallow(b)
	for _, o := range [2]kinds.Object{x, y} {
		o.SetResourceVersion("")
		o.SetManagedFields(nil)
	}
	return equality.Semantic.DeepEqual(x, y)
}

func clearMeta(o kinds.Object) {
	reflect.ValueOf(o).Elem().FieldByName("ObjectMeta").Set(reflect.ValueOf(metav1.ObjectMeta{}))
}
