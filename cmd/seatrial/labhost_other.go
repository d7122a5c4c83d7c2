//go:build !linux

package main

import (
	"errors"
	"runtime"

	"github.com/spf13/cobra"
)

// labHostCommand says what it needs, where the real world cannot be.
func labHostCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "lab-host",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return status{exitInput, errors.New("a lab needs Linux; this is " + runtime.GOOS)}
		},
	}
}

// doctorCommand likewise.
func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "doctor",
		Short:              "What of the real world this machine can do (Linux only)",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return status{exitWorld, errors.New("the real world needs Linux; this is " + runtime.GOOS)}
		},
	}
}
