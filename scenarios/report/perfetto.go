package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"seatrial.dev/seatrial/scenarios"
)

// perfettoEvent is one event of the Chrome trace format, which Perfetto reads
// (the "Trace Event Format"). Times are in microseconds.
type perfettoEvent struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"` // X: a slice, i: an instant, M: a name, C: a counter
	TS    int64          `json:"ts"`
	Dur   int64          `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	Scope string         `json:"s,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// writePerfetto writes the time line for a trace viewer: a process for the cluster,
// one for each node, and a thread for each pod on it.
func writePerfetto(path string, v *scenarios.Verdict, t *timeline) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the Perfetto trace: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("write the Perfetto trace: %w", e)
		}
	}()
	w := bufio.NewWriter(f)
	sep := `{"displayTimeUnit":"ms","traceEvents":[` + "\n"
	emit := func(e perfettoEvent) {
		b, merr := json.Marshal(e)
		if merr != nil && err == nil {
			err = merr
		}
		w.WriteString(sep)
		w.Write(b)
		sep = ",\n"
	}
	eachPerfetto(v, t, emit)
	w.WriteString("\n]}\n")
	if e := w.Flush(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write the Perfetto trace: %w", err)
	}
	return nil
}

func eachPerfetto(v *scenarios.Verdict, t *timeline, emit func(perfettoEvent)) {
	name := func(what string, pid, tid int, text string) {
		emit(perfettoEvent{Name: what, Phase: "M", PID: pid, TID: tid, Args: map[string]any{"name": text}})
	}
	name("process_name", 1, 0, "cluster "+v.Scenario.Name)
	for _, s := range v.Scenario.Steps {
		if s.At <= v.Time {
			emit(perfettoEvent{Name: s.Action.String(), Phase: "i", TS: s.At.Microseconds(), PID: 1, TID: 1, Scope: "g"})
		}
	}
	for _, p := range t.points {
		args := map[string]any{}
		for i, n := range p.Counts {
			args[podStates[i]] = n
		}
		emit(perfettoEvent{Name: "pods", Phase: "C", TS: p.At * 1000, PID: 1, Args: args})
	}
	pids := map[string]int{}
	for i, n := range t.nodes {
		pids[n.Name] = i + 2
		name("process_name", i+2, 0, n.Name)
		name("thread_name", i+2, 1, "node")
		laneSlices(n, i+2, 1, emit)
	}
	for i, p := range t.pods {
		pid := max(pids[p.On], 1)
		name("thread_name", pid, i+2, p.Name)
		laneSlices(p, pid, i+2, emit)
	}
}

func laneSlices(l *lane, pid, tid int, emit func(perfettoEvent)) {
	for _, s := range l.Spans {
		emit(perfettoEvent{Name: s.State, Phase: "X", TS: s.From * 1000, Dur: (s.To - s.From) * 1000, PID: pid, TID: tid})
	}
}
