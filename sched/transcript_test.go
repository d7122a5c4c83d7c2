package sched

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// TestTranscripts plays the files of testdata; -rewrite writes their output.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.HasPrefix(path, "testdata/policies/") || strings.HasPrefix(path, "testdata/gangs/") {
			return // of TestPolicyTranscripts and TestGangTranscripts
		}
		s := &session{snapshot: NewSnapshot(), queue: NewQueue(initialBackoff, maxBackoff), now: time.Unix(0, 0).UTC()}
		datadriven.RunTest(t, path, s.play)
	})
}

// session is a scheduler without a world.
type session struct {
	snapshot *Snapshot
	queue    *Queue
	now      time.Time
}

func (s *session) play(t *testing.T, d *datadriven.TestData) string {
	var name, span string
	d.MaybeScanArgs(t, "name", &name)
	d.MaybeScanArgs(t, "for", &span)
	key := kinds.Key{Namespace: "default", Name: name}
	switch d.Cmd {
	case "set": // nodes, and pods that have a node
		for _, o := range decode(t, d.Input) {
			s.see(store.Event{Type: store.Modified, Ref: kinds.RefOf(o), Object: o})
		}
	case "remove":
		for _, o := range decode(t, d.Input) {
			s.see(store.Event{Type: store.Deleted, Ref: kinds.RefOf(o), Object: o})
		}
	case "decide":
		return s.decide(t, d)
	case "scores":
		return s.scores(decode(t, d.Input)[0].(*corev1.Pod))
	case "victims":
		return s.victims(decode(t, d.Input)[0].(*corev1.Pod))
	case "add":
		for _, o := range decode(t, d.Input) {
			p := o.(*corev1.Pod)
			s.queue.Set(s.now, p, s.snapshot.classOf(p), 0, false)
		}
		return s.state()
	case "pop":
		w, ok := s.queue.Pop(s.now)
		if !ok {
			return "nothing\n" + s.state()
		}
		return w.pod.Name + "\n" + s.state()
	case "park":
		s.queue.Park(s.now, key, []string{NodeResourcesFit}, false)
		return s.state()
	case "retry":
		s.queue.Retry(s.now, key)
		return s.state()
	case "changed":
		s.queue.Changed(s.now, 0, func(*group) bool { return !d.HasArg("elsewhere") })
		return s.state()
	case "drop":
		s.queue.Remove(key)
		return s.state()
	case "wait":
		dur, err := time.ParseDuration(span)
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(dur)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return ""
}

func decode(t *testing.T, text string) []kinds.Object {
	docs, err := kinds.Decode("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []kinds.Object
	for _, d := range docs {
		o := d.Object
		if info := d.Ref.Kind.Info(); info.Namespaced && o.GetNamespace() == "" {
			o.SetNamespace("default")
		}
		if o.GetUID() == "" {
			o.SetUID(types.UID("uid-" + o.GetName()))
		}
		kinds.Default(o)
		out = append(out, o)
	}
	return out
}

// decide prints the decision for each pod; "assume" counts it on the node.
func (s *session) decide(t *testing.T, d *datadriven.TestData) string {
	var b strings.Builder
	for _, o := range decode(t, d.Input) {
		pod := o.(*corev1.Pod)
		x := whole(s.snapshot, pod)
		if x.Node == "" {
			fmt.Fprintf(&b, "%s: %s\n", pod.Name, x.Message())
			continue
		}
		fmt.Fprintf(&b, "%s: %s with %d, %d of %d nodes feasible\n", pod.Name, x.Node, x.Score, x.Feasible, x.Nodes)
		if d.HasArg("assume") {
			s.snapshot.Assume(pod, x.Node)
		}
	}
	return b.String()
}

// see takes an event as the scheduler's view brings it.
func (s *session) see(e store.Event) {
	sch := &Scheduler{profiles: map[string]*profile{corev1.DefaultSchedulerName: plain}, snapshot: s.snapshot, queue: NewQueue(0, 0), pending: map[kinds.Key]*corev1.Pod{}}
	sch.See(s.now, e, 0)
}

// scores prints what each plugin says of each node.
func (s *session) scores(pod *corev1.Pod) string {
	var b strings.Builder
	e := s.snapshot.explain(plain, pod)
	if e.Refused != "" {
		fmt.Fprintf(&b, "%s: %s\n", e.Plugin, e.Refused)
	}
	for _, n := range e.Nodes {
		if n.RejectedBy != "" {
			fmt.Fprintf(&b, "%s: %s: %s\n", n.Node, n.RejectedBy, strings.Join(n.Reasons, ", "))
			continue
		}
		fmt.Fprintf(&b, "%s: %d =", n.Node, n.Total)
		for _, x := range n.Scores {
			fmt.Fprintf(&b, " %s %d*%d", x.Plugin, x.Score, x.Weight)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// victims prints where room could be made for a pod, and at whose cost.
func (s *session) victims(pod *corev1.Pod) string {
	var b strings.Builder
	e := s.snapshot.explain(plain, pod)
	if e.Preemption == nil {
		return "no room has to be made\n"
	}
	for _, c := range e.Preemption.Candidates {
		fmt.Fprintf(&b, "%s: %s, %d budgets broken\n", c.Node, strings.Join(c.Victims, " "), c.Violations)
	}
	fmt.Fprintf(&b, "chosen: %s\n", e.Preemption.Node)
	return b.String()
}

func (s *session) state() string {
	at, ok := s.queue.Next()
	if !ok {
		return fmt.Sprintf("%d waiting, ready %v\n", s.queue.Len(), s.queue.Ready())
	}
	return fmt.Sprintf("%d waiting, ready %v, next in %v\n", s.queue.Len(), s.queue.Ready(), at.Sub(s.now))
}
