// Package client speaks to a Kubernetes API for the processes of the real world.
//
// A Client reads and writes objects of the kinds in cluster/kinds, over TLS and with a
// client certificate. Do carries out an api.Request, so that whoever decides in
// values (a node agent, a controller) decides the same way in both worlds. Follow
// lists and watches a kind and hands on what changes as store.Events: it resumes where
// it can, lists anew where it must, and tells the difference in either case. A Recorder
// turns notes into Event objects and counts equal ones.
//
// It is not client-go: no clientset, no caches beyond what Follow's caller keeps, no
// retries of writes (the deciders have their own), so that a process which uses it
// stays small. Bodies are JSON.
//
// Everything may be called from any goroutine. Errors that the server answered are
// *errors.StatusError of apimachinery; others mean that no answer came.
package client
