package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// agentProgram is the program of a host's agent; it is beside this one.
const agentProgram = "seatrial-agent"

func agentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "agent --server URL [--token T --ca-hash H]",
		Short: "Run this host's pods, as a node of a cluster",
		Long: `Joins this host to a cluster and runs the pods that are assigned to it, by the program
seatrial-agent beside this one. seatrial agent --help tells its flags; seatrial token
create, where the server runs, prints the whole command.`,
		Example: `  seatrial agent --server https://192.0.2.1:6443 --token abcdef.0123456789abcdef --ca-hash sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  seatrial agent --server https://192.0.2.1:6443
  seatrial agent --help`,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := besides(agentProgram)
			if err != nil {
				return status{exitInput, err}
			}
			err = syscall.Exec(path, append([]string{agentProgram}, args...), os.Environ())
			return status{exitWorld, fmt.Errorf("run %s: %w", path, err)}
		},
	}
}

// besides finds a program in the folder of this one.
func besides(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("there is no %s beside %s: make build makes both", name, self)
	}
	return path, nil
}
