// Package store keeps the versioned objects of one cluster.
//
// Every write gets the next resourceVersion, so the versions of a store are
// dense: the log of writes is an array and a watch is a position in it. The log
// keeps a bounded window; a reader that falls behind it gets ErrTooOld and must
// list again, as with Kubernetes' "410 Gone".
//
// Objects are immutable from the moment they are put here: readers get the
// pointer, a writer copies first. The store stamps the resourceVersion, so an
// object handed to Create or Update must be the writer's own copy and belongs to
// the store afterwards.
//
// It is not an API: names, defaults, admission and finalizers are decided in
// cluster/api, the only package that writes here.
package store
