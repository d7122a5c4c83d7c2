package columns

import (
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

func storagePrinters() map[kinds.Kind]printer {
	return map[kinds.Kind]printer{
		kinds.PersistentVolume: {columns: columns("Name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass",
			"VolumeAttributesClass", "Reason", "Age", "wide:VolumeMode"), cells: volumeCells},
		kinds.PersistentVolumeClaim: {columns: columns("Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass",
			"VolumeAttributesClass", "Age", "wide:VolumeMode"), cells: claimCells},
		kinds.StorageClass: {columns: columns("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"), cells: classCells},
		kinds.VolumeAttributesClass: {columns: columns("Name", "DriverName", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			c := o.(*storagev1.VolumeAttributesClass)
			return []any{c.Name, c.DriverName, age(c, now)}
		}},
		kinds.VolumeAttachment: {columns: columns("Name", "Attacher", "PV", "Node", "Attached", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			a := o.(*storagev1.VolumeAttachment)
			pv := ""
			if p := a.Spec.Source.PersistentVolumeName; p != nil {
				pv = *p
			}
			return []any{a.Name, a.Spec.Attacher, pv, a.Spec.NodeName, a.Status.Attached, age(a, now)}
		}},
		kinds.CSINode: {columns: columns("Name", "#Drivers", "Age"), cells: func(o kinds.Object, now time.Time) []any {
			n := o.(*storagev1.CSINode)
			return []any{n.Name, int64(len(n.Spec.Drivers)), age(n, now)}
		}},
		kinds.CSIDriver: {columns: columns("Name", "AttachRequired", "PodInfoOnMount", "StorageCapacity", "TokenRequests", "RequiresRepublish", "Modes", "Age"), cells: driverCells},
		kinds.CSIStorageCapacity: {columns: columns("Name", "StorageClassName", "Capacity"), cells: func(o kinds.Object, _ time.Time) []any {
			c := o.(*storagev1.CSIStorageCapacity)
			capacity := "<unset>"
			if c.Capacity != nil {
				capacity = c.Capacity.String()
			}
			return []any{c.Name, c.StorageClassName, capacity}
		}},
	}
}

// modesText abbreviates access modes, each once: RWO,ROX,RWX,RWOP.
func modesText(modes []corev1.PersistentVolumeAccessMode) string {
	has := map[corev1.PersistentVolumeAccessMode]bool{}
	for _, m := range modes {
		has[m] = true
	}
	var list []string
	for _, x := range []struct {
		mode  corev1.PersistentVolumeAccessMode
		short string
	}{{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"}} {
		if has[x.mode] {
			list = append(list, x.short)
		}
	}
	return strings.Join(list, ",")
}

func volumeModeText(m *corev1.PersistentVolumeMode) string {
	if m == nil {
		return "<unset>"
	}
	return string(*m)
}

func pointed(s *string) string {
	if s == nil {
		return "<unset>"
	}
	return *s
}

func volumeCells(o kinds.Object, now time.Time) []any {
	v := o.(*corev1.PersistentVolume)
	claim := ""
	if r := v.Spec.ClaimRef; r != nil {
		claim = r.Namespace + "/" + r.Name
	}
	phase := string(v.Status.Phase)
	if v.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	size := v.Spec.Capacity[corev1.ResourceStorage]
	return []any{v.Name, size.String(), modesText(v.Spec.AccessModes), string(v.Spec.PersistentVolumeReclaimPolicy), phase, claim,
		v.Spec.StorageClassName, pointed(v.Spec.VolumeAttributesClassName), v.Status.Reason, age(v, now), volumeModeText(v.Spec.VolumeMode)}
}

func claimCells(o kinds.Object, now time.Time) []any {
	c := o.(*corev1.PersistentVolumeClaim)
	phase := string(c.Status.Phase)
	if c.DeletionTimestamp != nil {
		phase = "Terminating"
	}
	size, modes := "", ""
	if c.Spec.VolumeName != "" {
		modes = modesText(c.Status.AccessModes)
		q := c.Status.Capacity[corev1.ResourceStorage]
		size = q.String()
	}
	class := ""
	if c.Spec.StorageClassName != nil {
		class = *c.Spec.StorageClassName
	} else if a, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		class = a
	}
	return []any{c.Name, phase, c.Spec.VolumeName, size, modes, class, pointed(c.Spec.VolumeAttributesClassName), age(c, now), volumeModeText(c.Spec.VolumeMode)}
}

func classCells(o kinds.Object, now time.Time) []any {
	c := o.(*storagev1.StorageClass)
	name := c.Name
	if c.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
		name += " (default)"
	}
	policy, mode := string(corev1.PersistentVolumeReclaimDelete), "<unset>"
	if c.ReclaimPolicy != nil {
		policy = string(*c.ReclaimPolicy)
	}
	if c.VolumeBindingMode != nil {
		mode = string(*c.VolumeBindingMode)
	}
	return []any{name, c.Provisioner, policy, mode, c.AllowVolumeExpansion != nil && *c.AllowVolumeExpansion, age(c, now)}
}

func driverCells(o kinds.Object, now time.Time) []any {
	d := o.(*storagev1.CSIDriver)
	is := func(b *bool, byDefault bool) bool {
		if b == nil {
			return byDefault
		}
		return *b
	}
	var modes, audiences []string
	for _, m := range d.Spec.VolumeLifecycleModes {
		modes = append(modes, string(m))
	}
	for _, t := range d.Spec.TokenRequests {
		audiences = append(audiences, t.Audience)
	}
	return []any{d.Name, is(d.Spec.AttachRequired, true), is(d.Spec.PodInfoOnMount, false), is(d.Spec.StorageCapacity, false),
		orUnset(strings.Join(audiences, ",")), strconv.FormatBool(is(d.Spec.RequiresRepublish, false)), orNone(strings.Join(modes, ",")), age(d, now)}
}
