// Package api is the Kubernetes API without HTTP: the verbs, what each checks
// and changes, and what it answers.
//
// All writes to a store go through here: defaults, validation, admission,
// namespace and owner checks, generation and resourceVersion, graceful deletion
// and finalizers, cluster IPs and node ports, the binding of a pod. UIDs,
// generated names and timestamps are minted here and nowhere else, from the
// API's own random stream and the now it is given.
//
// It is a function of the store and the request: it waits for nothing and is
// called from one goroutine. Errors are Kubernetes' own *errors.StatusError, as
// an HTTP front would send them.
//
// Ownership: an object in a Request must be the caller's own copy; the store
// keeps it. An object in an answer is the store's: read only.
package api
