//go:build !linux

package main

import (
	"context"
	"errors"
	"runtime"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/scenarios"
)

var errNotLinux = errors.New("containers need Linux; this is " + runtime.GOOS)

// The verbs of the real world say what they need, where it cannot be.

func imageCommand() *cobra.Command {
	return linuxOnly("image", "The container images of this host (Linux only)")
}

func serverCommand() *cobra.Command {
	return linuxOnly("server", "Run the control plane of a real cluster (Linux only)")
}

func labCommand() *cobra.Command {
	return linuxOnly("lab", "Several hosts on this machine, with a real cluster on them (Linux only)")
}

func doctorCommand() *cobra.Command {
	return linuxOnly("doctor", "What this host can do for the real world (Linux only)")
}

func playInLab(_ context.Context, scn *scenarios.Scenario, opts play.Options, _ labImages) (scenarios.Verdict, *store.Store) {
	return scenarios.Verdict{Scenario: scn, Seed: opts.Seed, Err: errNotLinux}, nil
}

// labImages are nothing.
type labImages struct{}

// prepareLab refuses all.
func prepareLab(context.Context, *scenarios.Scenario, []string, bool) (labImages, error) {
	return labImages{}, status{exitInput, errNotLinux}
}

func tokenCommand() *cobra.Command {
	return linuxOnly("token", "The tokens with which hosts join a real cluster (Linux only)")
}

func linuxOnly(use, short string) *cobra.Command {
	return &cobra.Command{
		Use:                use,
		Short:              short,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return status{exitInput, errNotLinux}
		},
	}
}
