package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the build: -X main.version=v0.1.0.
var version = "v0.1.0-dev"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  seatrial version",
		Args:    cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Printf("seatrial %s %s %s/%s%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, kubernetes())
		},
	}
}

// kubernetes is the version of the API types that are built in.
func kubernetes() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "k8s.io/api" {
			return " k8s.io/api " + m.Version
		}
	}
	return ""
}
