package view

import (
	"iter"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// volumes indexes PersistentVolumes by the claim that their claimRef names, and those
// without by their class.
type volumes map[volumesAt]*btree.BTreeG[*entry]

type volumesAt struct {
	claim kinds.Key
	class string // where there is no claim
}

func (x volumes) index(e *entry, old, now kinds.Object) {
	o, had := old.(*corev1.PersistentVolume)
	n, has := now.(*corev1.PersistentVolume)
	switch {
	case had && has && atOf(o) == atOf(n):
		return
	case had:
		drop(x, atOf(o), e)
	}
	if has {
		add(x, atOf(n), e)
	}
}

func atOf(pv *corev1.PersistentVolume) volumesAt {
	if ref := pv.Spec.ClaimRef; ref != nil {
		return volumesAt{claim: kinds.Key{Namespace: ref.Namespace, Name: ref.Name}}
	}
	return volumesAt{class: VolumeClass(pv)}
}

// VolumeClass is the name of a volume's StorageClass; the annotation that once said it
// still goes first.
func VolumeClass(pv *corev1.PersistentVolume) string {
	if name, ok := pv.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	return pv.Spec.StorageClassName
}

// VolumesFor walks the volumes whose claimRef names the claim, in the order of names.
func (v *View) VolumesFor(claim kinds.Key) iter.Seq[*corev1.PersistentVolume] {
	return walk[*corev1.PersistentVolume](v.volumes[volumesAt{claim: claim}])
}

// FreeVolumes walks the volumes of a class that name no claim, in the order of names.
func (v *View) FreeVolumes(class string) iter.Seq[*corev1.PersistentVolume] {
	return walk[*corev1.PersistentVolume](v.volumes[volumesAt{class: class}])
}
