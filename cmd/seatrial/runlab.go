//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/lab"
	"seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/live/testbed"
	"seatrial.dev/seatrial/scenarios"
)

// runsMax bounds the runs that are under way on a machine at once.
const runsMax = 8

// ownLab finds a lab's name and subnet that no other run has, so that it is in nobody's
// way. They are held by a socket with an abstract name, which the kernel takes back
// however the run ends.
func ownLab() (name string, subnet netip.Prefix, hold io.Closer, err error) {
	for i := range runsMax {
		name = "run" + strconv.Itoa(i)
		if hold, err = net.Listen("unix", "@seatrial-"+name); err == nil {
			return name, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 30, byte(84 + i), 0}), 24), hold, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return name, subnet, nil, err
		}
	}
	return name, subnet, nil, fmt.Errorf("%d runs are under way on this machine, and more cannot be: wait for one to end", runsMax)
}

// playInLab runs a scenario on real hosts, which are made for it and taken away again.
func playInLab(ctx context.Context, scn *scenarios.Scenario, opts play.Options, images labImages) (v scenarios.Verdict, state *store.Store) {
	start := time.Now()
	v = scenarios.Verdict{Scenario: scn, Seed: opts.Seed}
	binary, err := os.Executable()
	if err != nil {
		v.Err = err
		return v, nil
	}
	name, subnet, hold, err := ownLab()
	if err != nil {
		v.Err = err
		return v, nil
	}
	defer hold.Close()
	dir := filepath.Join(filepath.Dir(lab.DefaultDir), name)
	if err := takeAway(ctx, dir); err != nil {
		v.Err = err
		return v, nil
	}
	t, err := testbed.Up(ctx, testbed.Config{Name: name, Dir: dir, Subnet: subnet, Binary: binary,
		Nodes: scn.Nodes, Network: scn.Network, Scheduler: scn.SchedulerAt, Images: images.files, Made: images.made, NoRegistry: true})
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

// takeAway removes the lab of a run that was killed; who holds its name may.
func takeAway(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "state.json")); err != nil {
		return nil
	}
	l, err := lab.Open(dir)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, downMax)
		defer cancel()
		err = l.Down(ctx)
	}
	if err != nil {
		return fmt.Errorf("a run that was killed left its lab in %s: %w", dir, err)
	}
	return nil
}

// checkForLab refuses what only a simulation can do, before anything is made.
func checkForLab(scn *scenarios.Scenario) error {
	if n := len(scn.Nodes); n > testbed.NodesMax {
		return fmt.Errorf("%s: spec.cluster.nodeGroups: %d nodes; a lab has at most %d: run it by --world sim, or with fewer", scn.File, n, testbed.NodesMax)
	}
	if len(scn.Scheduler.Extenders) > 0 {
		return fmt.Errorf("%s: spec.cluster.scheduler: it names extenders, which the lab's hosts cannot reach", scn.File)
	}
	return play.Check(scn)
}
