// Package endpointslicemirroring copies the Endpoints that people write by hand for a
// service without a selector into EndpointSlices, which is what service proxies and
// DNS read
// (https://kubernetes.io/docs/concepts/services-networking/service/#endpoints).
//
// A key is an Endpoints object. It is mirrored while a service of its name exists that
// has no selector, unless it bears the label endpointslice.kubernetes.io/skip-mirror or
// the annotation of a leader election. Its mirrors have its labels and annotations, go
// with it by the garbage collector, and are deleted as soon as it is not to be mirrored.
//
// Subsets are regrouped first: what matters is which addresses serve which port,
// however the subsets spell it (Kubernetes' RepackSubsets). Each set of ports that the
// same addresses serve has one slice for each address family. Two ports of one name
// stay apart, as a slice cannot hold both. An address that is not ready in one subset
// is not ready wherever it serves the same port.
//
// Of such a set 1000 addresses are mirrored, ready ones first, and of an Endpoints 100
// sets (subsetsMax; Kubernetes has no such limit). An event on the Endpoints says how
// many addresses were left out.
//
// The slices of a service with a selector are package endpointslice's: neither touches
// what the other manages, which the label endpointslice.kubernetes.io/managed-by tells.
package endpointslicemirroring
