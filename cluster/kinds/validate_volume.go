package kinds

import (
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// volume checks a pod's volume: its name, and that it has exactly one source.
// Source: https://kubernetes.io/docs/concepts/storage/volumes/
func (c *check) volume(at *loc, s *corev1.PodSpec, i int) {
	v := &s.Volumes[i]
	here := at.index("volumes", i)
	if v.Name == "" {
		c.required(&here, "name", "")
	} else {
		c.label(&here, "name", v.Name)
	}
	for j := range i {
		if s.Volumes[j].Name == v.Name && v.Name != "" {
			c.duplicate(&here, "name", v.Name)
			break
		}
	}
	c.volumeSource(&here, &v.VolumeSource)
}

// oneSource counts the sources of a volume and forbids all but the first.
type oneSource struct {
	given int
	what  string // "volume type"
}

func (o *oneSource) next(c *check, at *loc, name string, given bool) bool {
	if !given {
		return false
	}
	if o.given++; o.given > 1 {
		c.forbidden(at, name, "may not specify more than 1 "+o.what)
	}
	return o.given == 1
}

func (c *check) volumeSource(at *loc, v *corev1.VolumeSource) {
	one := oneSource{what: "volume type"}
	if one.next(c, at, "emptyDir", v.EmptyDir != nil) {
		if l := v.EmptyDir.SizeLimit; l != nil && l.Sign() < 0 {
			here := at.dot("emptyDir")
			c.forbidden(&here, "sizeLimit", "SizeLimit field must be a valid resource quantity")
		}
	}
	if one.next(c, at, "hostPath", v.HostPath != nil) {
		c.hostPath(at, v.HostPath)
	}
	if one.next(c, at, "secret", v.Secret != nil) {
		here := at.dot("secret")
		if v.Secret.SecretName == "" {
			c.required(&here, "secretName", "")
		}
		c.mode(&here, "defaultMode", v.Secret.DefaultMode)
		c.keyPaths(&here, v.Secret.Items)
	}
	if one.next(c, at, "configMap", v.ConfigMap != nil) {
		here := at.dot("configMap")
		if v.ConfigMap.Name == "" {
			c.required(&here, "name", "")
		}
		c.mode(&here, "defaultMode", v.ConfigMap.DefaultMode)
		c.keyPaths(&here, v.ConfigMap.Items)
	}
	if one.next(c, at, "persistentVolumeClaim", v.PersistentVolumeClaim != nil) && v.PersistentVolumeClaim.ClaimName == "" {
		here := at.dot("persistentVolumeClaim")
		c.required(&here, "claimName", "")
	}
	if one.next(c, at, "downwardAPI", v.DownwardAPI != nil) {
		here := at.dot("downwardAPI")
		c.mode(&here, "defaultMode", v.DownwardAPI.DefaultMode)
		c.downward(&here, v.DownwardAPI.Items)
	}
	if one.next(c, at, "projected", v.Projected != nil) {
		c.projected(at, v.Projected)
	}
	if one.next(c, at, "nfs", v.NFS != nil) {
		c.nfs(at, v.NFS)
	}
	if one.next(c, at, "csi", v.CSI != nil) && v.CSI.Driver == "" {
		here := at.dot("csi")
		c.required(&here, "driver", "")
	}
	if one.next(c, at, "ephemeral", v.Ephemeral != nil) {
		here := at.dot("ephemeral")
		if t := v.Ephemeral.VolumeClaimTemplate; t == nil {
			c.required(&here, "volumeClaimTemplate", "")
		} else {
			claim := here.dot("volumeClaimTemplate")
			spec := claim.dot("spec")
			c.claimSpec(&spec, &t.Spec)
		}
	}
	if one.next(c, at, "image", v.Image != nil) && v.Image.Reference == "" {
		here := at.dot("image")
		c.required(&here, "reference", "")
	}
	c.rareSources(at, v, &one)
	if one.given == 0 {
		c.required(at, "", "must specify a volume type")
	}
}

// rareSources checks the kinds of volume that stand for a vendor's storage.
func (c *check) rareSources(at *loc, v *corev1.VolumeSource, one *oneSource) {
	if one.next(c, at, "gitRepo", v.GitRepo != nil) && v.GitRepo.Repository == "" {
		here := at.dot("gitRepo")
		c.required(&here, "repository", "")
	}
	if one.next(c, at, "gcePersistentDisk", v.GCEPersistentDisk != nil) && v.GCEPersistentDisk.PDName == "" {
		here := at.dot("gcePersistentDisk")
		c.required(&here, "pdName", "")
	}
	if one.next(c, at, "awsElasticBlockStore", v.AWSElasticBlockStore != nil) && v.AWSElasticBlockStore.VolumeID == "" {
		here := at.dot("awsElasticBlockStore")
		c.required(&here, "volumeID", "")
	}
	if one.next(c, at, "iscsi", v.ISCSI != nil) {
		here := at.dot("iscsi")
		if v.ISCSI.TargetPortal == "" {
			c.required(&here, "targetPortal", "")
		}
		if v.ISCSI.IQN == "" {
			c.required(&here, "iqn", "")
		}
	}
	one.next(c, at, "glusterfs", v.Glusterfs != nil)
	one.next(c, at, "rbd", v.RBD != nil)
	one.next(c, at, "flexVolume", v.FlexVolume != nil)
	one.next(c, at, "cinder", v.Cinder != nil)
	one.next(c, at, "cephfs", v.CephFS != nil)
	one.next(c, at, "flocker", v.Flocker != nil)
	one.next(c, at, "fc", v.FC != nil)
	one.next(c, at, "azureFile", v.AzureFile != nil)
	one.next(c, at, "vsphereVolume", v.VsphereVolume != nil)
	one.next(c, at, "quobyte", v.Quobyte != nil)
	one.next(c, at, "azureDisk", v.AzureDisk != nil)
	one.next(c, at, "photonPersistentDisk", v.PhotonPersistentDisk != nil)
	one.next(c, at, "portworxVolume", v.PortworxVolume != nil)
	one.next(c, at, "scaleIO", v.ScaleIO != nil)
	one.next(c, at, "storageos", v.StorageOS != nil)
}

func (c *check) hostPath(at *loc, h *corev1.HostPathVolumeSource) {
	here := at.dot("hostPath")
	if h.Path == "" {
		c.required(&here, "path", "")
	} else if hasParent(h.Path) {
		c.invalid(&here, "path", h.Path, "must not contain '..'")
	}
	oneOfPtr(c, &here, "type", h.Type, corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory,
		corev1.HostPathFileOrCreate, corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)
}

func (c *check) nfs(at *loc, n *corev1.NFSVolumeSource) {
	here := at.dot("nfs")
	if n.Server == "" {
		c.required(&here, "server", "")
	}
	if n.Path == "" {
		c.required(&here, "path", "")
	} else if !path.IsAbs(n.Path) {
		c.invalid(&here, "path", n.Path, "must be an absolute path")
	}
}

func (c *check) projected(at *loc, p *corev1.ProjectedVolumeSource) {
	here := at.dot("projected")
	c.mode(&here, "defaultMode", p.DefaultMode)
	for i := range p.Sources {
		src := &p.Sources[i]
		place := here.index("sources", i)
		one := oneSource{what: "volume type per source"}
		if one.next(c, &place, "secret", src.Secret != nil) {
			inner := place.dot("secret")
			if src.Secret.Name == "" {
				c.required(&inner, "name", "")
			}
			c.keyPaths(&inner, src.Secret.Items)
		}
		if one.next(c, &place, "configMap", src.ConfigMap != nil) {
			inner := place.dot("configMap")
			if src.ConfigMap.Name == "" {
				c.required(&inner, "name", "")
			}
			c.keyPaths(&inner, src.ConfigMap.Items)
		}
		if one.next(c, &place, "downwardAPI", src.DownwardAPI != nil) {
			inner := place.dot("downwardAPI")
			c.downward(&inner, src.DownwardAPI.Items)
		}
		if one.next(c, &place, "serviceAccountToken", src.ServiceAccountToken != nil) {
			c.tokenProjection(&place, src.ServiceAccountToken)
		}
		one.next(c, &place, "clusterTrustBundle", src.ClusterTrustBundle != nil)
		one.next(c, &place, "podCertificate", src.PodCertificate != nil)
		if one.given == 0 {
			c.required(&place, "", "must specify a volume type")
		}
	}
}

// tokenProjection: a token lives for at least ten minutes, at most 2^32 s.
func (c *check) tokenProjection(at *loc, t *corev1.ServiceAccountTokenProjection) {
	here := at.dot("serviceAccountToken")
	if s := t.ExpirationSeconds; s != nil {
		if *s < 10*60 {
			c.invalid(&here, "expirationSeconds", *s, "may not specify a duration less than 10 minutes")
		}
		if *s > 1<<32 {
			c.invalid(&here, "expirationSeconds", *s, "may not specify a duration larger than 2^32 seconds")
		}
	}
	if t.Path == "" {
		c.required(&here, "path", "")
		return
	}
	c.localPath(&here, "path", t.Path)
}

func (c *check) mode(at *loc, name string, mode *int32) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		c.invalid(at, name, *mode, "must be a number between 0 and 0777 (octal), both inclusive")
	}
}

