package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/report"
	"seatrial.dev/seatrial/sim/play"
)

type testFlags struct {
	seeds    string
	parallel int
	junit    string
	out      string
}

func testCommand() *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run many scenarios, each over a range of seeds",
		Long: `Runs every scenario in the files and folders named (folders are walked for *.yaml of
kind Scenario), each with its own seed or with every seed of a range, several runs at
a time. Prints one verdict line a run, in the order of files and seeds.

If any file is wrong, nothing is run.`,
		Example: `  seatrial test scenarios
  seatrial test scenarios/guestbook.yaml --seeds 1-100 --junit out/junit.xml`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s wants scenario files or folders, for example:\n%s", c.CommandPath(), c.Example)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return testScenarios(c.Context(), args, f) },
	}
	c.Flags().StringVar(&f.seeds, "seeds", "", "seeds to run each scenario with, A-B or one number; by default the scenario's own")
	c.Flags().IntVar(&f.parallel, "parallel", runtime.GOMAXPROCS(0), "runs at a time")
	c.Flags().StringVar(&f.junit, "junit", "", "write the outcomes as JUnit XML to this file")
	c.Flags().StringVar(&f.out, "out", "", "write trace and report of each failed run into a folder below this one")
	return c
}

// seedsMax bounds the runs that one call may ask for of one scenario.
const seedsMax = 1_000_000

// seedRange reads "A-B" or "A"; ok is false for the empty string.
func seedRange(s string) (from, to uint64, ok bool, err error) {
	if s == "" {
		return 0, 0, false, nil
	}
	a, b, ranged := strings.Cut(s, "-")
	from, err1 := strconv.ParseUint(a, 10, 64)
	to = from
	var err2 error
	if ranged {
		to, err2 = strconv.ParseUint(b, 10, 64)
	}
	if err1 != nil || err2 != nil || to < from || to-from >= seedsMax {
		return 0, 0, false, fmt.Errorf("--seeds %q: want A-B with A not above B and at most %d seeds, such as 1-100", s, seedsMax)
	}
	return from, to, true, nil
}

func testScenarios(ctx context.Context, paths []string, f testFlags) error {
	from, to, ranged, err := seedRange(f.seeds)
	if err != nil {
		return status{exitInput, err}
	}
	if f.parallel < 1 {
		return status{exitInput, fmt.Errorf("--parallel %d: want 1 or more", f.parallel)}
	}
	found, err := scenarios.Find(paths)
	if err != nil {
		return status{exitInput, err}
	}
	var runs []play.Job
	var wrong []error
	for _, file := range found {
		scn, err := readScenario(file)
		if err != nil {
			var s status
			errors.As(err, &s)
			wrong = append(wrong, s.cause)
			continue
		}
		lo, hi := scn.Seed, scn.Seed
		if ranged {
			lo, hi = from, to
		}
		for seed := lo; ; seed++ {
			runs = append(runs, play.Job{Scenario: scn, Seed: seed})
			if seed == hi {
				break
			}
		}
	}
	if len(wrong) > 0 {
		return status{exitInput, errors.Join(wrong...)}
	}
	return playAll(ctx, runs, f)
}

func playAll(ctx context.Context, runs []play.Job, f testFlags) error {
	all := make([]scenarios.Verdict, 0, len(runs))
	failed, broken := 0, 0
	play.All(ctx, runs, f.parallel, func(v scenarios.Verdict) {
		v.WriteFailures(os.Stdout, replay(&v, 0))
		fmt.Println(&v)
		all = append(all, v)
		switch {
		case v.Err != nil:
			broken++
		case !v.Passed():
			failed++
		}
	})
	if f.out != "" {
		for i := range all {
			if !all[i].Passed() {
				if err := record(f.out, &all[i]); err != nil {
					return status{exitWorld, err}
				}
			}
		}
	}
	if f.junit != "" {
		if err := report.WriteJUnitFile(f.junit, all); err != nil {
			return status{exitWorld, err}
		}
	}
	fmt.Fprintf(os.Stderr, "%d runs: %d passed, %d failed, %d could not be judged\n", len(all), len(all)-failed-broken, failed, broken)
	switch {
	case ctx.Err() != nil:
		return status{exitStopped, fmt.Errorf("stopped after %d of %d runs", len(all), len(runs))}
	case broken > 0:
		return status{code: exitWorld}
	case failed > 0:
		return status{code: exitFailed}
	}
	return nil
}

// record runs a failed run once more, now with a trace and a report, into a folder
// of its own.
func record(dir string, v *scenarios.Verdict) error {
	out, err := report.Open(filepath.Join(dir, fmt.Sprintf("%s-seed-%d", v.Scenario.Name, v.Seed)), v.Scenario)
	if err != nil {
		return err
	}
	again, state := play.Run(v.Scenario, play.Options{Seed: v.Seed, Recorder: out.Recorder(), Watch: out.Watch()})
	return out.Close(&again, state)
}
