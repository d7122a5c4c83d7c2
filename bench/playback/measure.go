package playback

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Result is the cost of one run.
type Result struct {
	Policy         string  `json:"policy"`
	Nodes          int     `json:"nodes"`
	Pods           int     `json:"pods"`
	Decisions      int     `json:"decisions"`
	Pending        int     `json:"pending"` // pods that never had a node
	Explained      int     `json:"explained"`
	VirtualSeconds float64 `json:"virtualSeconds"`
	WallSeconds    float64 `json:"wallSeconds"`
	CPUSeconds     float64 `json:"cpuSeconds"`
	MicrosPerPod   float64 `json:"microsPerPod"` // of wall time
}

// Measure runs a workload under each policy and writes a line for each to out.
func Measure(ctx context.Context, out io.Writer, w *Workload, policies []Policy, seed uint64) ([]Result, error) {
	fmt.Fprintf(out, "%s\n", w)
	fmt.Fprintln(out, "   wall-s    cpu-s   µs/pod  decisions  explained  pending      virtual  policy")
	var list []Result
	for _, p := range policies {
		cfg, err := p.Config(w, seed)
		if err != nil {
			return list, fmt.Errorf("%s: %w", p.Name, err)
		}
		cpu := processorTime()
		o, err := Run(ctx, w, cfg, Options{Seed: seed, Explain: true})
		if err != nil {
			return list, fmt.Errorf("%s: %w", p.Name, err)
		}
		r := Result{Policy: p.Name, Nodes: len(w.Nodes), Pods: len(w.Arrivals), Decisions: o.Decisions, Pending: o.Pending, Explained: len(o.Explanations),
			VirtualSeconds: o.End.Seconds(), WallSeconds: o.Wall.Seconds(), CPUSeconds: (processorTime() - cpu).Seconds()}
		r.MicrosPerPod = r.WallSeconds * 1e6 / float64(max(r.Pods, 1))
		fmt.Fprintf(out, "%9.3f %8.3f %8.1f %10d %10d %8d %12v  %s\n", r.WallSeconds, r.CPUSeconds, r.MicrosPerPod, r.Decisions, r.Explained, r.Pending, o.End, p.Name)
		list = append(list, r)
	}
	return list, nil
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // not told on this system
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// WriteJSON writes results to a file.
func WriteJSON(path string, results any) error {
	b, err := json.MarshalIndent(results, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o666)
	}
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
