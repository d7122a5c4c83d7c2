// Package runtime starts and stops the containers of one host.
//
// Each pod has a process of its own, its shim (the program seatrial-runtime, code in
// live/runtime/shim), which holds the pod's namespaces, is the parent of its
// containers and writes down how they end. The shim does not depend on whoever
// started it: an agent that was killed opens the same state folder again, finds in
// List what runs, and gets from Exits what ended meanwhile. This package is the
// agent's side. It links no container library, so that the agent stays small and the
// shim, which is executed once more for each container, quick.
//
// Words: a sandbox is what the containers of a pod share (namespaces, control group,
// /dev/shm); a run is one start of a container, counted by the caller; an exit is
// the end of a run. What is kept of a run goes with Remove, and with the sandbox.
//
// Specs come from objects that anyone may have written: names, paths and numbers are
// checked here and once more by the shim. Paths on the host (root file systems,
// sources of mounts, logs) are the caller's word; what lies below them (SubPath,
// targets of mounts, user files of an image) is not trusted and may not lead out.
//
// All methods of a Client may be called from any goroutine. Calls for one pod should
// come in an order: sandbox, containers, stop.
package runtime
