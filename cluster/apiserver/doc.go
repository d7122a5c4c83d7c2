// Package apiserver is the HTTP front of the Kubernetes API: paths, media types,
// discovery, OpenAPI, tables and watch streams. Both worlds serve it.
//
// What a verb means is decided in cluster/api; what a kind is, in cluster/kinds.
// This package reads requests and writes answers. It is the one part of the
// cluster that runs on many goroutines: it meets its world through Cluster, whose
// Do runs a function on the world's own goroutine, and through Observe, which the
// world calls there after every write. Nothing is encoded on that goroutine:
// stored objects are immutable, so Do collects pointers and the request's own
// goroutine turns them into bytes.
//
// What concerns a running container (logs, exec, attach, port-forward, proxies) is for
// the world: see Logs and Streams. A cluster without them answers 501.
//
// It is not a security layer: who a caller is and what he may do is asked of the
// two functions in Config.
//
// Managed fields (server-side apply) are kept for writes that come over HTTP and
// not for those of in-process controllers, which would pay for them with every
// status: an in-process write keeps the entries an object has. So a field that
// only a controller sets has no owner here, where Kubernetes would name one.
//
// Vocabulary: a resource is one row of the paths served (pods, deployments.v1.apps);
// a feed is the recent writes of one kind, in order, shared by all its watchers; a
// form is how an object is shown (itself, as a Table, as its metadata alone).
//
// Source of the protocol: kubernetes.io/docs/reference/using-api/api-concepts.
package apiserver
