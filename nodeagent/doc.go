// Package nodeagent decides what one node does: the work of Kubernetes' kubelet
// as a state machine.
//
// An Agent is told what happened (Input) and answers with what is to be done
// (Effect). It waits for nothing, starts nothing and reads no clock: now is an
// argument and a deadline is an effect. A world carries the effects out, with
// real containers or with a model of them, and feeds the results back; each
// effect that has an answer gets exactly one, unless the world's process dies.
//
// It decides pod phases, conditions and container states exactly as Kubernetes
// reports them, image pulls and their back-off, the order of init containers,
// sidecars and hooks, restarts and CrashLoopBackOff, probes, termination, and
// the node's own conditions.
//
// It is not a runtime and not a network: an address is something a sandbox
// answers with.
package nodeagent
