// Package wire is how an agent talks to the shim of a pod: where the files of a pod
// are, and messages over a unix socket. A message is one line of JSON; open files
// may travel with it. Every request has a connection of its own, so that long ones
// (an exec, a watch) stand in nobody's way, and closing a connection takes the
// request back. The socket is in a folder only root may enter, and the shim asks
// the kernel who calls.
//
// Used by live/runtime (which calls) and live/runtime/shim (which answers). It knows
// nothing of pods: bodies are the types of live/runtime.
package wire
