// Package statefulset keeps the numbered pods of a StatefulSet.
//
// Each pod has a name ("web-0"), claims of its own ("data-web-0") and a revision of
// the template. With the policy OrderedReady they start in order, each when the one
// before is available, and go in the reverse order; with Parallel all at once. A new
// template is rolled out from the highest number down to the partition
// (https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/).
// Templates are kept in ControllerRevisions (package revision).
//
// A key is a StatefulSet. One plan does what upstream's controller does in one turn:
// with OrderedReady at most one pod is created or deleted. It is ordered: revisions;
// claims and pods; the status, last.
//
// Left out: persistentVolumeClaimRetentionPolicy (claims are kept), maxUnavailable
// (one at a time), the repair of a pod whose identity was changed by others.
package statefulset
