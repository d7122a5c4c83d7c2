// Command images builds the demo images into an OCI layout: images [FOLDER], by default
// out/images. It is run in the module's folder; make images does it.
package main

import (
	"context"
	"fmt"
	"os"

	"seatrial.dev/seatrial/live/demo"
)

func main() {
	dir := "out/images"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := demo.Build(context.Background(), ".", dir); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
	for _, n := range demo.Names() {
		fmt.Println(n)
	}
}
