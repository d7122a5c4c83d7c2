// Package sched decides which node a pod runs on.
//
// A Snapshot holds, in columns by node, what the decision needs; it is kept up to
// date by the events of a view, never rebuilt. Decide is a function of a snapshot
// and a pod: filters say which nodes could take it and why the others cannot,
// scores rank those that can. Queue is the state machine of pods that wait: it is
// told the time.
//
// Decisions use integers; equal scores are ordered by a hash of the pod's UID and
// the node's name, so the order in which nodes arrived has no part in them.
//
// Filters and scores bear kube-scheduler's names: NodeUnschedulable, NodeName,
// TaintToleration, NodeAffinity, NodePorts, NodeResourcesFit, and for the ranking
// LeastAllocated, BalancedAllocation, TaintToleration, NodeAffinity
// (kubernetes.io/docs/reference/scheduling/config).
package sched
