package volumes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// isDisk says whether a pod's inline volume is one that two pods may not always share.
func isDisk(v *corev1.Volume) bool {
	return v.GCEPersistentDisk != nil || v.AWSElasticBlockStore != nil || v.RBD != nil || v.ISCSI != nil
}

// disksConflict says whether a pod's disk is in use by another pod in a way that does
// not bear a second: writing, or any use of an EBS disk.
func disksConflict(a *corev1.Volume, pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if diskConflicts(a, &pod.Spec.Volumes[i]) {
			return true
		}
	}
	return false
}

func diskConflicts(a, b *corev1.Volume) bool {
	if x, y := a.GCEPersistentDisk, b.GCEPersistentDisk; x != nil && y != nil {
		return x.PDName == y.PDName && !(x.ReadOnly && y.ReadOnly)
	}
	if x, y := a.AWSElasticBlockStore, b.AWSElasticBlockStore; x != nil && y != nil {
		return x.VolumeID == y.VolumeID
	}
	if x, y := a.ISCSI, b.ISCSI; x != nil && y != nil {
		return x.IQN == y.IQN && !(x.ReadOnly && y.ReadOnly)
	}
	if x, y := a.RBD, b.RBD; x != nil && y != nil {
		return x.RBDPool == y.RBDPool && x.RBDImage == y.RBDImage && !(x.ReadOnly && y.ReadOnly) &&
			slices.ContainsFunc(x.CephMonitors, func(m string) bool { return slices.Contains(y.CephMonitors, m) })
	}
	return false
}

// askRestrictions is the start of VolumeRestrictions: the pod's claims that one pod
// alone may use, and how many of them are in use anywhere.
func (a *Ask) askRestrictions() *Refusal {
	for i := range a.pod.Spec.Volumes {
		v := &a.pod.Spec.Volumes[i]
		a.disks = a.disks || isDisk(v)
		if v.PersistentVolumeClaim == nil {
			continue
		}
		name := v.PersistentVolumeClaim.ClaimName
		c := a.s.claims[kinds.Key{Namespace: a.pod.Namespace, Name: name}]
		if c == nil || c.obj == nil {
			return hopeless(Restrictions, notFound("persistentvolumeclaim", name))
		}
		if !slices.Contains(c.obj.Spec.AccessModes, corev1.ReadWriteOncePod) || slices.Contains(a.oncePod, name) {
			continue
		}
		if a.oncePod = append(a.oncePod, name); c.direct > 0 {
			a.conflicts++
		}
	}
	if !a.disks && a.conflicts == 0 {
		a.skip |= HasRestrictions
	}
	return nil
}

// restrictions is the filter VolumeRestrictions.
func (a *Ask) restrictions(node *corev1.Node, with, without []*corev1.Pod) *Refusal {
	if a.disks && a.diskInUse(node.Name, with, without) {
		return refusedDisk
	}
	conflicts := a.conflicts
	if len(a.oncePod) > 0 {
		for _, p := range with {
			conflicts += a.namesOncePod(p)
		}
		for _, p := range without {
			conflicts -= a.namesOncePod(p)
		}
	}
	if conflicts > 0 {
		return refusedOncePod
	}
	return nil
}

// namesOncePod counts a pod's volumes by the names of the claims alone, as
// kube-scheduler does: the namespace has no part in it.
func (a *Ask) namesOncePod(p *corev1.Pod) int {
	n := 0
	for i := range p.Spec.Volumes {
		if c := p.Spec.Volumes[i].PersistentVolumeClaim; c != nil && slices.Contains(a.oncePod, c.ClaimName) {
			n++
		}
	}
	return n
}

func (a *Ask) diskInUse(on string, with, without []*corev1.Pod) bool {
	n := a.s.nodes[on]
	for i := range a.pod.Spec.Volumes {
		v := &a.pod.Spec.Volumes[i]
		if !isDisk(v) {
			continue
		}
		if n != nil {
			for _, p := range n.pods {
				if disksConflict(v, p) && !slices.ContainsFunc(without, func(o *corev1.Pod) bool { return samePod(o, p) }) {
					return true
				}
			}
		}
		if slices.ContainsFunc(with, func(p *corev1.Pod) bool { return disksConflict(v, p) }) {
			return true
		}
	}
	return false
}
