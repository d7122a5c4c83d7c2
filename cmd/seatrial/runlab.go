//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/live/testbed"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sched"
)

// A run has a lab of its own, so that it is in nobody's way.
const (
	runLab    = "run"
	runSubnet = "172.30.84.0/24"
)

// playInLab runs a scenario on real hosts, which are made for it and taken away again.
func playInLab(ctx context.Context, scn *scenarios.Scenario, opts play.Options, images labImages) (v scenarios.Verdict, state *store.Store) {
	start := time.Now()
	v = scenarios.Verdict{Scenario: scn, Seed: opts.Seed}
	dir, err := os.MkdirTemp("", "seatrial-run-")
	if err != nil {
		v.Err = err
		return v, nil
	}
	defer os.RemoveAll(dir)
	binary, err := os.Executable()
	if err != nil {
		v.Err = err
		return v, nil
	}
	t, err := testbed.Up(ctx, testbed.Config{Name: runLab, Dir: filepath.Join(dir, "lab"), Subnet: netip.MustParsePrefix(runSubnet), Binary: binary,
		Nodes: scn.Nodes, Network: scn.Network, Images: images.files, Made: images.made, NoRegistry: true})
	if err != nil {
		v.Err, v.Wall = err, time.Since(start)
		return v, nil
	}
	v, state = play.Run(ctx, scn, t.Client(), testbed.Hosts{T: t}, opts)
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), downMax)
	defer cancel()
	if err := t.Down(clean); err != nil {
		v.Err = errors.Join(v.Err, fmt.Errorf("take the lab away: %w", err))
	}
	v.Wall = time.Since(start)
	return v, state
}

// checkForLab refuses what only a simulation can do, before anything is made.
func checkForLab(scn *scenarios.Scenario) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("%s: --world lab makes hosts, containers and networks on this machine, which needs root", scn.File)
	}
	if n := len(scn.Nodes); n > testbed.NodesMax {
		return fmt.Errorf("%s: %d nodes; a lab has at most %d", scn.File, n, testbed.NodesMax)
	}
	if !reflect.DeepEqual(scn.Scheduler, sched.DefaultConfig()) {
		return fmt.Errorf("%s: spec.cluster.scheduler: the lab's server has the default scheduler only, for now", scn.File)
	}
	return play.Check(scn)
}
