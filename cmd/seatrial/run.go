package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/live/extender"
	labplay "seatrial.dev/seatrial/live/play"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/report"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sim/play"
)

type runFlags struct {
	world    string
	images   []string
	standIns bool
	seed     uint64
	until    time.Duration
	out      string
	junit    string
	progress string
	forLab   labImages // when it is to be run there
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "Run one scenario and judge it",
		Long: `Runs a scenario and prints what its time line did, each check that failed, and the
verdict: in the simulated world, or with --world lab on real hosts that are made on this
machine for the run (as root; see seatrial lab). There time is the wall's, and containers
are those of real images; an image that --images do not have is stood in for by a program
that behaves as the scenario's images section says.

With --out it writes, into a folder: trace.jsonl (one event a line), report.html (a
time line of nodes and pods; opens without a network), trace.perfetto.json (for a
trace viewer), state.yaml (every object at the end) and junit.xml.`,
		Example: `  seatrial run scenarios/guestbook.yaml
  seatrial run scenarios/guestbook.yaml --seed 7 --out out/
  seatrial run scenarios/guestbook.yaml --until 2m30s --out out/
  seatrial run scenarios/lab/guestbook.yaml --world lab`,
		Args: exactly(1, "a scenario file"),
		RunE: func(c *cobra.Command, args []string) error {
			return runScenario(c, args[0], f)
		},
	}
	c.Flags().StringVar(&f.world, "world", worldSim, "where to run it: sim or lab")
	c.Flags().StringArrayVar(&f.images, "images", nil, "with --world lab: OCI layout or archive of images for the hosts; once for each (default "+demoImages+", if it is there)")
	c.Flags().BoolVar(&f.standIns, "stand-ins", true, standInsHelp)
	c.Flags().Uint64Var(&f.seed, "seed", 0, "seed of the run, instead of the scenario's")
	c.Flags().DurationVar(&f.until, "until", 0, "end the run at this virtual time; checks that reach beyond it are left out")
	c.Flags().StringVar(&f.out, "out", "", "write trace, report and final state into this folder")
	c.Flags().StringVar(&f.junit, "junit", "", "write the outcome as JUnit XML to this file")
	c.Flags().StringVar(&f.progress, "progress", "auto", "progress on standard error: auto, plain or none")
	return c
}

// The worlds.
const (
	worldSim = "sim"
	worldLab = "lab"
)

// standInsHelp says what the flag does.
const standInsHelp = "on real hosts: images that --images do not have are stood in for, as the scenario describes them; false refuses instead"

// demoImages is where make images puts them.
const demoImages = "out/images"

// imagesOr are the images that are named, or those of the demo, if they were built.
func imagesOr(named []string) []string {
	if len(named) > 0 {
		return named
	}
	if _, err := os.Stat(demoImages); err == nil {
		return []string{demoImages}
	}
	return nil
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

// atLeast wants n arguments or more, and says what they are.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return fmt.Errorf("%s wants %s, for example:\n%s", c.CommandPath(), what, c.Example)
		}
		return nil
	}
}

func (f *runFlags) validate() error {
	if f.world != worldSim && f.world != worldLab {
		return fmt.Errorf("--world %q: want sim or lab", f.world)
	}
	if f.world == worldSim && len(f.images) > 0 {
		return errors.New("--images are for --world lab: a simulated cluster's are in the scenario")
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
	if f.world == worldLab {
		if f.forLab, err = prepareLab(c.Context(), scn, imagesOr(f.images), f.standIns); err != nil {
			return err
		}
	}
	if !c.Flags().Changed("seed") {
		f.seed = scn.Seed
	}
	out, err := report.Open(f.out, scn)
	if err != nil {
		return status{exitInput, err}
	}
	bar := newProgress(os.Stderr, f.progress, scn, f.until)
	lines := newTimeline(os.Stdout, bar, scn)
	verdict, state := f.play(c.Context(), scn, out.Recorder(), lines.watching(out.Watch()), bar)
	lines.reach(verdict.Time)
	bar.finish()
	unwritten := out.Close(&verdict, state)
	if f.junit != "" {
		unwritten = errors.Join(unwritten, report.WriteJUnitFile(f.junit, []scenarios.Verdict{verdict}))
	}
	err = conclude(os.Stdout, &verdict, f.replay(&verdict))
	if unwritten != nil {
		return status{exitWorld, unwritten}
	}
	return err
}

// play runs the scenario in the world that is asked for.
func (f *runFlags) play(ctx context.Context, scn *scenarios.Scenario, to trace.Recorder, watch func(time.Duration, uint64, store.Event), bar *progress) (scenarios.Verdict, *store.Store) {
	if f.world == worldLab {
		return playInLab(ctx, scn, labplay.Options{Seed: f.seed, Until: f.until, Recorder: to, Watch: watch, Progress: bar.advance, Problem: bar.problem}, f.forLab)
	}
	return play.Run(scn, play.Options{Seed: f.seed, Until: f.until, Recorder: to, Watch: watch, Progress: bar.advance,
		Stop: func() bool { return ctx.Err() != nil }})
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
func conclude(w io.Writer, v *scenarios.Verdict, replay string) error {
	v.WriteFailures(w, replay)
	if n := len(v.Checks); n > 0 && v.Passed() {
		fmt.Fprintf(w, "%12s  all %d checks held\n", scenarios.FormatTime(v.Time), n)
	}
	fmt.Fprintln(w, v)
	switch {
	case errors.Is(v.Err, scenarios.ErrStopped):
		return status{exitStopped, v.Err}
	case v.Err != nil:
		return status{code: exitWorld}
	case !v.Passed():
		return status{code: exitFailed}
	}
	return nil
}

// replay is the command that repeats a run; in the lab it is another one.
func (f *runFlags) replay(v *scenarios.Verdict) string {
	if f.world == worldLab {
		return replay(v, f.until) + " --world lab"
	}
	return replay(v, f.until)
}

// replay is the command that repeats a run.
func replay(v *scenarios.Verdict, until time.Duration) string {
	s := fmt.Sprintf("seatrial run %s --seed %d", v.Scenario.File, v.Seed)
	if until > 0 {
		s += fmt.Sprintf(" --until %v", until)
	}
	return s
}
