package draw

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// csiDriver is the one driver that is not made of an old plugin.
const csiDriver = "csi.example.com"

const (
	ebsDriver = "ebs.csi.aws.com"
	gceDriver = "pd.csi.storage.gke.io"
)

func (c *Cluster) storage() {
	c.storageClasses()
	c.csiNodes()
	for i := range c.between(2, 8) {
		c.volume(fmt.Sprintf("pv%d", i))
	}
	for i := range c.between(3, 10) {
		c.claim(fmt.Sprintf("claim%d", i))
	}
	if c.chance(50) {
		c.capacities()
	}
	c.attachments()
}

func (c *Cluster) storageClasses() {
	late, now := storagev1.VolumeBindingWaitForFirstConsumer, storagev1.VolumeBindingImmediate
	classes := []*storagev1.StorageClass{
		{ObjectMeta: metav1.ObjectMeta{Name: "late"}, Provisioner: csiDriver, VolumeBindingMode: &late},
		{ObjectMeta: metav1.ObjectMeta{Name: "now"}, Provisioner: csiDriver, VolumeBindingMode: &now},
		{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: "kubernetes.io/no-provisioner", VolumeBindingMode: &late},
	}
	if c.chance(40) {
		classes[0].AllowedTopologies = []corev1.TopologySelectorTerm{{MatchLabelExpressions: []corev1.TopologySelectorLabelRequirement{
			{Key: corev1.LabelTopologyZone, Values: []string{zoneA, pick(c, zoneB, zoneC)}}}}}
	}
	for _, sc := range classes {
		c.make(sc)
		c.classes = append(c.classes, sc.Name)
	}
	if c.chance(60) {
		c.make(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: csiDriver},
			Spec: storagev1.CSIDriverSpec{StorageCapacity: ptr(c.chance(60)), AttachRequired: ptr(true)}})
	}
}

func (c *Cluster) csiNodes() {
	for _, n := range c.nodes {
		if c.chance(8) {
			continue
		}
		o := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
		for _, d := range []string{csiDriver, ebsDriver, gceDriver} {
			if c.chance(4) {
				continue
			}
			driver := storagev1.CSINodeDriver{Name: d, NodeID: n.Name}
			if c.has[sched.NodeVolumeLimits] && c.chance(60) {
				driver.Allocatable = &storagev1.VolumeNodeResources{Count: ptr(int32(c.between(0, 3)))}
			}
			o.Spec.Drivers = append(o.Spec.Drivers, driver)
		}
		if c.chance(70) {
			o.Annotations = map[string]string{"storage.alpha.kubernetes.io/migrated-plugins": pick(c,
				"kubernetes.io/aws-ebs,kubernetes.io/gce-pd", "kubernetes.io/aws-ebs")}
		}
		c.make(o)
	}
}

func (c *Cluster) accessMode() corev1.PersistentVolumeAccessMode {
	if c.has[sched.VolumeRestrictions] && c.chance(30) {
		return corev1.ReadWriteOncePod
	}
	return pick(c, corev1.ReadWriteOnce, corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany)
}

func size(gib int) resource.Quantity {
	return *resource.NewQuantity(int64(gib)<<30, resource.BinarySI)
}

// volume draws a volume that no claim has yet.
func (c *Cluster) volume(name string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	s := &pv.Spec
	s.Capacity = corev1.ResourceList{corev1.ResourceStorage: size(pick(c, 1, 5, 10, 20))}
	s.AccessModes = []corev1.PersistentVolumeAccessMode{c.accessMode()}
	if s.AccessModes[0] != corev1.ReadWriteOncePod && c.chance(40) {
		s.AccessModes = append(s.AccessModes, corev1.ReadOnlyMany)
	}
	s.StorageClassName = pick(c, "late", "now", "local", "local", "")
	c.source(pv)
	if c.chance(60) && s.Local == nil {
		s.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn,
				Values: []string{pick(c, zoneA, zoneB), zoneC}}}}}}}
	}
	if c.has[sched.VolumeZone] && c.chance(60) {
		key := pick(c, corev1.LabelTopologyZone, corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone, corev1.LabelTopologyRegion)
		pv.Labels[key] = pick(c, zoneA, zoneB, zoneA+"__"+zoneB, zoneC)
		if key == corev1.LabelTopologyRegion {
			pv.Labels[key] = pick(c, "r1", "r2")
		}
	}
	if c.chance(20) {
		pv.Labels["kind"] = pick(c, "fast", "slow")
	}
	pv.Status.Phase = corev1.VolumeAvailable
	c.make(pv)
	c.volumes = append(c.volumes, pv)
	return pv
}

func (c *Cluster) source(pv *corev1.PersistentVolume) {
	s := &pv.Spec
	switch c.between(0, 9) {
	case 0:
		s.AWSElasticBlockStore = &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "vol-" + pv.Name}
	case 1:
		s.GCEPersistentDisk = &corev1.GCEPersistentDiskVolumeSource{PDName: pv.Name}
	case 2, 3:
		s.Local = &corev1.LocalVolumeSource{Path: "/disks/" + pv.Name}
		s.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn,
				Values: []string{pick(c, c.nodeNames()...)}}}}}}}
	default:
		s.CSI = &corev1.CSIPersistentVolumeSource{Driver: csiDriver, VolumeHandle: pv.Name}
	}
}

