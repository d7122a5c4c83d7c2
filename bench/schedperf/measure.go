package schedperf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Measure runs workloads one after another, each on a new cluster, and writes the table
// of their figures to w as they come. A workload that needs what is not there is left
// out, with a line that says what; one that fails is told and the others still run. The
// error tells of all that failed. report is called with nothing when a workload is over.
func Measure(ctx context.Context, w io.Writer, list []*Workload, start func(*Workload) (Cluster, error), report func(Status)) ([]Result, error) {
	results := []Result{}
	var failed []error
	for _, wl := range list {
		if len(wl.Missing) > 0 {
			fmt.Fprintf(w, "%s: not run, for this is missing:\n", wl.Name)
			for _, m := range wl.Missing {
				fmt.Fprintf(w, "    %s\n", m)
			}
			continue
		}
		if ctx.Err() != nil {
			break
		}
		got, err := measure(ctx, wl, start, report)
		if report != nil {
			report(Status{})
		}
		for i := range got {
			Write(w, &got[i], len(results) == 0)
			results = append(results, got[i])
		}
		if err != nil {
			fmt.Fprintf(w, "failed: %v\n", err)
			failed = append(failed, err)
		}
	}
	return results, errors.Join(append(failed, ctx.Err())...)
}

func measure(ctx context.Context, wl *Workload, start func(*Workload) (Cluster, error), report func(Status)) ([]Result, error) {
	forgetRSS()
	c, err := start(wl)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", wl.Name, err)
	}
	got, err := Run(ctx, wl, c, report)
	return got, errors.Join(err, c.Close())
}

// Write writes a result as two lines of a table: the figures, and the attempts' phases.
// header puts what the figures are before them.
func Write(w io.Writer, r *Result, header bool) {
	if header {
		fmt.Fprintln(w, "pods/s of the measured phase, and p50, p95, p99 of its parts; latencies are p50/p99 in µs")
		fmt.Fprintln(w, "     pods/s       p50       p95       p99     pods   nodes   wall-s  skipped    cpu-s  rss-MiB  workload")
	}
	fmt.Fprintf(w, "%11.0f %9.0f %9.0f %9.0f %8d %7d %8.3f %8.1f %8.3f %8.0f  %s",
		r.PodsPerSecond, r.PodsPerSecondP50, r.PodsPerSecondP95, r.PodsPerSecondP99, r.Pods, r.Nodes, r.Seconds, r.SkippedSeconds,
		r.CPUSeconds, float64(r.MaxRSSBytes)/(1<<20), r.Workload)
	if r.Phase != "" {
		fmt.Fprintf(w, " (%s)", r.Phase)
	}
	fmt.Fprintln(w)

	fmt.Fprintf(w, "            %d attempts %.1f/%.1f: queue %.1f/%.1f, decide %.1f/%.1f, bind %.1f/%.1f", r.Attempts, r.AttemptP50us, r.AttemptP99us,
		r.QueueP50us, r.QueueP99us, r.DecideP50us, r.DecideP99us, r.BindP50us, r.BindP99us)
	if r.Churned > 0 {
		fmt.Fprintf(w, "; %d objects churned", r.Churned)
	}
	if r.Threshold > 0 {
		fmt.Fprintf(w, "; upstream's threshold %g (%s)", r.Threshold, r.ThresholdOf)
	}
	fmt.Fprintln(w)
}

// WriteJSON writes results to a file, as an array.
func WriteJSON(path string, results []Result) error {
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o666); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
