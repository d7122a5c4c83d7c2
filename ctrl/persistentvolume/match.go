package persistentvolume

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// Annotations by which binder, scheduler and provisioners speak
// (k8s.io/component-helpers/storage/volume).
const (
	bindCompleted     = "pv.kubernetes.io/bind-completed"
	boundByController = "pv.kubernetes.io/bound-by-controller"
	provisionedBy     = "pv.kubernetes.io/provisioned-by"
	selectedNode      = "volume.kubernetes.io/selected-node"
	provisionerNow    = "volume.kubernetes.io/storage-provisioner"
	provisionerBeta   = "volume.beta.kubernetes.io/storage-provisioner"
)

// inTreePrefix begins the names of plugins that were, or are, part of Kubernetes.
const inTreePrefix = "kubernetes.io/"

func annotated(o kinds.Object, key string) bool { _, ok := o.GetAnnotations()[key]; return ok }

func annotate(o kinds.Object, key, value string) {
	m := o.GetAnnotations()
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	o.SetAnnotations(m)
}

// classOf is the name of the class that a claim asks for; asks is false where it
// leaves that to the default class.
func classOf(c *corev1.PersistentVolumeClaim) (name string, asks bool) {
	if name, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name, true
	}
	if c.Spec.StorageClassName != nil {
		return *c.Spec.StorageClassName, true
	}
	return "", false
}

// waits says whether a claim's class waits for its first consumer.
func waits(v *view.View, c *corev1.PersistentVolumeClaim) (bool, error) {
	name, _ := classOf(c)
	if name == "" {
		return false, nil
	}
	class := view.Get[*storagev1.StorageClass](v, kinds.StorageClass, kinds.Key{Name: name})
	if class == nil {
		return false, nil
	}
	if class.VolumeBindingMode == nil {
		return false, fmt.Errorf("VolumeBindingMode not set for StorageClass %q", name)
	}
	return *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer, nil
}

// defaultClass is the default StorageClass: of several, the newest, then the first by
// name; nil for none.
func defaultClass(v *view.View) *storagev1.StorageClass {
	var best *storagev1.StorageClass
	for class := range view.All[*storagev1.StorageClass](v, kinds.StorageClass) {
		const now, beta = "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"
		if class.Annotations[now] != "true" && class.Annotations[beta] != "true" {
			continue
		}
		if best == nil || best.CreationTimestamp.Time.Before(class.CreationTimestamp.Time) {
			best = class
		}
	}
	return best
}

// isFor says whether a volume is bound, or meant to be bound, to a claim.
func isFor(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	ref := pv.Spec.ClaimRef
	return ref != nil && ref.Name == c.Name && ref.Namespace == c.Namespace && (ref.UID == "" || ref.UID == c.UID)
}

// bestFor is the volume that a claim takes: of those with the fewest access modes that
// include the claim's, one that is meant for it, else the smallest, else the first by
// name. A claim that waits for a consumer takes only one that is meant for it.
func bestFor(v *view.View, c *corev1.PersistentVolumeClaim, wait bool) *corev1.PersistentVolume {
	var best *corev1.PersistentVolume
	consider := func(pv *corev1.PersistentVolume) {
		if best == nil || better(pv, best) < 0 {
			best = pv
		}
	}
	for pv := range v.VolumesFor(kinds.KeyOf(c)) {
		if isFor(pv, c) && fits(pv, c) {
			consider(pv)
		}
	}
	if wait {
		return best
	}
	selector, err := selectorOf(c)
	if err != nil {
		return best
	}
	class, _ := classOf(c)
	for pv := range v.FreeVolumes(class) {
		if pv.Status.Phase == corev1.VolumeAvailable && fits(pv, c) && selector.Matches(labels.Set(pv.Labels)) {
			consider(pv)
		}
	}
	return best
}

func selectorOf(c *corev1.PersistentVolumeClaim) (labels.Selector, error) {
	if c.Spec.Selector == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(c.Spec.Selector)
}

// better orders the volumes that fit a claim.
func better(a, b *corev1.PersistentVolume) int {
	free := func(pv *corev1.PersistentVolume) int {
		if pv.Spec.ClaimRef == nil {
			return 1
		}
		return 0
	}
	size, other := a.Spec.Capacity[corev1.ResourceStorage], b.Spec.Capacity[corev1.ResourceStorage]
	return cmp.Or(cmp.Compare(len(a.Spec.AccessModes), len(b.Spec.AccessModes)), slices.Compare(a.Spec.AccessModes, b.Spec.AccessModes),
		cmp.Compare(free(a), free(b)), size.Cmp(other), strings.Compare(a.Name, b.Name))
}

func fits(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	return pv.DeletionTimestamp == nil && largeEnough(pv, c) && sameMode(pv, c) && sameAttributes(pv, c) && allModes(pv, c)
}

func largeEnough(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	has, asks := pv.Spec.Capacity[corev1.ResourceStorage], c.Spec.Resources.Requests[corev1.ResourceStorage]
	return has.Cmp(asks) >= 0
}

func sameMode(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	return or(pv.Spec.VolumeMode, corev1.PersistentVolumeFilesystem) == or(c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
}

func sameAttributes(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	return or(pv.Spec.VolumeAttributesClassName, "") == or(c.Spec.VolumeAttributesClassName, "")
}

func allModes(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	return !slices.ContainsFunc(c.Spec.AccessModes, func(m corev1.PersistentVolumeAccessMode) bool {
		return !slices.Contains(pv.Spec.AccessModes, m)
	})
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// mismatch says why a volume that a claim names cannot be its own; empty if it can.
func mismatch(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) string {
	class, _ := classOf(c)
	switch {
	case pv.DeletionTimestamp != nil:
		return fmt.Sprintf("the volume is marked for deletion %q", pv.Name)
	case !largeEnough(pv, c):
		return "requested PV is too small"
	case view.VolumeClass(pv) != class:
		return "storageClassName does not match"
	case !sameAttributes(pv, c):
		return "volumeAttributesClassName does not match"
	case !sameMode(pv, c):
		return "incompatible volumeMode"
	case !allModes(pv, c):
		return "incompatible accessMode"
	}
	return ""
}
