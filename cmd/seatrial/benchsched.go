package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"seatrial.dev/seatrial/bench/schedperf"
)

func benchSchedCommand() *cobra.Command {
	var config, run, jsonFile string
	c := &cobra.Command{
		Use:   "sched --config FILE",
		Short: "Measure the scheduler with workload files of kube-scheduler's scheduler_perf",
		Long: `Runs the workloads of a file in the format of kube-scheduler's own benchmark
(performance-config.yaml below test/integration/scheduler_perf of Kubernetes), as it is,
with the scheduler, the API and the store of this process: pods are created, seen by a
watch, queued, decided on and bound.

For each measured phase it prints pods per second (over the phase, and the median, 95th
and 99th percentile of its parts), attempts' latency with its parts (taken from the queue,
decided, bound), processor time and memory. Where nothing can go on but time, as in a
back-off, the clock jumps; the table says by how much. The thresholds of the file are
shown and not judged.

A workload that needs what Seatrial has not is left out, and told. Figures of different
machines, or of different moments of a busy one, cannot be compared; ratios within one
call can.`,
		Example: `  seatrial bench sched --config bench/workloads/basic.yaml --run /small
  seatrial bench sched --config kubernetes/test/integration/scheduler_perf/misc/performance-config.yaml --run '^SchedulingBasic/5000Nodes_10000Pods$' --json out/sched.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchSched(c.Context(), config, run, jsonFile) },
	}
	c.Flags().StringVar(&config, "config", "", "the workload file (required)")
	c.Flags().StringVar(&run, "run", "", "only workloads whose name, TESTCASE/WORKLOAD, matches this regular expression")
	c.Flags().StringVar(&jsonFile, "json", "", "write the results as a JSON array to this file")
	_ = c.MarkFlagRequired("config") // the flag is there: it is defined above
	return c
}

func benchSched(ctx context.Context, config, run, jsonFile string) error {
	re, err := regexp.Compile(run)
	if err != nil {
		return status{exitInput, fmt.Errorf("--run %q is not a regular expression: %w", run, err)}
	}
	suite, err := schedperf.Read(config)
	if err != nil {
		return status{exitInput, err}
	}
	list := suite.Match(re)
	if len(list) == 0 {
		return status{exitInput, fmt.Errorf("no workload of %s matches --run %q; the first of %d is %s", config, run, len(suite.Workloads), suite.Workloads[0].Name)}
	}
	for _, w := range list {
		for _, warning := range w.Warnings {
			fmt.Fprintln(os.Stderr, "warning:", warning)
		}
	}
	for _, w := range list {
		if err := askExtenders(&w.Scheduler); err != nil {
			return status{exitInput, fmt.Errorf("%s: %w", w.SchedulerConfig, err)}
		}
	}
	results, err := schedperf.Measure(ctx, os.Stdout, list, schedperf.StartLocal, schedProgress())
	if jsonFile != "" {
		if err := schedperf.WriteJSON(jsonFile, results); err != nil {
			return status{exitWorld, err}
		}
	}
	switch {
	case ctx.Err() != nil:
		return status{exitStopped, nil}
	case err != nil:
		return status{exitWorld, nil} // the table has told it
	}
	return nil
}

// schedProgress shows how far a workload is, on a terminal; elsewhere it is nil.
func schedProgress() func(schedperf.Status) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	var last time.Time
	return func(s schedperf.Status) {
		switch {
		case s == schedperf.Status{}:
			fmt.Fprint(os.Stderr, "\r\x1b[K")
			return
		case time.Since(last) < barEvery:
			return
		}
		last = time.Now()
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s: %s (%d of %d), %d pods placed\r", s.Workload, s.What, s.Op, s.Ops, s.Scheduled)
	}
}
