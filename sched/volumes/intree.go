package volumes

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// intree.go tells what became of the volume plugins that once were part of
// Kubernetes: each is served by a CSI driver, so its disks count as that driver's
// (kubernetes.io/docs/concepts/storage/volumes/#csi-migration, k8s.io/csi-translation-lib).

// Names of in-tree plugins whose volumes count as their CSI driver's.
const (
	pluginEBS      = "kubernetes.io/aws-ebs"
	pluginGCE      = "kubernetes.io/gce-pd"
	pluginAzure    = "kubernetes.io/azure-disk"
	pluginCinder   = "kubernetes.io/cinder"
	pluginPortworx = "kubernetes.io/portworx-volume"
	// The two that are translated, but count nowhere in the scheduler.
	pluginAzureFile = "kubernetes.io/azure-file"
	pluginVSphere   = "kubernetes.io/vsphere-volume"
)

const (
	zoneDelimiter  = "__" // between the zones of a volume's label
	zoneUnspecific = "UNSPECIFIED"
	azureManaged   = "managed"
)

// driverOf is the CSI driver that an in-tree plugin's volumes count as; empty for none.
func driverOf(plugin string) string {
	if plugin == pluginAzureFile || plugin == pluginVSphere {
		return ""
	}
	return kinds.CSIDriverOf(plugin)
}

// zoneKeyOf is the node label in which the driver of a plugin tells the zone; empty
// where the affinity of its volumes is left alone.
func zoneKeyOf(plugin string) string {
	switch plugin {
	case pluginEBS:
		return "topology.ebs.csi.aws.com/zone"
	case pluginGCE:
		return "topology.gke.io/zone"
	case pluginCinder:
		return "topology.cinder.csi.openstack.org/zone"
	}
	return ""
}

// isInTree says whether a pod's inline volume is one that has a CSI driver now.
func isInTree(v *corev1.Volume) bool {
	return v.AWSElasticBlockStore != nil || v.GCEPersistentDisk != nil || v.AzureDisk != nil || v.Cinder != nil ||
		v.PortworxVolume != nil || v.AzureFile != nil || v.VsphereVolume != nil
}

// attachment names a volume as its driver does.
type attachment struct{ driver, handle string }

// inline is the attachment of a pod's inline volume; ok is false for one that does
// not count. The error's text is the translation's.
func inline(v *corev1.Volume) (a attachment, ok bool, err error) {
	switch {
	case v.AWSElasticBlockStore != nil:
		a, err = ebs(v.AWSElasticBlockStore.VolumeID)
	case v.GCEPersistentDisk != nil:
		a = attachment{driverOf(pluginGCE), gceZonal(zoneUnspecific, v.GCEPersistentDisk.PDName)}
	case v.AzureDisk != nil:
		a, err = azure(v.AzureDisk.Kind, v.AzureDisk.DataDiskURI)
	case v.Cinder != nil:
		a = attachment{driverOf(pluginCinder), v.Cinder.VolumeID}
	case v.PortworxVolume != nil:
		a = attachment{driverOf(pluginPortworx), v.PortworxVolume.VolumeID}
	default:
		return a, false, nil
	}
	return a, err == nil, err
}

// migration is an in-tree PersistentVolume as its CSI driver sees it.
type migration struct {
	plugin string
	attachment
	affinity *corev1.VolumeNodeAffinity
	err      error // it cannot be translated
}

// migrate translates an in-tree volume; nil for any other.
func migrate(pv *corev1.PersistentVolume) *migration {
	m := &migration{affinity: pv.Spec.NodeAffinity}
	switch src := &pv.Spec.PersistentVolumeSource; {
	case src.AWSElasticBlockStore != nil:
		m.plugin = pluginEBS
		m.attachment, m.err = ebs(src.AWSElasticBlockStore.VolumeID)
	case src.GCEPersistentDisk != nil:
		m.plugin = pluginGCE
		m.attachment, m.err = gce(pv)
	case src.AzureDisk != nil:
		m.plugin = pluginAzure
		m.attachment, m.err = azure(src.AzureDisk.Kind, src.AzureDisk.DataDiskURI)
	case src.Cinder != nil:
		m.plugin, m.attachment = pluginCinder, attachment{driverOf(pluginCinder), src.Cinder.VolumeID}
	case src.PortworxVolume != nil:
		m.plugin, m.attachment = pluginPortworx, attachment{driverOf(pluginPortworx), src.PortworxVolume.VolumeID}
	default:
		return nil
	}
	if key := zoneKeyOf(m.plugin); key != "" {
		m.affinity = migrateAffinity(pv, key)
	}
	return m
}

func ebs(id string) (attachment, error) {
	if strings.HasPrefix(id, "aws://") {
		u, err := url.Parse(id)
		if err != nil {
			return attachment{}, fmt.Errorf("failed to translate Kubernetes ID to EBS Volume ID Invalid disk name (%s): %v", id, err)
		}
		bare := strings.Trim(u.Path, "/")
		if !strings.HasPrefix(bare, "vol-") || strings.Contains(bare, "/") {
			return attachment{}, fmt.Errorf("failed to translate Kubernetes ID to EBS Volume ID Invalid format for AWS volume (%s)", id)
		}
		id = bare
	}
	return attachment{driverOf(pluginEBS), id}, nil
}

