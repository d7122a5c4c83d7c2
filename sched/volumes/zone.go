package volumes

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// zoneLabels are the labels of nodes and volumes that tell where they are, in the
// order in which kube-scheduler looks at them.
var zoneLabels = [...]string{corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
	corev1.LabelTopologyZone, corev1.LabelTopologyRegion}

// zoneRule is a label that a node must bear with one of the values.
type zoneRule struct {
	key, keyNow string // keyNow is what took the place of a beta label
	values      []string
}

// zonesOf are the rules that a volume's labels make. One that does not parse is left out.
func zonesOf(pv *corev1.PersistentVolume) []zoneRule {
	var rules []zoneRule
	for i, key := range zoneLabels {
		label, ok := pv.Labels[key]
		if !ok {
			continue
		}
		values := strings.Split(label, zoneDelimiter)
		for j := range values {
			values[j] = strings.TrimSpace(values[j])
		}
		if !slices.Contains(values, "") {
			rules = append(rules, zoneRule{key, zoneLabels[i|2], values})
		}
	}
	return rules
}

// askZone is the start of VolumeZone: the rules of the pod's bound volumes.
func (a *Ask) askZone() *Refusal {
	for i := range a.pod.Spec.Volumes {
		source := a.pod.Spec.Volumes[i].PersistentVolumeClaim
		if source == nil {
			continue
		}
		if source.ClaimName == "" {
			return hopeless(Zone, "PersistentVolumeClaim had no name")
		}
		c := a.s.claims[kinds.Key{Namespace: a.pod.Namespace, Name: source.ClaimName}]
		if c == nil || c.obj == nil {
			return hopeless(Zone, notFound("persistentvolumeclaim", source.ClaimName))
		}
		name := c.obj.Spec.VolumeName
		if name == "" {
			if refused := a.unboundZone(c.obj); refused != nil {
				return refused
			}
			continue
		}
		v := a.s.volumes[name]
		if v == nil || v.obj == nil {
			return hopeless(Zone, notFound("persistentvolume", name))
		}
		a.zones = append(a.zones, v.zones...)
	}
	return nil
}

// unboundZone says why a claim without a volume must not be, nil if it waits for its
// first consumer.
func (a *Ask) unboundZone(c *corev1.PersistentVolumeClaim) *Refusal {
	name := classOfClaim(c)
	if name == "" {
		return hopeless(Zone, "PersistentVolumeClaim had no pv name and storageClass name")
	}
	class := a.s.classes[name]
	switch {
	case class == nil || class.obj == nil:
		return hopeless(Zone, notFound("storageclass.storage.k8s.io", name))
	case class.obj.VolumeBindingMode == nil:
		return hopeless(Zone, modeNotSet(name))
	case *class.obj.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer:
		return hopeless(Zone, "PersistentVolume had no name")
	}
	return nil
}

// zone is the filter VolumeZone. A node without any label of a place is in all.
func (a *Ask) zone(n *corev1.Node) *Refusal {
	if len(a.zones) == 0 {
		return nil
	}
	labelled := false
	for _, key := range zoneLabels {
		if _, ok := n.Labels[key]; ok {
			labelled = true
			break
		}
	}
	if !labelled {
		return nil
	}
	for i := range a.zones {
		r := &a.zones[i]
		value, ok := n.Labels[r.key]
		if !ok {
			value, ok = n.Labels[r.keyNow]
		}
		if !ok || !slices.Contains(r.values, value) {
			return refusedZone
		}
	}
	return nil
}
