// Package reference is kube-scheduler as a function: it is fed the events of a
// cluster and says how it looks at one pod, in the words of sched.Explanation.
//
// It runs upstream's own code: its scheduler is built with every informer replaced
// by one that hands events on at once (package fed), so nothing is asynchronous and
// a scheduler of its own costs a millisecond. It is not the loop of kube-scheduler:
// that stops looking at nodes when it has enough of them and picks one of the best
// at random; here every node is looked at, and the best are all told.
//
// Package fidelity compares what it says with what package sched says.
package reference
