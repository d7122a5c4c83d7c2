package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/live/extender"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/report"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sim/play"
	"seatrial.dev/seatrial/sim/world"
)

type runFlags struct {
	world    string
	seed     uint64
	until    time.Duration
	out      string
	junit    string
	progress string
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Run one scenario and judge it",
		Long: `Runs a scenario in the simulated world and prints what its time line did, each check
that failed, and the verdict.

With --out it writes, into a folder: trace.jsonl (one event a line), report.html (a
time line of nodes and pods; opens without a network), trace.perfetto.json (for a
trace viewer), state.yaml (every object at the end) and junit.xml.`,
		Example: `  seatrial run scenarios/guestbook.yaml
  seatrial run scenarios/guestbook.yaml --seed 7 --out out/
  seatrial run scenarios/guestbook.yaml --until 2m30s --out out/`,
		Args: exactly(1, "a scenario file"),
		RunE: func(c *cobra.Command, args []string) error {
			return runScenario(c, args[0], f)
		},
	}
	c.Flags().StringVar(&f.world, "world", "sim", "where to run it: sim")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the run, instead of the scenario's")
	c.Flags().DurationVar(&f.until, "until", 0, "end the run at this virtual time; checks that reach beyond it are left out")
	c.Flags().StringVar(&f.out, "out", "", "write trace, report and final state into this folder")
	c.Flags().StringVar(&f.junit, "junit", "", "write the outcome as JUnit XML to this file")
	c.Flags().StringVar(&f.progress, "progress", "auto", "progress on standard error: auto, plain or none")
	return c
}

// exactly is cobra.ExactArgs with a message that says what is missing.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%s wants %s, for example:\n%s", c.CommandPath(), what, c.Example)
		}
		return nil
	}
}

func (f *runFlags) validate() error {
	if f.world != "sim" {
		return fmt.Errorf("--world %q: want sim (the lab of real hosts is not there yet)", f.world)
	}
	if f.progress != "auto" && f.progress != "plain" && f.progress != "none" {
		return fmt.Errorf("--progress %q: want auto, plain or none", f.progress)
	}
	if f.until < 0 {
		return fmt.Errorf("--until %v: want a time of 0 or more", f.until)
	}
	return nil
}

func runScenario(c *cobra.Command, file string, f runFlags) error {
	if err := f.validate(); err != nil {
		return status{exitInput, err}
	}
	scn, err := readScenario(file)
	if err != nil {
		return err
	}
	opts := play.Options{Seed: scn.Seed, Until: f.until}
	if c.Flags().Changed("seed") {
		opts.Seed = f.seed
	}
	bar := newProgress(os.Stderr, f.progress, scn)
	opts.Progress = bar.advance
	out, err := report.Open(f.out, scn)
	if err != nil {
		return status{exitInput, err}
	}
	lines := newTimeline(os.Stdout, bar, scn)
	opts.Recorder, opts.Watch = out.Recorder(), lines.watching(out.Watch())
	opts.Stop = func() bool { return c.Context().Err() != nil }
	verdict, state := play.Run(scn, opts)
	lines.reach(verdict.Time)
	bar.finish()
	unwritten := out.Close(&verdict, state)
	if f.junit != "" {
		unwritten = errors.Join(unwritten, report.WriteJUnitFile(f.junit, []scenarios.Verdict{verdict}))
	}
	err = conclude(os.Stdout, &verdict, f.until)
	if unwritten != nil {
		return status{exitWorld, unwritten}
	}
	return err
}

// readScenario reads a scenario and prints its warnings.
func readScenario(file string) (*scenarios.Scenario, error) {
	scn, err := scenarios.Read(file)
	if err != nil {
		return nil, status{exitInput, err}
	}
	if err := play.Check(scn); err != nil {
		return nil, status{exitInput, err}
	}
	if err := askExtenders(&scn.Scheduler); err != nil {
		return nil, status{exitInput, fmt.Errorf("%s: %w", file, err)}
	}
	for _, w := range scn.Warnings {
		fmt.Fprintln(os.Stderr, "Warning:", w)
	}
	return scn, nil
}

// askExtenders lets a scheduler ask the extenders that its configuration names.
func askExtenders(cfg *sched.Config) error {
	if len(cfg.Extenders) == 0 {
		return nil
	}
	client, err := extender.New(cfg.Extenders)
	if err != nil {
		return err
	}
	cfg.Asker = client
	return nil
}

// conclude prints what went wrong and the verdict line, and says the exit status.
func conclude(w io.Writer, v *scenarios.Verdict, until time.Duration) error {
	v.WriteFailures(w, replay(v, until))
	if n := len(v.Checks); n > 0 && v.Passed() {
		fmt.Fprintf(w, "%12s  all %d checks held\n", scenarios.FormatTime(v.Time), n)
	}
	fmt.Fprintln(w, v)
	switch {
	case errors.Is(v.Err, world.ErrStopped):
		return status{exitStopped, v.Err}
	case v.Err != nil:
		return status{code: exitWorld}
	case !v.Passed():
		return status{code: exitFailed}
	}
	return nil
}

// replay is the command that repeats a run.
func replay(v *scenarios.Verdict, until time.Duration) string {
	s := fmt.Sprintf("seatrial run %s --seed %d", v.Scenario.File, v.Seed)
	if until > 0 {
		s += fmt.Sprintf(" --until %v", until)
	}
	return s
}
