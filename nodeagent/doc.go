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
// answers with. Heartbeats (the Lease, the node's periodic status) are the
// world's; the agent writes its Node when something about it changes.
//
// # How it works
//
// Every input about a pod changes that pod's state and ends in Agent.sync, which
// reads off the state what is to be done next; so an answer that is late, lost or
// of an earlier run does no harm. A stage is where a pod stands: it is to run, it
// is being stopped, or it has ended. A round is what the kubelet calls one sync of
// a pod: it makes the sandbox and starts what is to be started, one container
// after the other, each with its image pull and its postStart hook. A status is
// drawn up before and after a round and not within, which makes two writes of a
// simple pod's start. A run is one start of a container; its number is the
// restart count.
//
// An ephemeral container is called a guest: it is started once, outside the order of
// the others, and the pod is as if it were not there.
//
// One status write per pod is in flight at a time, always of the latest status;
// a status that would change nothing is not written. The API may show another
// status than the one written because a view is behind or because someone
// overwrote it; the second is put right, at once if the view had caught up before.
//
// # Conventions beyond the contract
//
// Objects in effects are shared with the agent and among themselves, as objects
// in the store are: nobody changes them. ContainerStarted.Err may begin with
// "CreateContainerError: " or "CreateContainerConfigError: " where no container
// was created; any other text is a container that was created and did not start.
// SandboxReady.Err that begins with "network is not ready" is tried again soon, and so
// is one that begins with "volumes are not ready: ", the event of which is FailedMount.
// Node.Status.Images of Booted are the images that the host already has.
//
// Times in statuses are cut to the second, as the API stores them; waits are
// counted from the full times.
package nodeagent
