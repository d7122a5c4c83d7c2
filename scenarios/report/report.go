package report

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
)

// Report is the output folder of one run. A Report for no folder takes nothing and
// writes nothing.
type Report struct {
	dir   string
	trace *traceFile
	times *timeline
}

// Open makes the folder and its trace file. dir "" is a report for no folder.
func Open(dir string, scn *scenarios.Scenario) (*Report, error) {
	if dir == "" {
		return &Report{}, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make the output folder: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, "trace.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("write the trace: %w", err)
	}
	return &Report{dir: dir, trace: &traceFile{f: f, w: bufio.NewWriterSize(f, 1<<20)}, times: newTimeline()}, nil
}

// Recorder is what the run's trace goes to; nil where none is wanted.
func (r *Report) Recorder() trace.Recorder {
	if r.trace == nil {
		return nil
	}
	return r.trace
}

// Watch is what the run's writes are shown to; nil where nobody looks.
func (r *Report) Watch() func(now time.Duration, seq uint64, e store.Event) {
	if r.times == nil {
		return nil
	}
	return func(now time.Duration, _ uint64, e store.Event) { r.times.watch(now, e) }
}

// Close writes what belongs at the end of a run. state may be nil where the world
// could not be built.
func (r *Report) Close(v *scenarios.Verdict, state *store.Store) error {
	if r.dir == "" {
		return nil
	}
	if err := r.trace.close(); err != nil {
		return fmt.Errorf("write the trace: %w", err)
	}
	if err := WriteJUnitFile(filepath.Join(r.dir, "junit.xml"), []scenarios.Verdict{*v}); err != nil {
		return err
	}
	r.times.finish(v.Time)
	if err := writePage(filepath.Join(r.dir, "report.html"), v, r.times); err != nil {
		return err
	}
	if err := writePerfetto(filepath.Join(r.dir, "trace.perfetto.json"), v, r.times); err != nil {
		return err
	}
	if state == nil {
		return nil
	}
	return writeState(filepath.Join(r.dir, "state.yaml"), state)
}
