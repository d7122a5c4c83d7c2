package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/bench/upstream/draw"
	"seatrial.dev/seatrial/bench/upstream/fidelity"
)

func main() {
	root := &cobra.Command{Use: "upstream", Short: "Compare the scheduler with kube-scheduler", SilenceUsage: true}
	root.AddCommand(fidelityCommand(), caseCommand())
	if err := root.Execute(); err != nil {
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
			for _, f := range o.Only {
				if !slices.Contains(draw.Features(), f) {
					return fmt.Errorf("--only: there is no feature %q; there are %v", f, draw.Features())
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
	c.Flags().StringSliceVar(&o.Only, "only", nil, "draw only what these plugins look at")
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
