package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seatrial.dev/seatrial/bench/playback"
	"seatrial.dev/seatrial/bench/quality"
	"seatrial.dev/seatrial/bench/schedperf"
)

type qualityFlags struct {
	nodes, pods string // of an OpenB trace
	config, run string // of a scheduler_perf file
	shape       playback.Shape
	policies    []string
	seeds       string
	trials      int
	part        float64
	crowded     bool
	json, out   string
}

func benchQualityCommand() *cobra.Command {
	var f qualityFlags
	c := &cobra.Command{
		Use:   "quality",
		Short: "Compare policies by how well they place a workload",
		Long: `Plays a workload in virtual time under several policies, each with the same seeds, and
compares what came of it: packing against a lower bound (a linear programme), stranded
resources, fragmentation, cell compaction, spread, waiting, preemptions, fairness. Values
are means with 95 % confidence intervals (Student's t; bootstrap for the 90th percentile
of compaction); a star marks the best and those that cannot be told from it.

The workload is a trace in the OpenB format (--openb-nodes, --openb-pods), one of a file of
kube-scheduler's benchmark (--config, --run), or, without either, made up from the seed
(--nodes, --count, --gpus, --load). With --crowded its pods come in an order drawn from the
seed and never leave.

A policy is a name, or a file: a KubeSchedulerConfiguration, taken as it stands, or an old
policy file.`,
		Example: `  seatrial bench quality --nodes 50 --count 2000 --policy Default,BestFit,Random --seeds 1-10
  seatrial bench quality --openb-nodes nodes.csv --openb-pods pods.csv --crowded --policy BestFit,GPUPacking,FragmentationAware --out out
  seatrial bench quality --policy Default,BestFit,my-config.yaml
  seatrial bench quality --config bench/workloads/basic.yaml --run '^Fill/small$'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchQuality(c, &f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.nodes, "openb-nodes", "", "the file of nodes of a trace in the OpenB format")
	flags.StringVar(&f.pods, "openb-pods", "", "its file of pods")
	flags.StringVar(&f.config, "config", "", "a workload file of kube-scheduler's scheduler_perf")
	flags.StringVar(&f.run, "run", "", "which of its workloads: a regular expression that one name, TESTCASE/WORKLOAD, matches")
	flags.IntVar(&f.shape.Nodes, "nodes", 50, "nodes of a made-up workload")
	flags.IntVar(&f.shape.Pods, "count", 2000, "pods of a made-up workload")
	flags.Float64Var(&f.shape.GPUs, "gpus", 0.3, "share of its nodes that have GPUs; a third of it is the share of its pods that ask for one")
	flags.Float64Var(&f.shape.Load, "load", 0.9, "what its pods ask for on the average of cpu or GPUs, whichever is scarcer, of 1")
	flags.StringSliceVar(&f.policies, "policy", []string{playback.DefaultPolicy, "MostAllocated", "BestFit", "Random"}, "the policies: "+strings.Join(playback.Policies(), ", ")+"; and FILE.yaml, a scheduler's configuration as it stands")
	flags.StringVar(&f.seeds, "seeds", "1-5", "the seeds, as 7, 1-5 or 1,2,9")
	flags.IntVar(&f.trials, "compact", 0, "trials of cell compaction for each policy; 0 for none")
	flags.Float64Var(&f.part, "part", 1, "share of the pods to play, drawn from the seed")
	flags.BoolVar(&f.crowded, "crowded", false, "pods never leave, so that the nodes fill up")
	flags.StringVar(&f.json, "json", "", "write the results as JSON to this file")
	flags.StringVar(&f.out, "out", "", "write a drawing of each measure into this folder")
	return c
}

func benchQuality(c *cobra.Command, f *qualityFlags) error {
	cmp, err := comparison(c, f)
	if err != nil {
		return status{exitInput, err}
	}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		cmp.Done = func(runs, all int) { fmt.Fprintf(os.Stderr, "\r\x1b[K%d of %d runs\r", runs, all) }
	}
	res, err := cmp.Run(c.Context())
	switch {
	case c.Context().Err() != nil:
		return status{exitStopped, nil}
	case err != nil:
		return status{exitWorld, err}
	}
	res.Write(os.Stdout)
	if f.json != "" {
		err = playback.WriteJSON(f.json, res)
	}
	if f.out != "" {
		err = errors.Join(err, res.Plot(f.out))
	}
	if err != nil {
		return status{exitWorld, err}
	}
	return nil
}

// comparison is what the flags ask for.
func comparison(c *cobra.Command, f *qualityFlags) (*quality.Comparison, error) {
	seeds, err := seedsOf(f.seeds)
	if err != nil {
		return nil, err
	}
	if !(f.part > 0 && f.part <= 1) {
		return nil, fmt.Errorf("--part %g: want more than 0, to 1", f.part)
	}
	make, err := workloadOf(c, f)
	if err != nil {
		return nil, err
	}
	first, err := make(seeds[0])
	if err != nil {
		return nil, err
	}
	policies, err := contenders(f.policies, first, seeds[0])
	if err != nil {
		return nil, err
	}
	cmp := &quality.Comparison{Policies: policies, Seeds: seeds, Trials: f.trials,
		Workload: func(seed uint64) (*playback.Workload, error) {
			w, err := make(seed)
			if err != nil {
				return nil, err
			}
			w = w.Part(f.part, seed)
			if f.crowded {
				w = w.Crowded(seed)
			}
			return w, nil
		}}
	return cmp, cmp.Validate()
}

// contenders are the policies of the names, each checked against a workload, so that what
// is wrong is told before anything runs. Warnings go to standard error.
func contenders(names []string, w *playback.Workload, seed uint64) ([]playback.Policy, error) {
	list, warnings, err := playback.AllNamed(names)
	if err != nil {
		return nil, fmt.Errorf("--policy: %w", err)
	}
	for i := range list {
		if _, err := list[i].Config(w, seed); err != nil {
			return nil, fmt.Errorf("--policy: %w", err)
		}
	}
	for _, warning := range warnings {
		fmt.Fprintln(os.Stderr, "warning:", warning)
	}
	return list, nil
}

// workloadOf reads what is the same for all seeds.
func workloadOf(c *cobra.Command, f *qualityFlags) (func(seed uint64) (*playback.Workload, error), error) {
	trace, file, made := f.nodes != "" || f.pods != "", f.config != "" || f.run != "", false
	for _, name := range []string{"nodes", "count", "gpus", "load"} {
		made = made || c.Flags().Changed(name)
	}
	switch {
	case trace && file || trace && made || file && made:
		return nil, errors.New("want one workload: a trace (--openb-nodes, --openb-pods), a file (--config, --run), or one made up (--nodes, --count, --gpus, --load)")
	case trace && (f.nodes == "" || f.pods == ""):
		return nil, errors.New("a trace has two files: want both --openb-nodes and --openb-pods")
	case file && f.config == "":
		return nil, errors.New("--run goes with --config FILE")
	case trace:
		w, err := playback.OpenB(f.nodes, f.pods)
		return always(w), err
	case file:
		w, err := schedPerf(c.Context(), f.config, f.run)
		return always(w), err
	}
	return func(seed uint64) (*playback.Workload, error) { return playback.Synthetic(f.shape, seed) }, nil
}

func always(w *playback.Workload) func(uint64) (*playback.Workload, error) {
	return func(uint64) (*playback.Workload, error) { return w, nil }
}

func schedPerf(ctx context.Context, config, run string) (*playback.Workload, error) {
	re, err := regexp.Compile(run)
	if err != nil {
		return nil, fmt.Errorf("--run %q is not a regular expression: %w", run, err)
	}
	suite, err := schedperf.Read(config)
	if err != nil {
		return nil, err
	}
	list := suite.Match(re)
	if len(list) != 1 {
		var names []string
		for _, w := range suite.Workloads {
			names = append(names, w.Name)
		}
		return nil, fmt.Errorf("--run %q matches %d workloads of %s, want one of %s", run, len(list), config, strings.Join(names, ", "))
	}
	return playback.SchedPerf(ctx, list[0])
}

// seedsOf reads seeds as 7, 1-5 or 1,2,9.
func seedsOf(text string) ([]uint64, error) {
	const most = 1000
	var list []uint64
	for _, part := range strings.Split(text, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		a, err1 := strconv.ParseUint(low, 10, 63)
		b, err2 := strconv.ParseUint(high, 10, 63)
		if err1 != nil || err2 != nil || b < a || b-a >= most || len(list)+int(b-a) >= most {
			return nil, fmt.Errorf("--seeds %q: want seeds as 7, 1-5 or 1,2,9, at most %d of them", text, most)
		}
		for s := a; s <= b; s++ {
			list = append(list, s)
		}
	}
	return list, nil
}
