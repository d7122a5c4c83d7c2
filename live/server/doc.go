// Package server is the control plane of a real cluster in one process: the API over TLS
// with etcd behind it, the controllers and the scheduler.
//
// One goroutine, the Plane's, owns the API's store and drives the very controllers and
// the scheduler of the simulation, which do not know the difference. A write is decided
// in memory and handed to the journal; whoever asked for it over the network is answered,
// and watchers see it, when etcd has it. The controllers go on meanwhile: what they write
// in consequence comes later in the journal, so a crash can only lose a tail that nobody
// outside has seen.
//
// Agents join by a token (Join) and are then known by their certificates. What concerns a
// running container (logs, exec, attach, port-forward) is passed on to the agent of its
// node. When gossip says that a host is dead, its Lease is marked, and the node controller
// need not wait for its silence to last.
package server
