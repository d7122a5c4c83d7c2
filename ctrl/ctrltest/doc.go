// Package ctrltest plays golden transcripts of controllers. Only tests import it.
//
// A transcript is a file of blocks: a command, "----", and what it answers. The
// flag -rewrite of the test rewrites the answers. Time starts at 0s and moves
// only by command; times in answers are relative to the start.
//
//	load                     put the objects below into the store as they stand
//	                         (defaults, a UID "kind-name" and a creation time are
//	                         filled in where they are missing)
//	pods [word...]           load pods, one a line; see pods.go for the words
//	set kind/ns/name         change an object by the merge patch below
//	remove kind/ns/name      take an object away, finalizers or not
//	advance 10s              let time pass
//	reconcile kind/ns/name   print the plan for a key, without applying it
//	                         (verbose: print created objects in full)
//	refuse kind/ns/name verb message    print what a refused write leads to
//	show kind/ns/name        print an object, or a part of it: show x at=status
//	run                      let the controllers work through their queues by the
//	                         API until nothing is left to do at this time
//	                         (verbose: print what the writes change)
//	kubelet [ready=N] [fail=N] [succeed=N]
//	                         pods that are being deleted go, others fail, succeed or
//	                         come to be ready
//
// load, set and remove answer with the keys that the controllers' Keys asked for.
package ctrltest
