// Package fidelity shows random clusters and pods to kube-scheduler (package
// reference) and to package sched, and says where they differ.
//
// A cluster of seed s is drawn by package draw from s; a run of seed S looks at the
// clusters S, S+1, S+2 and so on until it has compared enough decisions. So decision
// k of cluster s is had again with `go run . fidelity --seed s --decisions k`.
//
// Within a cluster both schedulers live on: pods are bound, victims go, nodes change.
// A difference is looked at again with two schedulers that see the same objects for
// the first time. If it is there still, it is a fault of the decision, and the case is
// made smaller for as long as the difference stays (shrink.go). If not, it is a fault
// of what is kept between decisions, and only the seed shows it.
//
// Vocabulary: a world is the objects there are; a case is a world and the pod to look
// at; a difference is one thing that the two schedulers say differently of a case.
package fidelity
