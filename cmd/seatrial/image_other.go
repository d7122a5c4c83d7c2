//go:build !linux

package main

import (
	"errors"
	"runtime"

	"github.com/spf13/cobra"
)

// imageCommand says what it needs, where the real world cannot be.
func imageCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "image",
		Short:              "The container images of this host (Linux only)",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return status{exitInput, errors.New("containers need Linux; this is " + runtime.GOOS)}
		},
	}
}