func (c *check) keyPaths(at *loc, items []corev1.KeyToPath) {
	for i := range items {
		here := at.index("items", i)
		if items[i].Key == "" {
			c.required(&here, "key", "")
		}
		if items[i].Path == "" {
			c.required(&here, "path", "")
		} else {
			c.localPath(&here, "path", items[i].Path)
		}
		c.mode(&here, "mode", items[i].Mode)
	}
}

func (c *check) downward(at *loc, items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		here := at.index("items", i)
		f := &items[i]
		if f.Path == "" {
			c.required(&here, "path", "")
		} else {
			c.localPath(&here, "path", f.Path)
		}
		switch {
		case f.FieldRef != nil:
			c.fieldRef(&here, f.FieldRef, volumeFields, envMaps)
			if f.ResourceFieldRef != nil {
				c.invalid(&here, "", "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
			}
		case f.ResourceFieldRef != nil:
			c.resourceFieldRef(&here, f.ResourceFieldRef, true)
		default:
			c.required(&here, "", "one of fieldRef and resourceFieldRef is required")
		}
		c.mode(&here, "mode", f.Mode)
	}
}

// localPath: a path that stays below the folder it is taken from.
func (c *check) localPath(at *loc, name, p string) {
	if path.IsAbs(p) {
		c.invalid(at, name, p, "must be a relative path")
	}
	if hasParent(p) {
		c.invalid(at, name, p, "must not contain '..'")
	}
}

