// Command seatrial-runtime runs the containers of one pod; see live/runtime/shim. It
// is a program of its own, and small, as it is executed once more for each container.
package main

import (
	"os"

	"seatrial.dev/seatrial/live/runtime/shim"
)

func main() { os.Exit(shim.Main(os.Args[1:])) }
