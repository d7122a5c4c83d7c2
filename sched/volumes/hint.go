package volumes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"seatrial.dev/seatrial/cluster/store"
)

// May says whether an event may let a pod be scheduled that a plugin refused:
// kube-scheduler's queueing hints. Besides the kinds of Watches these are nodes that
// come or change their labels, and pods that go.
func (s *State) May(plugin string, pod *corev1.Pod, e store.Event) bool {
	if n, ok := e.Object.(*corev1.Node); ok {
		return nodeMay(plugin, n, e)
	}
	if p, ok := e.Object.(*corev1.Pod); ok && (e.Type != store.Deleted || p.Spec.NodeName == "") {
		return false
	}
	switch plugin {
	case Restrictions:
		return restrictionsMay(pod, e)
	case Limits:
		return limitsMay(pod, e)
	case Binding:
		return bindingMay(pod, e)
	case Zone:
		return zoneMay(pod, e)
	}
	return false
}

func nodeMay(plugin string, n *corev1.Node, e store.Event) bool {
	if plugin == Limits || e.Type == store.Deleted {
		return false
	}
	old, changed := e.Old.(*corev1.Node)
	if !changed || old == nil {
		return true
	}
	return plugin != Restrictions && !equality.Semantic.DeepEqual(old.Labels, n.Labels)
}

func restrictionsMay(pod *corev1.Pod, e store.Event) bool {
	switch o := e.Object.(type) {
	case *corev1.Pod:
		if o.Namespace != pod.Namespace {
			return false
		}
		for i := range pod.Spec.Volumes {
			v := &pod.Spec.Volumes[i]
			if isDisk(v) && disksConflict(v, o) {
				return true
			}
			if c := v.PersistentVolumeClaim; c != nil && names(o, o.Namespace, c.ClaimName, false) {
				return true
			}
		}
	case *corev1.PersistentVolumeClaim:
		return e.Type == store.Added && names(pod, o.Namespace, o.Name, false)
	}
	return false
}

// names says whether a pod uses a claim of that name, by its own or, if asked, by an
// ephemeral volume.
func names(pod *corev1.Pod, namespace, claim string, ephemeral bool) bool {
	if pod.Namespace != namespace {
		return false
	}
	for i := range pod.Spec.Volumes {
		name, own, ok := claimName(pod, &pod.Spec.Volumes[i])
		if ok && name == claim && (ephemeral || !own) {
			return true
		}
	}
	return false
}

func limitsMay(pod *corev1.Pod, e store.Event) bool {
	switch o := e.Object.(type) {
	case *corev1.Pod:
		return slices.ContainsFunc(o.Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil || v.Ephemeral != nil || isInTree(&v)
		})
	case *corev1.PersistentVolumeClaim:
		return e.Type == store.Added && names(pod, o.Namespace, o.Name, true)
	case *storagev1.CSINode:
		old, changed := e.Old.(*storagev1.CSINode)
		return e.Type != store.Deleted && (!changed || old == nil || raised(old, o))
	case *storagev1.VolumeAttachment:
		return e.Type == store.Deleted && slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
			if v.PersistentVolumeClaim != nil {
				return true
			}
			a, counts, err := inline(&v)
			return err != nil || counts && a.driver == o.Spec.Attacher
		})
	}
	return false
}

// raised says whether the limit of a driver is higher than it was; none counts as 0.
func raised(old, now *storagev1.CSINode) bool {
	was := map[string]int32{}
	for i := range old.Spec.Drivers {
		was[old.Spec.Drivers[i].Name] = limitOf(&old.Spec.Drivers[i])
	}
	return slices.ContainsFunc(now.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return limitOf(&d) > was[d.Name] })
}

func limitOf(d *storagev1.CSINodeDriver) int32 {
	if d.Allocatable == nil || d.Allocatable.Count == nil {
		return 0
	}
	return *d.Allocatable.Count
}

func bindingMay(pod *corev1.Pod, e store.Event) bool {
	if e.Type == store.Deleted {
		return false
	}
	switch o := e.Object.(type) {
	case *storagev1.StorageClass:
		old, changed := e.Old.(*storagev1.StorageClass)
		return !changed || old == nil || !equality.Semantic.DeepEqual(old.AllowedTopologies, o.AllowedTopologies)
	case *corev1.PersistentVolumeClaim:
		return names(pod, o.Namespace, o.Name, true)
	case *corev1.PersistentVolume:
		return true
	case *storagev1.CSINode:
		old, changed := e.Old.(*storagev1.CSINode)
		const migrated = corev1.MigratedPluginsAnnotationKey
		return !changed || old == nil || old.Annotations[migrated] != o.Annotations[migrated]
	case *storagev1.CSIDriver:
		old, changed := e.Old.(*storagev1.CSIDriver)
		return changed && old != nil && isTrue(old.Spec.StorageCapacity) && !isTrue(o.Spec.StorageCapacity) &&
			slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.CSI != nil && v.CSI.Driver == o.Name })
	case *storagev1.CSIStorageCapacity:
		old, changed := e.Old.(*storagev1.CSIStorageCapacity)
		if !changed || old == nil {
			return true
		}
		before, now := roomOf(old), roomOf(o)
		return now != nil && (before == nil || now.Value() > before.Value())
	}
	return false
}

func isTrue(b *bool) bool { return b != nil && *b }

func zoneMay(pod *corev1.Pod, e store.Event) bool {
	switch o := e.Object.(type) {
	case *storagev1.StorageClass:
		return e.Type == store.Added && o.VolumeBindingMode != nil && *o.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	case *corev1.PersistentVolumeClaim:
		return e.Type != store.Deleted && names(pod, o.Namespace, o.Name, false)
	case *corev1.PersistentVolume:
		if old, changed := e.Old.(*corev1.PersistentVolume); changed && old != nil {
			return e.Type != store.Deleted && !slices.EqualFunc(zonesOf(old), zonesOf(o), sameRule)
		}
		return e.Type != store.Deleted
	}
	return false
}

func sameRule(a, b zoneRule) bool { return a.key == b.key && slices.Equal(a.values, b.values) }
