package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/bench"
)

func benchCommand() *cobra.Command {
	var jsonFile, dir string
	c := &cobra.Command{
		Use:   "bench [NAME...]",
		Args:  cobra.ArbitraryArgs,
		Short: "Measure the simulator on this machine",
		Long: `Runs benchmarks, all of them or those named, and prints for each the least, median and
greatest wall time of a run, processor time and memory. Each uses one processor.

Figures of different machines, or of different moments of a busy one, cannot be
compared; ratios within one call can.

The scheduler has a benchmark of its own: seatrial bench sched.`,
		Example: `  seatrial bench
  seatrial bench guestbook thousand-nodes --json out/bench.json`,
		RunE: func(c *cobra.Command, args []string) error { return measure(args, dir, jsonFile) },
	}
	c.Flags().StringVar(&jsonFile, "json", "", "write the results as a JSON array to this file")
	c.AddCommand(benchSchedCommand(), benchOpenBCommand(), benchQualityCommand())
	c.Flags().StringVar(&dir, "scenarios", "scenarios", "the folder with the scenario files")
	return c
}

func measure(names []string, dir, jsonFile string) error {
	all := bench.All(dir)
	known := make([]string, len(all))
	for i, b := range all {
		known[i] = b.Name
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return status{exitInput, fmt.Errorf("there is no benchmark %q; there are %s", n, strings.Join(known, ", "))}
		}
	}
	fmt.Println(bench.Header)
	results := []bench.Result{}
	for _, b := range all {
		if len(names) > 0 && !slices.Contains(names, b.Name) {
			continue
		}
		r, err := bench.Measure(b)
		if err != nil {
			return status{exitWorld, err}
		}
		bench.Write(os.Stdout, r)
		results = append(results, r)
	}
	if jsonFile == "" {
		return nil
	}
	b, err := json.MarshalIndent(results, "", "  ")
	if err == nil {
		err = os.WriteFile(jsonFile, append(b, '\n'), 0o666)
	}
	if err != nil {
		return status{exitWorld, fmt.Errorf("write %s: %w", jsonFile, err)}
	}
	return nil
}
