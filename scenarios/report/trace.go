package report

import (
	"bufio"
	"encoding/json"
	"os"

	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
)

// traceFile writes the trace as JSON, one event a line.
type traceFile struct {
	f    *os.File
	w    *bufio.Writer
	line trace.Line
	open bool // line has not been written
	n    int  // lines written
	err  error
}

// traceLinesMax bounds the trace file (some 20 GB); the run goes on without it, and
// the last line says so.
const traceLinesMax = 100_000_000

type jsonLine struct {
	Time      string `json:"time"`
	Nanos     int64  `json:"ns"`
	Seq       uint64 `json:"seq"`
	Cause     uint64 `json:"cause,omitempty"`
	Component string `json:"component"`
	What      string `json:"what"`
	Object    string `json:"object,omitempty"`
	Detail    string `json:"detail,omitempty"`
}

// Begin implements trace.Recorder.
func (t *traceFile) Begin(l trace.Line) {
	t.flush()
	t.line, t.open = l, true
}

// Describe implements trace.Recorder. An event that is described twice is written
// twice, under one number.
func (t *traceFile) Describe(what, object, detail string) {
	if !t.open {
		t.open = true
	} else if t.line.What != "" {
		t.flush()
		t.open = true
	}
	t.line.What, t.line.Object, t.line.Detail = what, object, detail
}

func (t *traceFile) flush() {
	if !t.open || t.err != nil || t.n > traceLinesMax {
		return
	}
	if t.n++; t.n > traceLinesMax {
		t.line.What, t.line.Object, t.line.Detail = "the trace ends here", "", "it has reached its limit of lines"
	}
	t.open = false
	l := &t.line
	if l.What == "" {
		l.What = "idle"
	}
	b, err := json.Marshal(jsonLine{scenarios.FormatTime(l.Time), int64(l.Time), l.Seq, l.Cause, l.Component, l.What, l.Object, l.Detail})
	if err == nil {
		_, err = t.w.Write(append(b, '\n'))
	}
	t.err = err
}

func (t *traceFile) close() error {
	t.flush()
	if t.err == nil {
		t.err = t.w.Flush()
	}
	if err := t.f.Close(); t.err == nil {
		t.err = err
	}
	return t.err
}
