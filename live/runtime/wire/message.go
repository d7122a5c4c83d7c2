package wire

import (
	"encoding/json"
	"path/filepath"
)

// What a request may ask for, as Request.Op.
const (
	OpSandbox = "sandbox" // runtime.SandboxSpec → runtime.Pod
	OpStart   = "start"   // runtime.ContainerSpec → runtime.Container
	OpKill    = "kill"    // Kill → nothing
	OpRemove  = "remove"  // Target → nothing
	OpExec    = "exec"    // runtime.ExecSpec and files → nothing once started, then Done
	OpAttach  = "attach"  // runtime.AttachSpec and files → nothing once attached, then Done
	OpReopen  = "reopen"  // Target → nothing
	OpUpdate  = "update"  // Update → nothing
	OpStats   = "stats"   // nothing → []runtime.Stats
	OpWatch   = "watch"   // nothing → runtime.Pod, then a runtime.Exit for each exit
	OpStop    = "stop"    // nothing → nothing, and the shim ends
)

// Request is the first message of a connection.
type Request struct {
	Op   string          `json:"op"`
	Body json.RawMessage `json:"body,omitempty"`
}

// Reply is every message back: a body, or what went wrong.
type Reply struct {
	Kind string          `json:"kind,omitempty"`
	Text string          `json:"text,omitempty"` // not empty: it failed
	Body json.RawMessage `json:"body,omitempty"`
}

// Target names a container of the pod.
type Target struct {
	Name string `json:"name"`
	Run  int    `json:"run"`
}

// Kill asks for a signal, and for SIGKILL after the grace.
type Kill struct {
	Target
	Signal      int   `json:"signal"`
	GraceMillis int64 `json:"graceMillis"`
}

// Update asks for other limits; those of the pod if the name is empty.
type Update struct {
	Target
	Resources json.RawMessage `json:"resources"`
}

// Stream says which files come with an exec or attach, in this order.
type Stream struct {
	Stdin, Stdout, Stderr bool
}

// Resize is what a client may send while an exec or attach runs.
type Resize struct {
	Width, Height uint16
}

// Done is the last message of an exec or attach.
type Done struct {
	Code int `json:"code"`
}

// Files of a pod, below its folder.
const (
	FileSocket  = "shim.sock"
	FileSandbox = "sandbox.json"
	FileLog     = "shim.log"
	DirShm      = "shm"
	DirPause    = "pause"
	DirHeld     = "held"       // mounts that last while a container starts
	DirRuns     = "runs"       // one folder for each run of a container
	DirRuntime  = "containers" // what libcontainer keeps
	FileSpec    = "spec.json"
	FileExit    = "exit.json"
)

// PodsDir holds the folder of each pod.
func PodsDir(stateDir string) string { return filepath.Join(stateDir, "pods") }

// PodDir is the folder of a pod, whose UID was checked.
func PodDir(stateDir, pod string) string { return filepath.Join(PodsDir(stateDir), pod) }
