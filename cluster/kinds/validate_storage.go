package kinds

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
)

// Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
func (c *check) persistentVolume(root *loc, pv *corev1.PersistentVolume) {
	at := root.dot("spec")
	s := &pv.Spec
	c.accessModes(&at, s.AccessModes)
	if len(s.Capacity) == 0 {
		c.required(&at, "capacity", "")
	}
	for _, name := range sortedKeys(s.Capacity) {
		q := s.Capacity[name]
		here := at.at("capacity", string(name))
		if name != corev1.ResourceStorage {
			c.notSupported(&at, "capacity", string(name), []string{string(corev1.ResourceStorage)})
		} else if q.Sign() <= 0 {
			c.invalid(&here, "", q.String(), "must be greater than zero")
		}
	}
	oneOf(c, &at, "persistentVolumeReclaimPolicy", s.PersistentVolumeReclaimPolicy,
		corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)
	if s.StorageClassName != "" {
		c.subdomain(&at, "storageClassName", s.StorageClassName)
	}
	oneOfPtr(c, &at, "volumeMode", s.VolumeMode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
	c.volumeHome(&at, s)
	c.persistentSource(&at, s)
}

// volumeHome checks from which nodes a volume can be reached.
func (c *check) volumeHome(at *loc, s *corev1.PersistentVolumeSpec) {
	if n := s.NodeAffinity; n != nil {
		here := at.dot("nodeAffinity")
		if n.Required == nil {
			c.required(&here, "required", "must specify required node constraints")
			return
		}
		place := here.dot("required")
		c.nodeSelector(&place, n.Required)
	} else if s.Local != nil {
		c.required(at, "nodeAffinity", "Local volume requires node affinity")
	}
}

func (c *check) persistentSource(at *loc, s *corev1.PersistentVolumeSpec) {
	one := oneSource{what: "volume type"}
	if one.next(c, at, "hostPath", s.HostPath != nil) {
		c.hostPath(at, s.HostPath)
		if s.HostPath.Path == "/" && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
			c.forbidden(at, "persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
		}
	}
	if one.next(c, at, "nfs", s.NFS != nil) {
		c.nfs(at, s.NFS)
	}
	if one.next(c, at, "local", s.Local != nil) {
		here := at.dot("local")
		if s.Local.Path == "" {
			c.required(&here, "path", "")
		} else if hasParent(s.Local.Path) {
			c.invalid(&here, "path", s.Local.Path, "must not contain '..'")
		}
	}
	if one.next(c, at, "csi", s.CSI != nil) {
		here := at.dot("csi")
		if s.CSI.Driver == "" {
			c.required(&here, "driver", "")
		}
		if s.CSI.VolumeHandle == "" {
			c.required(&here, "volumeHandle", "")
		}
	}
	one.next(c, at, "gcePersistentDisk", s.GCEPersistentDisk != nil)
	one.next(c, at, "awsElasticBlockStore", s.AWSElasticBlockStore != nil)
	one.next(c, at, "glusterfs", s.Glusterfs != nil)
	one.next(c, at, "rbd", s.RBD != nil)
	one.next(c, at, "iscsi", s.ISCSI != nil)
	one.next(c, at, "cinder", s.Cinder != nil)
	one.next(c, at, "cephfs", s.CephFS != nil)
	one.next(c, at, "fc", s.FC != nil)
	one.next(c, at, "flocker", s.Flocker != nil)
	one.next(c, at, "flexVolume", s.FlexVolume != nil)
	one.next(c, at, "azureFile", s.AzureFile != nil)
	one.next(c, at, "vsphereVolume", s.VsphereVolume != nil)
	one.next(c, at, "quobyte", s.Quobyte != nil)
	one.next(c, at, "azureDisk", s.AzureDisk != nil)
	one.next(c, at, "photonPersistentDisk", s.PhotonPersistentDisk != nil)
	one.next(c, at, "portworxVolume", s.PortworxVolume != nil)
	one.next(c, at, "scaleIO", s.ScaleIO != nil)
	one.next(c, at, "storageos", s.StorageOS != nil)
	if one.given == 0 {
		c.required(at, "", "must specify a volume type")
	}
}

// Source: https://kubernetes.io/docs/concepts/storage/storage-classes/
func (c *check) storageClass(root *loc, s *storagev1.StorageClass) {
	if s.Provisioner == "" {
		c.required(root, "provisioner", "")
	} else {
		c.qualified(root, "provisioner", s.Provisioner)
	}
	for _, k := range sortedKeys(s.Parameters) {
		if k == "" {
			c.invalid(root, "parameters", k, "field can not be empty.")
		}
	}
	oneOfPtr(c, root, "reclaimPolicy", s.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain)
	if s.VolumeBindingMode == nil {
		c.required(root, "volumeBindingMode", "")
	}
	oneOfPtr(c, root, "volumeBindingMode", s.VolumeBindingMode, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer)
	for i := range s.AllowedTopologies {
		here := root.index("allowedTopologies", i)
		for j := range s.AllowedTopologies[i].MatchLabelExpressions {
			e := &s.AllowedTopologies[i].MatchLabelExpressions[j]
			place := here.index("matchLabelExpressions", j)
			c.qualified(&place, "key", e.Key)
			if len(e.Values) == 0 {
				c.required(&place, "values", "")
			}
		}
	}
}

func (c *check) volumeAttachment(root *loc, v *storagev1.VolumeAttachment) {
	at := root.dot("spec")
	if v.Spec.Attacher == "" {
		c.required(&at, "attacher", "")
	}
	if v.Spec.NodeName == "" {
		c.required(&at, "nodeName", "")
	} else {
		c.subdomain(&at, "nodeName", v.Spec.NodeName)
	}
	here := at.dot("source")
	inline, named := v.Spec.Source.InlineVolumeSpec != nil, v.Spec.Source.PersistentVolumeName != nil
	switch {
	case !inline && !named:
		c.required(&here, "", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
	case inline && named:
		c.forbidden(&here, "", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
	case named && *v.Spec.Source.PersistentVolumeName == "":
		c.required(&here, "persistentVolumeName", "must specify non empty persistentVolumeName")
	}
}
