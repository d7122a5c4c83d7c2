// Command seatrial-runtime runs the containers of one pod; see live/runtime/shim. It
// is a program of its own, and small, as it is executed once more for each container.
package main

import (
	"os"
	"runtime"

	"seatrial.dev/seatrial/live/runtime/shim"
)

// A process that becomes a container's stays on its first thread, which Go grants only to
// what is locked before main: capabilities, no_new_privs and the filter of system calls are
// of the thread that sets them, and the first is the one that the shim looks at.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		runtime.LockOSThread()
	}
}

func main() { os.Exit(shim.Main(os.Args[1:])) }
