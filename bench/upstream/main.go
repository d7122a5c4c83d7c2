package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"slices"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/bench/upstream/draw"
	"seatrial.dev/seatrial/bench/upstream/fidelity"
	"seatrial.dev/seatrial/bench/upstream/speed"
)

func main() {
	root := &cobra.Command{Use: "upstream", Short: "Compare the scheduler with kube-scheduler", SilenceUsage: true}
	root.AddCommand(fidelityCommand(), caseCommand(), speedCommand())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := root.ExecuteContext(ctx)
	stop()
	if err != nil {
		os.Exit(1)
	}
}

// errDiffer is the end of a run that found differences.
var errDiffer = errors.New("the schedulers differ")

func fidelityCommand() *cobra.Command {
	o := fidelity.Options{Out: os.Stdout}
	var profile string
	c := &cobra.Command{Use: "fidelity", Short: "Show random clusters and pods to both and compare", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, f := range slices.Concat(o.Only, o.Without) {
				if !slices.Contains(draw.Features(), f) {
					return fmt.Errorf("--only, --without: there is no feature %q; there are %v", f, draw.Features())
				}
			}
			if profile != "" {
				f, err := os.Create(profile)
				if err != nil {
					return err
				}
				if err := pprof.StartCPUProfile(f); err != nil {
					return err
				}
				defer pprof.StopCPUProfile()
			}
			sum, err := fidelity.Run(o)
			fmt.Print(sum)
			if err == nil && sum.Differ > 0 {
				err = errDiffer
			}
			return err
		}}
	c.Flags().Uint64Var(&o.Seed, "seed", 1, "of the first cluster; the next ones follow")
	c.Flags().IntVar(&o.Decisions, "decisions", 1000, "how many to compare")
	c.Flags().StringSliceVar(&o.Only, "only", nil, "draw clusters with what these look at, and nothing else")
	c.Flags().StringSliceVar(&o.Without, "without", nil, "draw nothing that these look at")
	c.Flags().BoolVar(&o.FirstDifference, "first-difference", false, "stop at the first difference")
	c.Flags().IntVar(&o.DifferencesMax, "differences", 0, "stop after so many decisions that differ; 0: never")
	c.Flags().StringVar(&o.Dump, "dump", "", "write the cases that differ into this directory")
	c.Flags().BoolVar(&o.Trace, "trace", false, "tell of all that happens in the clusters")
	c.Flags().StringVar(&profile, "cpuprofile", "", "write a CPU profile to this file")
	return c
}

func caseCommand() *cobra.Command {
	return &cobra.Command{Use: "case FILE...", Short: "Compare both on cases that --dump wrote", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			var differ error
			for _, file := range files {
				c, err := fidelity.ReadCase(file)
				if err != nil {
					return err
				}
				r, err := c.Look()
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				fmt.Printf("%s: %d differences\n", file, len(r.Differences))
				for _, d := range r.Differences {
					fmt.Println("  " + d.String())
					differ = errDiffer
				}
			}
			return differ
		}}
}

func speedCommand() *cobra.Command {
	o := speed.Options{Out: os.Stdout, Log: os.Stderr}
	var names string
	c := &cobra.Command{Use: "speed --config FILE", Short: "Run the workloads of scheduler_perf with both", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if names != "" {
				re, err := regexp.Compile(names)
				if err != nil {
					return fmt.Errorf("--run: %w", err)
				}
				o.Run = re
			}
			if o.Percent < 0 || o.Percent > 100 {
				return fmt.Errorf("--percent: %d is not a share of the nodes; want 0 for kube-scheduler's own choice, or 1 to 100", o.Percent)
			}
			_, err := speed.Compare(c.Context(), o)
			return err
		}}
	c.Flags().StringVar(&o.Config, "config", "", "workload file (performance-config.yaml)")
	c.Flags().StringVar(&names, "run", "", "only the workloads whose names match this expression")
	c.Flags().Int32Var(&o.Percent, "percent", 0, "of the nodes that kube-scheduler looks at; 0: its own choice")
	c.Flags().StringVar(&o.JSON, "json", "", "write the figures of both to this file")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic(err)
	}
	return c
}
