package volumes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// find looks for the pod's volumes on a node: what is bound must be reachable, what is
// not must be found or made. It leaves what it found in static and dynamic.
func (a *Ask) find(n *corev1.Node) (v verdict, problem *Refusal) {
	a.static, a.dynamic = a.static[:0], a.dynamic[:0]
	if v, problem = a.reachBound(n); problem != nil {
		return v, problem
	}
	for i := range a.pinned {
		if a.pinned[i].node != n.Name {
			return v | noVolume, nil
		}
	}
	for i := range a.pinned {
		if wrong := a.provision(&a.pinned[i], n); wrong != 0 {
			return a.unprovided(v | wrong), nil
		}
	}
	for i := range a.search {
		if w := &a.search[i]; !a.findFree(w, n) {
			if wrong := a.provision(w, n); wrong != 0 {
				return a.unprovided(v | wrong), nil
			}
		}
	}
	return v, nil
}

// unprovided passes the verdict on; a node that cannot provide one claim provides none.
func (a *Ask) unprovided(v verdict) verdict {
	a.dynamic = a.dynamic[:0]
	return v
}

// reachBound checks the volumes that claims have already.
func (a *Ask) reachBound(n *corev1.Node) (verdict, *Refusal) {
	for _, v := range a.bound {
		if v == nil {
			return lostVolume, nil
		}
		ok, err := a.s.reachable(v, v.now(), n)
		if err != nil {
			return 0, broken(Binding, "could not translate pv: "+err.Error())
		}
		if !ok {
			return wrongNode, nil
		}
	}
	return 0, nil
}

// reachable says whether a volume can be used on a node, by its CSI driver's labels
// where the node's driver took the in-tree plugin's place.
func (s *State) reachable(v *volume, pv *corev1.PersistentVolume, n *corev1.Node) (bool, error) {
	if m := v.inTree; m != nil {
		if known := s.nodes[n.Name]; known != nil && slices.Contains(known.migrated, m.plugin) {
			if m.err != nil {
				return false, m.err
			}
			return reaches(m.affinity, n), nil
		}
	}
	return reaches(pv.Spec.NodeAffinity, n), nil
}

// findFree takes the volume that is meant for the claim, else the smallest free one
// that is large enough and can be used on the node.
func (a *Ask) findFree(w *want, n *corev1.Node) bool {
	for _, v := range w.class.owned[keyOf(w.claim)] {
		if pv := v.now(); !a.taken(v) && isFor(pv, w.claim) && v.bytes >= w.bytes && suits(pv, w.claim) {
			if !reaches(pv.Spec.NodeAffinity, n) {
				return false
			}
			a.static = append(a.static, match{w.claim, v})
			return true
		}
	}
	var best *volume
	free := &w.class.free
	for i := range free.keys {
		list := free.list(i, n)
		for j := firstOfSize(list, w.bytes); j < len(list); j++ {
			v := list[j]
			if best != nil && bySize(v, best) >= 0 {
				break
			}
			if a.fits(v, w.claim, n) {
				best = v
				break
			}
		}
	}
	if best == nil {
		return false
	}
	a.static = append(a.static, match{w.claim, best})
	return true
}

// firstOfSize is the index of the first volume that is large enough.
func firstOfSize(list []*volume, bytes int64) int {
	low, high := 0, len(list)
	for low < high {
		if mid := (low + high) / 2; list[mid].bytes < bytes {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (a *Ask) taken(v *volume) bool {
	for i := range a.static {
		if a.static[i].volume == v {
			return true
		}
	}
	return false
}

// fits says whether a free volume of the class, large enough, can be the claim's on
// the node.
func (a *Ask) fits(v *volume, c *corev1.PersistentVolumeClaim, n *corev1.Node) bool {
	pv := v.now()
	if a.taken(v) || !suits(pv, c) || c.Spec.Selector != nil && !selects(c.Spec.Selector, pv.Labels) {
		return false
	}
	for _, mode := range c.Spec.AccessModes {
		if !slices.Contains(pv.Spec.AccessModes, mode) {
			return false
		}
	}
	return reaches(pv.Spec.NodeAffinity, n)
}

// suits says whether a volume is of the mode and the attributes that a claim asks for.
func suits(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	return modeOf(pv.Spec.VolumeMode) == modeOf(c.Spec.VolumeMode) &&
		textOf(pv.Spec.VolumeAttributesClassName) == textOf(c.Spec.VolumeAttributesClassName)
}

func modeOf(m *corev1.PersistentVolumeMode) corev1.PersistentVolumeMode {
	if m == nil {
		return corev1.PersistentVolumeFilesystem
	}
	return *m
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// isFor says whether a volume is bound, or meant to be bound, to the claim.
func isFor(pv *corev1.PersistentVolume, c *corev1.PersistentVolumeClaim) bool {
	ref := pv.Spec.ClaimRef
	return ref != nil && ref.Name == c.Name && ref.Namespace == c.Namespace && (ref.UID == "" || ref.UID == c.UID)
}

// provision says what is wrong with making the claim's volume for the node; 0 and an
// entry in dynamic if nothing is.
func (a *Ask) provision(w *want, n *corev1.Node) verdict {
	class := w.class.obj
	if class.Provisioner == "" || class.Provisioner == noProvisioner || !allowed(class.AllowedTopologies, n) {
		return noVolume
	}
	_, asks := w.claim.Spec.Resources.Requests[corev1.ResourceStorage]
	d := a.s.drivers[class.Provisioner]
	if !asks || d == nil || d.Spec.StorageCapacity == nil || !*d.Spec.StorageCapacity {
		a.dynamic = append(a.dynamic, provision{claim: w.claim})
		return 0
	}
	space := w.class.spaceFor(w.bytes, n)
	if space == nil {
		return noSpace
	}
	a.dynamic = append(a.dynamic, provision{w.claim, space})
	return 0
}

// spaceFor is the first storage, by namespace and name, that the node reaches and that
// has room for a volume.
func (c *class) spaceFor(bytes int64, n *corev1.Node) *storagev1.CSIStorageCapacity {
	var best *storagev1.CSIStorageCapacity
	for i := range c.space.keys {
		for _, o := range c.space.list(i, n) {
			if best != nil && byKey(o, best) >= 0 {
				break
			}
			if limit := roomOf(o); limit != nil && limit.Value() >= bytes && selects(o.NodeTopology, n.Labels) {
				best = o
				break
			}
		}
	}
	return best
}

// roomOf is the largest volume that a storage can hold; nil where it is not told.
func roomOf(o *storagev1.CSIStorageCapacity) *resource.Quantity {
	if o.MaximumVolumeSize != nil {
		return o.MaximumVolumeSize
	}
	return o.Capacity
}