func azure(kind *corev1.AzureDataDiskKind, uri string) (attachment, error) {
	if kind != nil && !strings.EqualFold(string(*kind), azureManaged) {
		return attachment{}, fmt.Errorf("kind(%v) is not supported in csi migration", *kind)
	}
	return attachment{driverOf(pluginAzure), uri}, nil
}

func gceZonal(zone, disk string) string {
	return "projects/" + zoneUnspecific + "/zones/" + zone + "/disks/" + disk
}

func gce(pv *corev1.PersistentVolume) (attachment, error) {
	label := pv.Labels[corev1.LabelFailureDomainBetaZone]
	if label == "" {
		label = pv.Labels[corev1.LabelTopologyZone]
	}
	a := attachment{driver: driverOf(pluginGCE)}
	disk := pv.Spec.GCEPersistentDisk.PDName
	switch zones := strings.Split(label, zoneDelimiter); {
	case label == "":
		a.handle = gceZonal(zoneUnspecific, disk)
	case len(zones) == 1:
		a.handle = gceZonal(label, disk)
	default:
		region, err := gceRegion(zones)
		if err != nil {
			return a, fmt.Errorf("failed to get region from zones: %v", err)
		}
		a.handle = "projects/" + zoneUnspecific + "/regions/" + region + "/disks/" + disk
	}
	return a, nil
}

func gceRegion(zones []string) (string, error) {
	region := ""
	for i, zone := range zones {
		parts := strings.Split(zone, "-")
		if len(parts) != 3 {
			return "", fmt.Errorf("zone in unexpected format, expected: {locale}-{region}-{zone}, got: %v", zone)
		}
		r := parts[0] + "-" + parts[1]
		if i > 0 && r != region {
			return "", fmt.Errorf("multiple or no regions gotten from zones, got: %v", zones)
		}
		region = r
	}
	return region, nil
}

// migrateAffinity is the volume's affinity with the driver's label for the zone. A
// zone that only the volume's labels tell becomes a term; beta labels of the region
// become the ones nodes have today.
func migrateAffinity(pv *corev1.PersistentVolume, key string) *corev1.VolumeNodeAffinity {
	zone, region := topologyLabels(pv)
	affinity := pv.Spec.NodeAffinity.DeepCopy()
	if !renameKey(affinity, zone, key) {
		if label, ok := pv.Labels[zone]; ok {
			affinity = requireZones(affinity, key, strings.Split(label, zoneDelimiter))
		}
	}
	if region == corev1.LabelFailureDomainBetaRegion {
		renameKey(affinity, region, corev1.LabelTopologyRegion)
	}
	return affinity
}

// topologyLabels are the labels for zone and region that a volume goes by.
func topologyLabels(pv *corev1.PersistentVolume) (zone, region string) {
	const zoneNow, zoneBeta = corev1.LabelTopologyZone, corev1.LabelFailureDomainBetaZone
	if hasKey(pv.Spec.NodeAffinity, zoneNow) {
		return zoneNow, corev1.LabelTopologyRegion
	}
	if hasKey(pv.Spec.NodeAffinity, zoneBeta) {
		return zoneBeta, corev1.LabelFailureDomainBetaRegion
	}
	_, now := pv.Labels[zoneNow]
	if _, beta := pv.Labels[zoneBeta]; beta && !now {
		return zoneBeta, corev1.LabelFailureDomainBetaRegion
	}
	return zoneNow, corev1.LabelTopologyRegion
}

func hasKey(affinity *corev1.VolumeNodeAffinity, key string) bool {
	if affinity == nil || affinity.Required == nil {
		return false
	}
	return slices.ContainsFunc(affinity.Required.NodeSelectorTerms, func(t corev1.NodeSelectorTerm) bool {
		return slices.ContainsFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool { return r.Key == key })
	})
}

// renameKey renames a key in all terms and says whether any value stood with it.
func renameKey(affinity *corev1.VolumeNodeAffinity, from, to string) bool {
	if affinity == nil || affinity.Required == nil {
		return false
	}
	values := false
	for _, t := range affinity.Required.NodeSelectorTerms {
		for i := range t.MatchExpressions {
			values = values || t.MatchExpressions[i].Key == from && len(t.MatchExpressions[i].Values) > 0
		}
	}
	if !values {
		return false
	}
	for _, t := range affinity.Required.NodeSelectorTerms {
		for i := range t.MatchExpressions {
			if t.MatchExpressions[i].Key == from {
				t.MatchExpressions[i].Key = to
			}
		}
	}
	return true
}

// requireZones adds the zones to each term.
func requireZones(affinity *corev1.VolumeNodeAffinity, key string, zones []string) *corev1.VolumeNodeAffinity {
	var named []string
	for _, z := range zones {
		if z = strings.TrimSpace(z); z != "" {
			named = append(named, z)
		}
	}
	if len(named) == 0 {
		return affinity
	}
	slices.Sort(named)
	if affinity == nil {
		affinity = &corev1.VolumeNodeAffinity{}
	}
	if affinity.Required == nil {
		affinity.Required = &corev1.NodeSelector{}
	}
	if len(affinity.Required.NodeSelectorTerms) == 0 {
		affinity.Required.NodeSelectorTerms = make([]corev1.NodeSelectorTerm, 1)
	}
	for i := range affinity.Required.NodeSelectorTerms {
		t := &affinity.Required.NodeSelectorTerms[i]
		t.MatchExpressions = append(t.MatchExpressions, corev1.NodeSelectorRequirement{
			Key: key, Operator: corev1.NodeSelectorOpIn, Values: slices.Compact(named)})
	}
	return affinity
}
