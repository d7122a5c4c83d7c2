// Package garbagecollector deletes what has lost its owners.
//
//   - Background: an object all of whose owners are gone is deleted; one that has
//     other owners loses the references to those that are gone.
//   - Foreground: an object being deleted with the finalizer foregroundDeletion
//     waits. Its dependents are deleted (in the foreground too if they have
//     dependents of their own); when none is left that blocks its deletion, the
//     finalizer is removed.
//   - Orphan: the dependents of an object being deleted with the finalizer orphan
//     lose their references to it; then the finalizer is removed.
//
// (https://kubernetes.io/docs/concepts/architecture/garbage-collection/)
//
// A key is an object of any kind. An owner is gone when the view has no object of
// its kind and name with its UID: the view takes events in the order of their
// versions, so it never has a dependent before its owner. An owner of a kind
// outside the scheme counts as present.
//
// Nothing is done about an object while nothing changes: keys come from an object
// that names an owner which is not there, from an owner's deletion, and from an
// object that waits for its dependents.
package garbagecollector