func hasParent(p string) bool {
	for rest, more := p, true; more; {
		var part string
		if part, rest, more = strings.Cut(rest, "/"); part == ".." {
			return true
		}
	}
	return false
}

func (c *check) volumeMount(at *loc, s *corev1.PodSpec, box *corev1.Container, i int) {
	m := &box.VolumeMounts[i]
	if m.Name == "" {
		c.required(at, "name", "")
	} else if findVolume(s, m.Name) == nil {
		c.notFound(at, "name", m.Name)
	}
	if m.MountPath == "" {
		c.required(at, "mountPath", "")
	}
	for j := range i {
		if box.VolumeMounts[j].MountPath == m.MountPath {
			c.invalid(at, "mountPath", m.MountPath, "must be unique")
			break
		}
	}
	if m.SubPath != "" {
		c.localPath(at, "subPath", m.SubPath)
	}
	if m.SubPathExpr != "" {
		if m.SubPath != "" {
			c.invalid(at, "subPathExpr", m.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
		}
		c.localPath(at, "subPathExpr", m.SubPathExpr)
	}
	oneOfPtr(c, at, "mountPropagation", m.MountPropagation, corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
}

func findVolume(s *corev1.PodSpec, name string) *corev1.Volume {
	for i := range s.Volumes {
		if s.Volumes[i].Name == name {
			return &s.Volumes[i]
		}
	}
	return nil
}

func (c *check) volumeDevice(at *loc, s *corev1.PodSpec, box *corev1.Container, i int) {
	d := &box.VolumeDevices[i]
	v := findVolume(s, d.Name)
	switch {
	case d.Name == "":
		c.required(at, "name", "")
	case v == nil:
		c.notFound(at, "name", d.Name)
	case v.PersistentVolumeClaim == nil && v.Ephemeral == nil:
		c.invalid(at, "name", d.Name, "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
	}
	if d.DevicePath == "" {
		c.required(at, "devicePath", "")
	} else if hasParent(d.DevicePath) {
		c.invalid(at, "devicePath", d.DevicePath, "must not contain '..'")
	}
	for j := range i {
		if box.VolumeDevices[j].DevicePath == d.DevicePath {
			c.invalid(at, "devicePath", d.DevicePath, "must be unique")
			break
		}
	}
	for j := range box.VolumeMounts {
		if box.VolumeMounts[j].Name == d.Name {
			c.invalid(at, "name", d.Name, "must not already exist in volumeMounts")
			break
		}
	}
}

// claimSpec checks what a claim asks for.
// Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
func (c *check) claimSpec(at *loc, s *corev1.PersistentVolumeClaimSpec) {
	c.accessModes(at, s.AccessModes)
	c.selector(at, "selector", s.Selector)
	here := at.dot("resources")
	storage, ok := s.Resources.Requests[corev1.ResourceStorage]
	if !ok {
		place := here.at("requests", string(corev1.ResourceStorage))
		c.required(&place, "", "")
	} else if storage.Sign() <= 0 {
		place := here.at("requests", string(corev1.ResourceStorage))
		c.invalid(&place, "", storage.String(), "must be greater than zero")
	}
	if s.StorageClassName != nil && *s.StorageClassName != "" {
		c.subdomain(at, "storageClassName", *s.StorageClassName)
	}
	oneOfPtr(c, at, "volumeMode", s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
}

func (c *check) accessModes(at *loc, modes []corev1.PersistentVolumeAccessMode) {
	if len(modes) == 0 {
		c.required(at, "accessModes", "at least 1 access mode is required")
	}
	alone := false
	for _, m := range modes {
		oneOf(c, at, "accessModes", m, corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod)
		alone = alone || m == corev1.ReadWriteOncePod
	}
	if alone && len(modes) > 1 {
		c.forbidden(at, "accessModes", "may not use ReadWriteOncePod with other access modes")
	}
}

// configKeys checks the keys of a ConfigMap or Secret field by field.
func (c *check) configKeys(root *loc, field string, keys []string) {
	for _, k := range keys {
		if !isKey(k) {
			here := root.at(field, k)
			c.invalids(&here, "", k, validation.IsConfigMapKey(k))
		}
	}
}
