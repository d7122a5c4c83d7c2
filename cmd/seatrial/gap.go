package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/cluster/store"
	labplay "seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/compare"
	"seatrial.dev/seatrial/sim/play"
)

func gapCommand() *cobra.Command {
	var f gapFlags
	c := &cobra.Command{
		Use:   "gap SCENARIO",
		Short: "Run a scenario in both worlds and set the two runs side by side",
		Long: `Runs a scenario in the simulated world and in a lab of real hosts, and prints how long
each milestone took in either (medians and longest), and what the two clusters differ in
at the end. Pods count by the workload that they belong to. It needs root.

The exit status is that of the worse of the two verdicts; a gap alone is no failure.`,
		Example: `  seatrial gap scenarios/lab/guestbook.yaml
  seatrial gap scenarios/lab/node-crash.yaml --json gap.json
  seatrial gap scenarios/guestbook.yaml --until 4m`,
		Args: exactly(1, "a scenario file"),
		RunE: func(c *cobra.Command, args []string) error { return gap(c.Context(), args[0], f) },
	}
	c.Flags().DurationVar(&f.until, "until", 0, "end both runs at this time; checks that reach beyond it are left out")
	c.Flags().BoolVar(&f.standIns, "stand-ins", true, standInsHelp)
	c.Flags().StringArrayVar(&f.images, "images", nil, "OCI layout or archive of images for the hosts; once for each (default "+demoImages+", if it is there)")
	c.Flags().StringVar(&f.json, "json", "", "write the gap to this file, too")
	return c
}

type gapFlags struct {
	images   []string
	standIns bool
	until    time.Duration
	json     string
}

// side is one of the two runs.
type side struct {
	verdict    scenarios.Verdict
	milestones *compare.Milestones
	state      []compare.Line
}

func gap(ctx context.Context, file string, f gapFlags) error {
	if f.until < 0 {
		return status{exitInput, fmt.Errorf("--until %v: want a time of 0 or more", f.until)}
	}
	scn, err := readScenario(file)
	if err != nil {
		return err
	}
	images, err := prepareLab(ctx, scn, imagesOr(f.images), f.standIns)
	if err != nil {
		return err
	}
	sim := &side{milestones: compare.New(scn)}
	var state *store.Store
	sim.verdict, state = play.Run(scn, play.Options{Seed: scn.Seed, Until: f.until, Watch: sim.watch, Stop: func() bool { return ctx.Err() != nil }})
	sim.finish(state)
	fmt.Fprintln(os.Stderr, "simulated:", &sim.verdict)
	real := &side{milestones: compare.New(scn)}
	bar := newProgress(os.Stderr, "auto", scn, f.until)
	real.verdict, state = playInLab(ctx, scn, labplay.Options{Seed: scn.Seed, Until: f.until, Watch: real.watch, Progress: bar.advance, Problem: bar.problem}, images)
	bar.finish()
	real.finish(state)
	fmt.Fprintln(os.Stderr, "real:     ", &real.verdict)
	result := gapOf(scn, sim, real)
	result.print(os.Stdout)
	if f.json != "" {
		text, err := json.MarshalIndent(result, "", "  ")
		if err == nil {
			err = os.WriteFile(f.json, append(text, '\n'), 0o666)
		}
		if err != nil {
			return status{exitWorld, fmt.Errorf("--json: %w", err)}
		}
	}
	return worse(ctx, sim, real)
}

func (s *side) watch(now time.Duration, _ uint64, e store.Event) { s.milestones.Observe(now, e) }

func (s *side) finish(state *store.Store) {
	if state != nil {
		s.state = compare.State(state)
	}
}

// worse prints what failed and returns the status of the run that went worse.
func worse(ctx context.Context, sim, real *side) error {
	code := exitHeld
	for _, s := range []*side{sim, real} {
		s.verdict.WriteFailures(os.Stderr, "seatrial gap "+s.verdict.Scenario.File)
		switch {
		case ctx.Err() != nil || errors.Is(s.verdict.Err, scenarios.ErrStopped):
			code = max(code, exitStopped)
		case s.verdict.Err != nil:
			code = max(code, exitWorld)
		case !s.verdict.Passed():
			code = max(code, exitFailed)
		}
	}
	if code != exitHeld {
		return status{code: code}
	}
	return nil
}

// gapRow is one milestone in both worlds; times in milliseconds.
type gapRow struct {
	Milestone  string  `json:"milestone"`
	SimTimes   int     `json:"simTimes"` // how often it was reached
	RealTimes  int     `json:"realTimes"`
	SimMedian  float64 `json:"simMedianMs"`
	RealMedian float64 `json:"realMedianMs"`
	SimMax     float64 `json:"simMaxMs"`
	RealMax    float64 `json:"realMaxMs"`
}

type gapResult struct {
	Scenario    string               `json:"scenario"`
	Milestones  []gapRow             `json:"milestones"`
	Same        int                  `json:"same"` // things that came out the same
	Differences []compare.Difference `json:"differences"`
}

func gapOf(scn *scenarios.Scenario, sim, real *side) *gapResult {
	r := &gapResult{Scenario: scn.Name, Differences: compare.Differences(sim.state, real.state)}
	r.Same = max(len(sim.state), len(real.state)) - len(r.Differences)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, m := range compare.All() {
		a, b := sim.milestones.Took(m), real.milestones.Took(m)
		r.Milestones = append(r.Milestones, gapRow{m.String(), a.Times, b.Times, ms(a.Median), ms(b.Median), ms(a.Longest), ms(b.Longest)})
	}
	return r
}

func (r *gapResult) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "MILESTONE\tSIM N\tREAL N\tSIM MEDIAN\tREAL MEDIAN\tSIM MAX\tREAL MAX\t")
	for _, m := range r.Milestones {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t\n", m.Milestone, m.SimTimes, m.RealTimes,
			tookText(m.SimTimes, m.SimMedian), tookText(m.RealTimes, m.RealMedian), tookText(m.SimTimes, m.SimMax), tookText(m.RealTimes, m.RealMax))
	}
	_ = t.Flush() // to standard output
	fmt.Fprintf(w, "\nat the end: %d things the same, %d different\n", r.Same, len(r.Differences))
	for _, d := range r.Differences {
		fmt.Fprintf(w, "  %s: simulated %q, real %q\n", d.What, d.A, d.B)
	}
}

func tookText(times int, ms float64) string {
	if times == 0 {
		return "-"
	}
	return scenarios.FormatWall(time.Duration(ms * float64(time.Millisecond)))
}
