// Package podgc removes pods that nobody else will remove.
//
//   - Finished pods beyond 12500 in the cluster: evicted ones first, then the
//     oldest.
//   - Pods of a node that is gone: 40 seconds later they are marked Failed and
//     removed at once, for no agent will do it.
//   - Pods that are being deleted and were never assigned to a node.
//   - Pods that are being deleted on a node that is not ready and has the taint
//     node.kubernetes.io/out-of-service.
//
// (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection)
//
// A key is a Node, for its pods; a Pod, for itself; or a Pod without a name, for
// the finished ones of the cluster. The controller remembers the finished pods in
// the order in which they go, and since when a node is gone.
package podgc
