// Package namespace empties a namespace that is being deleted, and lets it go.
//
// Pods are deleted first; the other kinds follow, in the order of their numbers,
// when the last pod is gone (Kubernetes' ordered namespace deletion: nothing that
// guards a pod goes before it). When nothing is left, the finalizer "kubernetes" is
// taken from the namespace's spec. The conditions in its status tell what is being
// waited for.
//
// A key is a Namespace. It comes back when the last object of a kind has left it.
package namespace
