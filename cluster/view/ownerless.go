package view

import (
	"iter"

	"github.com/tidwall/btree"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// ownerless indexes the objects without a controller of those kinds, beside
// pods, that some controller adopts: a controller looks for them at every turn,
// and must not walk the namespace for it.
type ownerless map[kindIn]*btree.BTreeG[*entry]

type kindIn struct {
	kind      kinds.Kind
	namespace string
}

func adoptable(k kinds.Kind) bool { return k == kinds.ReplicaSet || k == kinds.ControllerRevision }

func (x ownerless) index(e *entry, old, now kinds.Object) {
	if !adoptable(e.ref.Kind) {
		return
	}
	was := old != nil && metav1.GetControllerOfNoCopy(old) == nil
	is := now != nil && metav1.GetControllerOfNoCopy(now) == nil
	at := kindIn{e.ref.Kind, e.ref.Namespace}
	switch {
	case was && !is:
		drop(x, at, e)
	case is && !was:
		add(x, at, e)
	}
}

// Ownerless walks a namespace's objects of a kind that have no controller: of
// ReplicaSet and ControllerRevision; for pods see OrphanPods.
func Ownerless[T kinds.Object](v *View, k kinds.Kind, namespace string) iter.Seq[T] {
	if !adoptable(k) {
		panic("view: no index of ownerless " + k.String())
	}
	return walk[T](v.ownerless[kindIn{k, namespace}])
}