// claim draws a claim: bound to a volume of its own, or not, or not quite.
func (c *Cluster) claim(name string) {
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace(), Name: name, Annotations: map[string]string{}}}
	s := &pvc.Spec
	s.AccessModes = []corev1.PersistentVolumeAccessMode{c.accessMode()}
	s.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: size(pick(c, 1, 4, 10, 30))}
	s.StorageClassName = ptr(pick(c, "late", "late", "late", "late", "late", "local", "local", "local", "now", pick(c, "now", "gone", "")))
	if c.chance(10) {
		s.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"kind": pick(c, "fast", "slow")}}
	}
	pvc.Status.Phase = corev1.ClaimPending
	i := slices.IndexFunc(c.volumes, func(pv *corev1.PersistentVolume) bool { return pv.Spec.ClaimRef == nil })
	if i >= 0 && c.chance(60) {
		c.bind(pvc, c.volumes[i])
	}
	if c.chance(4) {
		pvc.DeletionTimestamp = ptr(metav1.NewTime(Epoch()))
		pvc.DeletionGracePeriodSeconds = ptr[int64](0)
		pvc.Finalizers = []string{"kubernetes.io/pvc-protection"}
	}
	c.make(pvc)
	c.claims = append(c.claims, pvc)
	if s.VolumeName != "" && i >= 0 && c.volumes[i].Spec.ClaimRef != nil {
		c.volumes[i].Spec.ClaimRef.UID = pvc.UID
	}
}

func (c *Cluster) bind(pvc *corev1.PersistentVolumeClaim, pv *corev1.PersistentVolume) {
	pvc.Spec.VolumeName = pv.Name
	pvc.Spec.StorageClassName = ptr(pv.Spec.StorageClassName)
	pvc.Spec.AccessModes = pv.Spec.AccessModes[:1]
	pv.Spec.ClaimRef = &corev1.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: pvc.Namespace, Name: pvc.Name, UID: types.UID("later")}
	pv.Status.Phase = corev1.VolumeBound
	pvc.Status.Phase = corev1.ClaimBound
	pvc.Annotations["pv.kubernetes.io/bind-completed"] = "yes"
	switch c.between(0, 29) {
	case 0: // named, but the volume controller has not got to it
		delete(pvc.Annotations, "pv.kubernetes.io/bind-completed")
		pvc.Status.Phase = corev1.ClaimPending
	case 1:
		pvc.Spec.VolumeName = "gone"
		pvc.Status.Phase = corev1.ClaimLost
	}
}

// capacities draws at most one for each class and zone: of several, kube-scheduler takes
// the one that a map gives first.
func (c *Cluster) capacities() {
	for _, class := range []string{"late", "now"} {
		for i, zone := range []string{zoneA, zoneB, zoneC, ""} {
			if !c.chance(50) {
				continue
			}
			o := &storagev1.CSIStorageCapacity{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("%s%d", class, i)}, StorageClassName: class}
			if zone != "" {
				o.NodeTopology = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelTopologyZone: zone}}
			}
			if c.chance(85) {
				o.Capacity = ptr(size(pick(c, 1, 5, 40)))
			}
			if o.Capacity != nil && c.chance(30) { // kube-scheduler's score panics on a largest size without a capacity
				o.MaximumVolumeSize = ptr(size(pick(c, 2, 15)))
			}
			c.make(o)
		}
	}
}

func (c *Cluster) attachments() {
	for i, pv := range c.volumes {
		if pv.Spec.CSI == nil || !c.chance(20) {
			continue
		}
		c.make(&storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("att%d", i)},
			Spec: storagev1.VolumeAttachmentSpec{Attacher: csiDriver, NodeName: pick(c, c.nodeNames()...),
				Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: ptr(pv.Name)}}})
	}
}

func (c *Cluster) podVolumes(pod *corev1.Pod) {
	add := func(s corev1.VolumeSource) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("v%d", len(pod.Spec.Volumes)), VolumeSource: s})
	}
	for range c.between(1, 2) {
		switch n := c.between(0, 19); {
		case n < 12 && len(c.claims) > 0:
			claim := pick(c, c.claims...)
			if len(pod.Spec.Volumes) == 0 {
				pod.Namespace = claim.Namespace
			}
			if pod.Namespace != claim.Namespace {
				continue
			}
			add(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name, ReadOnly: c.chance(20)}})
		case n == 12 && c.chance(15):
			add(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "gone"}})
		case n == 13:
			add(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
				Spec: corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: ptr("late"),
					Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size(1)}}}}}})
		case n < 16 && c.has[sched.VolumeRestrictions]:
			add(corev1.VolumeSource{GCEPersistentDisk: &corev1.GCEPersistentDiskVolumeSource{PDName: pick(c, "d1", "d2"), ReadOnly: c.chance(50)}})
		case n < 18 && c.has[sched.VolumeRestrictions]:
			add(corev1.VolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: pick(c, "vol-e1", "vol-e2"), ReadOnly: c.chance(50)}})
		case n == 18 && c.has[sched.VolumeRestrictions]:
			add(pick(c, corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "10.0.0.1:3260", IQN: "iqn.2026-01.com.example:x", ReadOnly: c.chance(50)}},
				corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{CephMonitors: []string{"10.0.0.1", "10.0.0.2"}, RBDImage: "image", ReadOnly: c.chance(50)}}))
		default:
			add(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
		}
	}
}

// ephemeralClaims draws the claims that a pod's ephemeral volumes go by: they are
// there, or not yet, or are those of another.
func (c *Cluster) ephemeralClaims(pod *corev1.Pod) (out []kinds.Object) {
	for _, v := range pod.Spec.Volumes {
		if v.Ephemeral == nil || c.chance(25) {
			continue
		}
		pvc := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name + "-" + v.Name},
			Spec: *v.Ephemeral.VolumeClaimTemplate.Spec.DeepCopy(), Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}}
		pvc.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: ptr(true)}}
		if pod.Spec.NodeName == "" && c.chance(10) {
			pvc.OwnerReferences[0].UID = "another"
		}
		c.stamp(pvc)
		out = append(out, pvc)
	}
	return out
}
