package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim/play"
)

// TestConclude is for endings that no input should be able to bring about, and so
// no transcript shows: sim/play has tests of how a run comes to them.
func TestConclude(t *testing.T) {
	scn := &scenarios.Scenario{Name: "x", File: "dir/x.yaml"}
	failed := scenarios.Result{Check: scenarios.Check{Name: "c", Mode: scenarios.AtEnd, Expr: "false", Line: 3}}
	for _, c := range []struct {
		name  string
		v     scenarios.Verdict
		code  int
		words []string
	}{
		{"held", scenarios.Verdict{}, exitHeld, []string{"PASS x seed=0"}},
		{"a check failed", scenarios.Verdict{Seed: 4, Checks: []scenarios.Result{failed}}, exitFailed,
			[]string{`check "c" failed (dir/x.yaml:3)`, "replay: seatrial run dir/x.yaml --seed 4", "FAIL x seed=4"}},
		{"the world panicked", scenarios.Verdict{Seed: 7, Time: 3 * time.Second, Events: 12, Checks: []scenarios.Result{failed},
			Err: errors.New("panic at 3s, event 12: no such thing")}, exitWorld,
			[]string{"3s  the world failed: panic at 3s, event 12: no such thing", "replay: seatrial run dir/x.yaml --seed 7 --until 1m0s", "FAIL x seed=7 time=3s events=12"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.v.Scenario = scn
			until := time.Duration(0)
			if c.code == exitWorld {
				until = time.Minute
			}
			var out strings.Builder
			require.Equal(t, c.code, exitCode(conclude(&out, &c.v, replay(&c.v, until))))
			for _, w := range c.words {
				require.Contains(t, out.String(), w)
			}
		})
	}
}

// TestBrokenWorldLeavesOtherRunsAlone gives test a scenario that reading would have
// refused, for the world panics on it, among good ones.
func TestBrokenWorldLeavesOtherRunsAlone(t *testing.T) {
	good, err := scenarios.Read("../../scenarios/guestbook.yaml")
	require.NoError(t, err)
	bad := *good
	bad.Name, bad.File = "bad", "bad.yaml"
	bad.Steps = []scenarios.Step{{At: time.Minute, Action: scenarios.Cut{From: []string{"nobody"}}}}

	var ended error
	dir := t.TempDir()
	out := printed(t, func() {
		ended = playAll(context.Background(), []play.Job{{Scenario: good, Seed: 1}, {Scenario: &bad, Seed: 9}, {Scenario: good, Seed: 2}}, testFlags{parallel: 2, out: dir})
	})
	require.Equal(t, exitWorld, exitCode(ended))
	require.Regexp(t, `(?s)^PASS guestbook seed=1 .*the world failed: panic at 1m0s, event \d+: .*no party nobody.*`+
		`replay: seatrial run bad.yaml --seed 9\nFAIL bad seed=9 time=1m0s .*\nPASS guestbook seed=2 .*\n$`, out)
	require.FileExists(t, filepath.Join(dir, "bad-seed-9", "trace.jsonl"))
}

// printed is what f writes to standard output.
func printed(t *testing.T, f func()) string {
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	require.NoError(t, err)
	defer file.Close()
	was := os.Stdout
	os.Stdout = file
	defer func() { os.Stdout = was }()
	f()
	text, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return string(text)
}
