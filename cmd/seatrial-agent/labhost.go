//go:build linux

package main

import (
	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/live/lab"
)

// labHostCommand is what `seatrial lab` starts its hosts with.
func labHostCommand() *cobra.Command {
	return &cobra.Command{
		Use:    lab.HostVerb + " LAB/HOST",
		Short:  "The first process of a lab's host; the lab starts it",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(*cobra.Command, []string) error {
			if code := lab.Main(); code != 0 {
				return status{code: code}
			}
			return nil
		},
	}
}
