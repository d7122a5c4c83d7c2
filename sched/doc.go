// Package sched decides which node a pod runs on, as kube-scheduler does: with its
// plugins' names, arguments, scores, reasons and messages
// (kubernetes.io/docs/reference/scheduling/config), and with policies beyond them.
//
// It is a state machine. A Scheduler is told what a view sees (See), hands out the pod
// that comes first (Next), decides on it (Decide), hands out the writes that follow (Take)
// and is told their outcome (Answered). It reads no clock, starts nothing and asks nobody:
// now is an argument, a deadline is an answer (Due), and extenders are asked by an Asker
// that a world gives it. One goroutine owns a Scheduler and all that it hands out; objects
// that it is given are read, and never written to.
//
// Not here: what a configuration file may say (package config), the four plugins of
// volumes (package volumes), HTTP, and the loop that drives it all (sim/world,
// bench/schedperf, bench/playback).
//
// # Words
//
//   - A Snapshot is the cluster as decisions see it, in columns by the number of a node. It
//     is kept up to date by events and never rebuilt.
//   - A class is all pods that are alike in whatever any decision goes by; a shape is what
//     a class asks of a node by itself. Pods of one template are of one class or few.
//   - Columns are what each node is to a shape: its local score, or why it is refused.
//   - A tally counts, by node, the pods that a selector means; a sum is a tally by the
//     domains of a topology. Wants are what a class asks about other pods, compiled to sums.
//   - A search is one pod's, with all of this brought up to date. A Decision is its end.
//   - A resident is a pod on a node, bound or assumed; a nominee is one for which room is
//     being made on a node.
//   - Hopeless is a refusal that no preemption can help (UnschedulableAndUnresolvable).
//
// # Files
//
//   - scheduler.go, effects.go: the state machine; what a decision makes it write.
//   - config.go, profile.go: a Config, and a profile of it made ready: which plugins look
//     at a node by itself and which at more.
//   - snapshot.go, requests.go: nodes and what is used of them.
//   - class.go, relevant.go, columns.go: what is kept between decisions, by what key, and
//     what makes it out of date (docs/adr/0010).
//   - filter.go, score.go, image.go, affinity.go: plugins that look at a node by itself;
//     reasons.go has their words, package rounding their floating point (docs/adr/0009).
//   - terms.go, wants.go, tally.go, backing.go: InterPodAffinity and PodTopologySpread,
//     compiled; near.go filters by them. volumeask.go asks package volumes,
//     serviceaffinity.go is a predicate of old.
//   - decide.go, rank.go, sample.go: filters, then scores that are scaled by the best of
//     the nodes left, then the choice.
//   - nominated.go, budget.go, preempt.go: room for the more important.
//   - asker.go: extenders, where a decision asks them.
//   - queue.go, hint.go: pods that wait, and which of them a change may help.
//   - explain.go, brief.go: the table of nodes and plugins, for people; as it is now, and
//     kept in a few bytes of every decision.
//   - policy.go, policy*.go, gpu.go: policies beyond kube-scheduler's (docs/POLICIES.md).
//
// # Order
//
// A decision is a function of what the snapshot holds, of the pod and of the profile; the
// order in which things arrived has no part in it. Equal scores are ordered by a hash of
// the pod's UID and the node's name, then by the name. The one exception is a profile with
// percentageOfNodesToScore, whose searches begin where the last one ended, as upstream's.
package sched
