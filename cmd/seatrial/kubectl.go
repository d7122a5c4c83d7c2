package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl ...",
		Short: "Run the real kubectl: the one beside this binary, or the one on the PATH",
		Long: `Runs the real kubectl with these arguments: the one beside this binary (make kubectl
builds it), or the one on the PATH. Besides, it knows the rolling-update of older ones.`,
		Example: `  seatrial kubectl version --client
  seatrial kubectl rolling-update frontend-v1 -f frontend-v2.yaml --update-period 10s`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if rest, ok := withoutVerb(args, "rolling-update"); ok {
				r := rollingUpdateCommand()
				r.SetArgs(rest)
				return r.ExecuteContext(c.Context())
			}
			path, err := findKubectl()
			if err != nil {
				return status{exitInput, err}
			}
			err = syscall.Exec(path, append([]string{"kubectl"}, args...), os.Environ())
			return status{exitWorld, fmt.Errorf("run %s: %w", path, err)}
		},
	}
}

// withoutVerb takes kubectl's verb out of its arguments, if it is this one. Flags may
// come before it.
func withoutVerb(args []string, verb string) (rest []string, ok bool) {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == verb:
			return append(append([]string{}, args[:i]...), args[i+1:]...), true
		case !strings.HasPrefix(a, "-"):
			return nil, false
		case !strings.Contains(a, "="):
			i++ // the flag's value
		}
	}
	return nil, false
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
		return "", errors.New("there is no kubectl beside this binary nor on the PATH; make kubectl builds one beside it")
	}
	return path, nil
}
