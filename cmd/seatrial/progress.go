package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim"
)

// progressEvery is the wall time between two states of the bar, or, where it is
// plain, between two lines.
const (
	barEvery   = 100 * time.Millisecond
	plainEvery = 5 * time.Second
)

// progress shows how far a run is, on standard error: a bar on a terminal, else a
// line now and then.
type progress struct {
	w     io.Writer
	scn   *scenarios.Scenario
	bar   bool
	none  bool
	start time.Time
	last  time.Time
	drawn bool
}

// newProgress shows how far a run of the scenario is; until is when it ends before the
// scenario's duration, or 0.
func newProgress(f *os.File, mode string, scn *scenarios.Scenario, until time.Duration) *progress {
	if until > 0 && until < scn.Duration {
		scn = scn.Shortened(until)
	}
	p := &progress{w: f, scn: scn, none: mode == "none", start: time.Now(), last: time.Now()}
	p.bar = mode == "auto" && term.IsTerminal(int(f.Fd()))
	return p
}

func (p *progress) advance(now sim.Time, events uint64) {
	every := plainEvery
	if p.bar {
		every = barEvery
	}
	if p.none || time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	share := int(now * 100 / p.scn.Duration)
	if !p.bar {
		fmt.Fprintf(p.w, "%s: %v of %v (%d%%), %d events\n", p.scn.Name, now.Round(time.Millisecond), p.scn.Duration, share, events)
		return
	}
	const width = 30
	done := width * share / 100
	fmt.Fprintf(p.w, "\r\x1b[K%s [%s%s] %d%%  %v of %v  %d events", p.scn.Name, strings.Repeat("=", done), strings.Repeat(" ", width-done),
		share, now.Round(time.Second), p.scn.Duration, events)
	p.drawn = true
}

// clear takes the bar away so that a line may be printed.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drawn = false
	}
}

// problem tells of what went wrong without being the run's failure.
func (p *progress) problem(err error) {
	p.clear()
	fmt.Fprintln(p.w, "seatrial:", err)
}

func (p *progress) finish() { p.clear() }

// timeline prints what matters of a run as it happens: the scenario's steps, nodes
// that come and go, failures of pods. On a large cluster it stops after linesMax
// lines; steps are always printed.
type timeline struct {
	w     io.Writer
	bar   *progress
	steps []scenarios.Step // still to come
	nodes int              // of the scenario
	ready int              // nodes that have come up so far
	lines int
}

// singlyMax is how many nodes a cluster may have for each to be told of as it comes
// up for the first time.
const singlyMax = 10

// linesMax bounds the time line that run prints; the trace has everything.
const linesMax = 60

func newTimeline(w io.Writer, bar *progress, scn *scenarios.Scenario) *timeline {
	return &timeline{w: w, bar: bar, steps: scn.Steps, nodes: len(scn.Nodes)}
}

// watching returns a watcher that prints and then calls next, which may be nil.
func (t *timeline) watching(next func(sim.Time, uint64, store.Event)) func(sim.Time, uint64, store.Event) {
	return func(now sim.Time, seq uint64, e store.Event) {
		t.reach(now)
		if text := t.remark(e); text != "" {
			t.say(now, text)
		}
		if next != nil {
			next(now, seq, e)
		}
	}
}

// reach prints the steps up to a time.
func (t *timeline) reach(now sim.Time) {
	for ; len(t.steps) > 0 && t.steps[0].At <= now; t.steps = t.steps[1:] {
		t.bar.clear()
		fmt.Fprintf(t.w, "%12s  > %s\n", scenarios.FormatTime(t.steps[0].At), t.steps[0].Action)
	}
}

func (t *timeline) say(now sim.Time, text string) {
	if t.lines++; t.lines > linesMax {
		return
	}
	t.bar.clear()
	fmt.Fprintf(t.w, "%12s  %s\n", scenarios.FormatTime(now.Round(time.Millisecond)), text)
	if t.lines == linesMax {
		fmt.Fprintf(t.w, "%12s  ... more happened; --out DIR keeps all of it\n", "")
	}
}

// remark says in a few words what a write means, or nothing.
func (t *timeline) remark(e store.Event) string {
	switch now := e.Object.(type) {
	case *corev1.Node:
		old, _ := e.Old.(*corev1.Node)
		if t.nodes > singlyMax && readiness(old) == "" && readiness(now) == string(corev1.ConditionTrue) {
			if t.ready++; t.ready == t.nodes {
				return fmt.Sprintf("all %d nodes are Ready", t.nodes)
			}
			return ""
		}
		return nodeRemark(old, now)
	case *corev1.Event:
		if notable(now.Reason) && now.Count == 1 && !strings.HasPrefix(now.Message, "Readiness probe") {
			return fmt.Sprintf("%s/%s: %s: %s", strings.ToLower(now.InvolvedObject.Kind), now.InvolvedObject.Name, now.Reason, now.Message)
		}
	}
	return ""
}

func nodeRemark(old, now *corev1.Node) string {
	was, is := readiness(old), readiness(now)
	switch {
	case was != is && is != "":
		return fmt.Sprintf("node/%s: Ready is %s", now.Name, is)
	case old != nil && old.Spec.Unschedulable != now.Spec.Unschedulable:
		if now.Spec.Unschedulable {
			return "node/" + now.Name + ": cordoned"
		}
		return "node/" + now.Name + ": uncordoned"
	}
	return ""
}

func readiness(n *corev1.Node) string {
	if n == nil {
		return ""
	}
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return string(c.Status)
		}
	}
	return ""
}

// notable are the reasons of events that a person following a run wants to see.
func notable(reason string) bool {
	switch reason {
	case "ScalingReplicaSet", "TaintManagerEviction", "BackOff", "Failed", "FailedScheduling", "OOMKilling", "Unhealthy",
		"DeploymentRollback", "ProgressDeadlineExceeded", "Evicted":
		return true
	}
	return false
}
