package kinds

// CSIDriverOf is the CSI driver that took the place of a volume plugin that once was
// part of Kubernetes ("kubernetes.io/..."); empty for any other name
// (kubernetes.io/docs/concepts/storage/volumes/#csi-migration).
func CSIDriverOf(plugin string) string {
	switch plugin {
	case "kubernetes.io/aws-ebs":
		return "ebs.csi.aws.com"
	case "kubernetes.io/gce-pd":
		return "pd.csi.storage.gke.io"
	case "kubernetes.io/azure-disk":
		return "disk.csi.azure.com"
	case "kubernetes.io/azure-file":
		return "file.csi.azure.com"
	case "kubernetes.io/cinder":
		return "cinder.csi.openstack.org"
	case "kubernetes.io/portworx-volume":
		return "pxd.portworx.com"
	case "kubernetes.io/vsphere-volume":
		return "csi.vsphere.vmware.com"
	}
	return ""
}
