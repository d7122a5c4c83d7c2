// Package volumes decides what a pod's volumes allow: what kube-scheduler's plugins
// VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone decide, with
// their names, reasons and order, and the feature gates as they are by default in
// Kubernetes 1.37 (kubernetes.io/docs/concepts/storage/dynamic-provisioning,
// .../storage-classes#volume-binding-mode, .../storage-limits, .../storage-capacity).
//
// A State holds claims, volumes, classes, drivers and which pods use what on which
// node. It is kept up to date by events and by the caller, who places and removes
// pods; it never asks anyone. Ask prepares one pod, Ask.Filter judges one node for
// one plugin, Ask.Reserve settles on a node.
//
// What Reserve chose is assumed: the State answers as if the writes that it returned
// had happened, until an event shows another version of the object or Unreserve
// takes it back. Bound says when the volume controller has done its part.
//
// It is not the controller that binds claims, and not the scheduler: it knows nothing
// of queues, scores of other plugins or preemption. The caller applies writes, and
// serializes all calls. Where kube-scheduler takes whichever of equals its map walk
// meets first, the first by name is taken here.
package volumes
