package speed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"seatrial.dev/seatrial/bench/schedperf"
)

// Options are what is measured, and where it is told.
type Options struct {
	Config  string         // workload file
	Run     *regexp.Regexp // names of the workloads; nil for all
	Percent int32          // of the nodes that kube-scheduler looks at; 0 for its own choice
	Out     io.Writer      // table
	Log     io.Writer      // each side's own figures, as they come
	JSON    string         // file for the figures; "" for none
}

// Row is one phase of a workload, by both.
type Row struct {
	Ours   schedperf.Result `json:"seatrial"`
	Theirs schedperf.Result `json:"upstream"`
	Ratio  float64          `json:"ratio"` // of pods per second
}

// Compare runs each workload with Seatrial's scheduler and then with kube-scheduler.
// A workload that one of them fails is told and left out; the error tells of all.
func Compare(ctx context.Context, o Options) ([]Row, error) {
	suite, err := schedperf.Read(o.Config)
	if err != nil {
		return nil, err
	}
	list := suite.Match(o.Run)
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: no workload's name matches %q", o.Config, o.Run)
	}
	var rows []Row
	var failed []error
	for _, w := range list {
		ours, err := schedperf.Measure(ctx, o.Log, []*schedperf.Workload{w}, schedperf.StartLocal, nil)
		if err != nil {
			failed = append(failed, fmt.Errorf("seatrial: %w", err))
			continue
		}
		theirs, err := schedperf.Measure(ctx, o.Log, []*schedperf.Workload{w},
			func(*schedperf.Workload) (schedperf.Cluster, error) { return NewRemote(o.Percent) }, nil)
		if err != nil {
			failed = append(failed, fmt.Errorf("upstream: %w", err))
			continue
		}
		for i := range min(len(ours), len(theirs)) {
			row := Row{Ours: ours[i], Theirs: theirs[i]}
			if row.Theirs.PodsPerSecond > 0 {
				row.Ratio = row.Ours.PodsPerSecond / row.Theirs.PodsPerSecond
			}
			row.write(o.Out, len(rows) == 0)
			rows = append(rows, row)
		}
	}
	if o.JSON != "" {
		failed = append(failed, writeJSON(o.JSON, rows))
	}
	return rows, errors.Join(failed...)
}

func writeJSON(path string, rows []Row) error {
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func (r *Row) write(w io.Writer, header bool) {
	if header {
		fmt.Fprintf(w, "%12s %12s %8s %10s %10s %8s %8s  %s\n", "seatrial", "upstream", "ratio", "cpu-s", "cpu-s", "pods", "nodes", "workload (pods/s; cpu-s of seatrial, of upstream)")
	}
	fmt.Fprintf(w, "%12.0f %12.0f %7.1fx %10.2f %10.2f %8d %8d  %s", r.Ours.PodsPerSecond, r.Theirs.PodsPerSecond, r.Ratio,
		r.Ours.CPUSeconds, r.Theirs.CPUSeconds, r.Theirs.Pods, r.Theirs.Nodes, r.Theirs.Workload)
	if r.Theirs.Phase != "" {
		fmt.Fprintf(w, " (%s)", r.Theirs.Phase)
	}
	fmt.Fprintln(w)
}
