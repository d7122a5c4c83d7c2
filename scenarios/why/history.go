package why

import (
	"fmt"
	"time"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
)

// linesMax bounds the events that a History keeps; a longer run is refused rather
// than explained in part.
const linesMax = 20_000_000

// History is what a run did: every event with its cause, and every write.
type History struct {
	lines   []trace.Line // by sequence of handling; Seq ascends in no particular way
	bySeq   map[uint64]int
	changes map[kinds.Ref][]change
	full    bool
}

// change is one write to one object.
type change struct {
	at   time.Duration
	seq  uint64 // of the event during which it was written
	text string // what it changed, in words; empty when nothing a person cares about
	kind store.Type
	obj  kinds.Object
}

// NewHistory returns an empty history.
func NewHistory() *History {
	return &History{bySeq: map[uint64]int{}, changes: map[kinds.Ref][]change{}}
}

// Begin implements trace.Recorder.
func (h *History) Begin(l trace.Line) {
	if len(h.lines) >= linesMax {
		h.full = true
		return
	}
	h.bySeq[l.Seq] = len(h.lines)
	h.lines = append(h.lines, l)
}

// Describe implements trace.Recorder.
func (h *History) Describe(what, object, detail string) {
	if h.full || len(h.lines) == 0 {
		return
	}
	l := &h.lines[len(h.lines)-1]
	if l.What == "" {
		l.What, l.Object, l.Detail = what, object, detail
	}
}

// Watch takes note of a write made while event seq was handled.
func (h *History) Watch(now time.Duration, seq uint64, e store.Event) {
	if e.Ref.Kind == kinds.Event || e.Ref.Kind == kinds.Lease {
		return
	}
	h.changes[e.Ref] = append(h.changes[e.Ref], change{now, seq, Describe(e), e.Type, e.Object})
}

// Err says why the history is not whole; nil if it is.
func (h *History) Err() error {
	if h.full {
		return fmt.Errorf("the run has more than %d events; ask about an earlier time with --at", linesMax)
	}
	return nil
}
