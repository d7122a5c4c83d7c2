package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/scenarios"
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
			require.Equal(t, c.code, exitCode(conclude(&out, &c.v, until)))
			for _, w := range c.words {
				require.Contains(t, out.String(), w)
			}
		})
	}
}
