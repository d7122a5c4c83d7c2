package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ...",
		Short:              "Run the real kubectl: the one beside this binary, or the one on the PATH",
		Example:            "  seatrial kubectl version --client",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := findKubectl()
			if err != nil {
				return status{exitInput, err}
			}
			err = syscall.Exec(path, append([]string{"kubectl"}, args...), os.Environ())
			return status{exitWorld, fmt.Errorf("run %s: %w", path, err)}
		},
	}
}

func findKubectl() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "kubectl")
		if info, err := os.Stat(beside); err == nil && !info.IsDir() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("kubectl")
	if err != nil {
		return "", errors.New("there is no kubectl beside this binary nor on the PATH; install one")
	}
	return path, nil
}
