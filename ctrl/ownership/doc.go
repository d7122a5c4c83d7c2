// Package ownership says who controls whom, and plans the writes that change it.
//
// An object has at most one controller: the owner reference with controller set.
// A controller claims the objects that its selector matches: it adopts those that
// nobody controls and releases those of its own that no longer match
// (https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#non-template-pod-acquisitions).
//
// It decides nothing about what an owner does with its objects. Controllers call
// it; it keeps nothing.
package ownership
