// Package replicaset keeps as many pods running as a ReplicaSet, or a
// ReplicationController, asks for.
//
// Both are one controller: a ReplicationController is read as a ReplicaSet with
// a selector of equal labels, as Kubernetes does it. It adopts the matching pods
// that nobody controls, releases its own that no longer match, creates what is
// missing, deletes what is too much (package podset says which), and reports the
// counts in the status.
//
// A key is a ReplicaSet (or ReplicationController). The counts come from the
// view's group of pods: the pods themselves are walked only to adopt, release,
// delete, or to learn who has been ready for long enough.
//
// One plan is ordered: adoptions and releases, then creations or deletions (at
// most burstMax), then at most one status write, last, with the counts as they
// were seen: the pods' own events bring the key back.
package replicaset
