// Package endpointslice keeps the EndpointSlices of every service that has a
// selector: the pods behind it, at most 100 in a slice, with the conditions ready,
// serving and terminating, node and zone.
//
// A key is a Service. Slices are kept apart by address family and by the ports that
// their pods serve on. When pods change, as few slices as can be are written: an
// endpoint stays in its slice; one that goes leaves a gap; new ones fill the slices
// that are written anyway, then one that has room for all of them, then new ones
// (Kubernetes' reconciler of pkg endpointslice). A service without pods keeps one
// empty slice.
//
// A slice's name ends in a hash of the service's UID and a number, so that a plan
// that is made again names the same slices. Slices go with their service by the
// garbage collector.
//
// Left out: topology hints, and the annotation that measures the latency of a real
// control plane.
package endpointslice
