// Package persistentvolume binds PersistentVolumeClaims to PersistentVolumes, and
// frees the volumes again (kubernetes.io/docs/concepts/storage/persistent-volumes).
//
// Controller is Kubernetes' volume binder. A claim takes a volume that is meant for
// it, else the smallest that will do. A claim of a class that waits for its first
// consumer leaves the choice to the scheduler, who names either the claim in a volume
// or a node in the claim. Where there is no volume and the class has a provisioner,
// the claim is marked for it. A volume whose claim is gone is released and goes the
// way of its reclaim policy.
//
// Provisioner stands for the provisioners that run beside a cluster, one for each
// name: it makes the volumes of claims marked for one, and deletes them. It belongs
// to worlds that have no CSI drivers.
//
// Keys are claims and volumes.
package persistentvolume
