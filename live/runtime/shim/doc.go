// Package shim is the program seatrial-runtime: one process for each pod, the parent
// of its containers.
//
// The program has three ways to run, told apart by its first argument. "shim" serves
// the requests of package wire for one pod until it is told to stop. "init" is what
// libcontainer executes for each container and exec: it sets the process up and
// becomes the command; every Go package linked here is initialised each time, which
// is why this program links nothing of Kubernetes or etcd. "pause" holds the
// namespaces of the pod; it is C and never reaches the Go runtime.
//
// What must outlive the shim is in the pod's folder: the spec of the sandbox and of
// each run before it starts, and how each run ended, synced to disk before anyone is
// told. A shim does not resume; when it dies, the agent takes the pod for lost and
// removes what is left.
//
// Shims and pauses live in one control group of the host ("_shims" below the root),
// so that no pod is charged for them and they do not go with the agent's own group.
package shim
