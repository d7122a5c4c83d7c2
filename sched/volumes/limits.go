package volumes

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// inUse is what is attached to a node.
type inUse struct {
	volumes map[attachment]bool // by its pods
	drivers map[string]int64    // volumes by driver, those that only a VolumeAttachment tells of included
	broken  *Refusal            // it cannot be counted
}

// attached is what the pods and the VolumeAttachments of a node have attached.
func (s *State) attachedTo(n *node) *inUse {
	if n.stale || n.at != s.classed {
		n.count, n.stale, n.at = s.countUse(n, nil, nil), false, s.classed
	}
	return &n.count
}

// countUse counts a node's volumes with some pods more and some less.
func (s *State) countUse(n *node, with, without []*corev1.Pod) inUse {
	u := inUse{volumes: map[attachment]bool{}, drivers: map[string]int64{}}
	var failed *corev1.Pod
	add := func(p *corev1.Pod) {
		if slices.ContainsFunc(without, func(o *corev1.Pod) bool { return samePod(o, p) }) {
			return
		}
		problem := s.attachments(p, n.csi != nil, false, func(a attachment) { u.volumes[a] = true })
		if problem != nil && (failed == nil || kinds.KeyOf(p).Compare(kinds.KeyOf(failed)) < 0) {
			failed, u.broken = p, problem
		}
	}
	for _, p := range n.pods {
		add(p)
	}
	for _, p := range with {
		add(p)
	}
	for a := range u.volumes { //det:ok counts by driver
		u.drivers[a.driver]++
	}
	more := map[attachment]bool{}
	for _, va := range n.attachments { //det:ok makes a set
		if a, ok := s.attachmentOf(va); ok && !u.volumes[a] {
			more[a] = true
		}
	}
	for a := range more { //det:ok counts by driver
		u.drivers[a.driver]++
	}
	return u
}

// attachmentOf is what a VolumeAttachment attaches; ok is false where that cannot be told.
func (s *State) attachmentOf(va *storagev1.VolumeAttachment) (a attachment, ok bool) {
	name := va.Spec.Source.PersistentVolumeName
	if va.Spec.Attacher == "" || name == nil {
		return a, false
	}
	v := s.volumes[*name]
	if v == nil || v.obj == nil || v.obj.Spec.CSI == nil {
		return a, false
	}
	return attachment{va.Spec.Attacher, v.obj.Spec.CSI.VolumeHandle}, true
}

// attachments calls add for each volume of a pod that its CSI driver attaches. onCSI
// says whether the node has a CSINode: only then in-tree volumes count as their
// driver's. strict is for the pod to be scheduled, whose claims must be there.
func (s *State) attachments(pod *corev1.Pod, onCSI, strict bool, add func(attachment)) *Refusal {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		name, ephemeral, ok := claimName(pod, v)
		if !ok {
			if !onCSI {
				continue
			}
			a, counts, err := inline(v)
			if err != nil {
				return broken(Limits, "converting volume("+v.Name+") from inline to csi: "+err.Error())
			}
			if counts {
				add(a)
			}
			continue
		}
		if name == "" {
			return broken(Limits, "PersistentVolumeClaim had no name")
		}
		c := s.claims[kinds.Key{Namespace: pod.Namespace, Name: name}]
		if c == nil || c.obj == nil {
			if strict {
				return hopeless(Limits, "looking up PVC "+pod.Namespace+"/"+name+": "+notFound("persistentvolumeclaim", name))
			}
			continue
		}
		if ephemeral {
			if problem := notItsOwn(pod, c.obj); problem != "" {
				return broken(Limits, problem)
			}
		}
		if a := s.attachmentOfClaim(c.obj, onCSI); a.driver != "" && a.handle != "" {
			add(a)
		}
	}
	return nil
}

// attachmentOfClaim is the volume that a claim has, or will have: a claim without one
// counts as its class' provisioner's.
func (s *State) attachmentOfClaim(c *corev1.PersistentVolumeClaim, onCSI bool) attachment {
	if v := s.volumes[c.Spec.VolumeName]; v != nil && v.obj != nil {
		if csi := v.obj.Spec.CSI; csi != nil {
			return attachment{csi.Driver, csi.VolumeHandle}
		}
		if v.inTree != nil && onCSI && v.inTree.err == nil {
			return v.inTree.attachment
		}
		return attachment{}
	}
	class := s.classes[classOfClaim(c)]
	if class == nil || class.obj == nil {
		return attachment{}
	}
	a := attachment{class.obj.Provisioner, "\x00" + c.Namespace + "/" + c.Name}
	switch driver := driverOf(a.driver); {
	case a.driver == pluginAzureFile || a.driver == pluginVSphere:
		return attachment{}
	case driver != "" && !onCSI:
		return attachment{}
	case driver != "":
		a.driver = driver
	}
	return a
}

// wanted are the volumes that a pod brings to a node.
type wanted struct {
	list    []attachment
	refused *Refusal // they cannot be told
}

func (s *State) wanted(pod *corev1.Pod, onCSI bool) wanted {
	var w wanted
	w.refused = s.attachments(pod, onCSI, true, func(a attachment) {
		if !slices.Contains(w.list, a) {
			w.list = append(w.list, a)
		}
	})
	slices.SortFunc(w.list, func(a, b attachment) int {
		return cmp.Or(cmp.Compare(a.driver, b.driver), cmp.Compare(a.handle, b.handle))
	})
	return w
}

// limits is the filter NodeVolumeLimits.
func (a *Ask) limits(node *corev1.Node, with, without []*corev1.Pod) *Refusal {
	n := a.s.nodes[node.Name]
	w := &a.wanted[0]
	if n != nil && n.csi != nil {
		w = &a.wanted[1]
	}
	if w.refused != nil || len(w.list) == 0 {
		return w.refused
	}
	for i, v := range w.list {
		if i > 0 && w.list[i-1].driver == v.driver {
			continue
		}
		if !a.s.installed(v.driver, n) {
			return &Refusal{Plugin: Limits, Reasons: []string{v.driver + " CSI driver is not installed on the node"}}
		}
	}
	if n == nil || len(n.limits) == 0 {
		return nil
	}
	var used *inUse
	if len(with)+len(without) == 0 {
		used = a.s.attachedTo(n)
	} else {
		u := a.s.countUse(n, with, without)
		used = &u
	}
	if used.broken != nil {
		return used.broken
	}
	// The list is in order of driver.
	for i := 0; i < len(w.list); {
		driver, more := w.list[i].driver, int64(0)
		for ; i < len(w.list) && w.list[i].driver == driver; i++ {
			if !used.volumes[w.list[i]] {
				more++
			}
		}
		if limit, ok := n.limits[driver]; ok && more > 0 && used.drivers[driver]+more > limit {
			return refusedLimit
		}
	}
	return nil
}

// installed says whether a driver that is only to be scheduled for where it is
// installed (CSIDriver's preventPodSchedulingIfMissing) is on the node.
func (s *State) installed(driver string, n *node) bool {
	d := s.drivers[driver]
	if d == nil || d.Spec.PreventPodSchedulingIfMissing == nil || !*d.Spec.PreventPodSchedulingIfMissing {
		return true
	}
	if n == nil || n.csi == nil {
		return false
	}
	return slices.ContainsFunc(n.csi.Spec.Drivers, func(d storagev1.CSINodeDriver) bool { return d.Name == driver })
}
