// Package extender asks scheduler extenders over HTTP, as kube-scheduler does: a POST
// of JSON to the URL of the verb, with a time-out, for a scheduler of either world.
//
// What is asked and what follows from an answer is decided in package sched; this
// package carries the question there and the answer back. cmd hands a Client to the
// scheduler's configuration. It keeps nothing between questions but connections, and
// may be used by many runs at a time.
package extender
