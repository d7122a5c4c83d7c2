package why

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
)

// Limits of an explanation.
const (
	chainMax   = 1000 // links followed backwards
	changesMax = 25   // changes of the object that are listed, the latest ones
)

// Explanation is why an object is as it is.
type Explanation struct {
	Ref     kinds.Ref
	Now     string    // its state in words
	Chain   []Because // from the first cause to the last write that mattered
	Changes []Because // of the object itself, oldest first
	Omitted int       // earlier changes left out of Changes
}

// Because is one link of a chain: what happened, when.
type Because struct {
	At   time.Duration
	Seq  uint64
	Text string
}

// MarshalJSON names the object as people do.
func (x *Explanation) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Object  string    `json:"object"`
		State   string    `json:"state"`
		Chain   []Because `json:"chain"`
		Changes []Because `json:"changes"`
		Omitted int       `json:"omitted,omitempty"`
	}{x.Ref.String(), x.Now, x.Chain, x.Changes, x.Omitted})
}

// MarshalJSON writes the time as trace.jsonl does.
func (b Because) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Time string `json:"time"`
		NS   int64  `json:"ns"`
		Seq  uint64 `json:"seq"`
		Text string `json:"text"`
	}{scenarios.FormatTime(b.At), int64(b.At), b.Seq, b.Text})
}

// Explain tells the causes of an object's present state. The error says that there
// never was such an object.
func (h *History) Explain(ref kinds.Ref) (*Explanation, error) {
	all := h.changes[ref]
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no %s in this run%s", ref, h.hint(ref))
	}
	x := &Explanation{Ref: ref}
	last := all[len(all)-1]
	x.Now = now(last)
	for _, c := range all {
		if c.text != "" {
			last = c
			x.Changes = append(x.Changes, Because{c.at, c.seq, c.text + by(h, c.seq)})
		}
	}
	if n := len(x.Changes) - changesMax; n > 0 {
		x.Omitted, x.Changes = n, x.Changes[n:]
	}
	x.Chain = h.chain(last)
	return x, nil
}

func now(c change) string {
	if c.kind == store.Deleted {
		return "does not exist any more"
	}
	s := state(c.obj)
	if c.obj.GetDeletionTimestamp() != nil {
		s = "being deleted, " + s
	}
	if s == "" {
		return "exists"
	}
	return s
}

// hint names objects of the kind whose name begins alike.
func (h *History) hint(ref kinds.Ref) string {
	var near []string
	for r := range h.changes { //det:ok the nearest is chosen below by a total order
		if r.Kind == ref.Kind {
			near = append(near, r.String())
		}
	}
	slices.Sort(near)
	if len(near) == 0 {
		return ""
	}
	if best := kinds.Nearest(ref.String(), near); best != "" {
		return "; did you mean " + best + "?"
	}
	if len(near) > 8 {
		near = append(near[:8], "...")
	}
	return "; there are " + strings.Join(near, ", ")
}

// chain walks from a write back to what began it.
func (h *History) chain(c change) []Because {
	out := []Because{{c.at, c.seq, fmt.Sprintf("%s: %s%s", kinds.RefOf(c.obj), c.text, by(h, c.seq))}}
	l, ok := h.line(c.seq)
	for n := 0; ok && l.Cause != 0 && n < chainMax; n++ {
		if l, ok = h.line(l.Cause); ok {
			if text := h.tell(l); text != "" && text != out[len(out)-1].Text {
				out = append(out, Because{l.Time, l.Seq, text})
			}
		}
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

func (h *History) line(seq uint64) (trace.Line, bool) {
	i, ok := h.bySeq[seq]
	if !ok {
		return trace.Line{}, false
	}
	return h.lines[i], true
}

// by names who asked for a write: the component whose event led to it.
func by(h *History, seq uint64) string {
	l, ok := h.line(seq)
	for ok && l.Cause != 0 && l.Component == "api-server" {
		l, ok = h.line(l.Cause)
	}
	if !ok || l.Component == "api-server" {
		return ""
	}
	if l.Component == "scenario" {
		return " (by the scenario)"
	}
	return " (by " + l.Component + ")"
}

// tell puts an event into words; it is silent about those that only carry a fact
// from one process to another.
func (h *History) tell(l trace.Line) string {
	switch l.What {
	case "", "sees", "sees gone", "answered", "timer", "idle", "event", "tries again", "heartbeat":
		return ""
	case "reconcile":
		return "" // the write that came of it is told
	case "heartbeats stop":
		return fmt.Sprintf("%s is no longer heard of: its last heartbeat was %s", l.Object, l.Detail)
	case "decides":
		return fmt.Sprintf("the scheduler chooses %s for %s", l.Detail, l.Object)
	case "no node":
		return "the scheduler finds no node for " + l.Object
	}
	if l.Component == "api-server" {
		return h.written(l)
	}
	if l.Component == "scenario" {
		return "the scenario: " + l.What
	}
	return strings.TrimSuffix(fmt.Sprintf("%s: %s %s (%s)", l.Component, l.What, l.Object, l.Detail), " ()")
}

// written tells what a request changed.
func (h *History) written(l trace.Line) string {
	ref, err := scenarios.ParseRef(l.Object)
	if err != nil {
		return ""
	}
	for _, c := range h.changes[ref] {
		if c.seq == l.Seq && c.text != "" {
			return fmt.Sprintf("%s: %s%s", ref, c.text, by(h, c.seq))
		}
	}
	return ""
}

// Write prints the explanation for a person.
func (x *Explanation) Write(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n\nbecause\n", x.Ref, x.Now)
	for i, b := range x.Chain {
		arrow := "   "
		if i > 0 {
			arrow = "-> "
		}
		fmt.Fprintf(w, "%12s  %s%s\n", scenarios.FormatTime(b.At.Round(time.Millisecond)), arrow, b.Text)
	}
	fmt.Fprintf(w, "\nits changes\n")
	if x.Omitted > 0 {
		fmt.Fprintf(w, "%12s  %d earlier ones\n", "...", x.Omitted)
	}
	for _, b := range x.Changes {
		fmt.Fprintf(w, "%12s  %s\n", scenarios.FormatTime(b.At.Round(time.Millisecond)), b.Text)
	}
}
