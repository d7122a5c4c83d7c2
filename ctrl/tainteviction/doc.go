// Package tainteviction deletes pods from nodes whose taints they do not bear.
//
// A pod on a node with a NoExecute taint goes at once if it does not tolerate the
// taint, after tolerationSeconds if it tolerates it for so long, and never if it
// tolerates it for ever
// (https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions).
//
// A key is a Pod. The time of grace runs from the taint's timeAdded or from the
// pod's coming to the node, whichever is later, so it outlives a restart of the
// controller; for a taint without a time it runs from when the controller first
// saw it there, which the controller remembers.
//
// A plan sets the condition DisruptionTarget on the pod, then deletes it.
package tainteviction
