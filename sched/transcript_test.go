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
		s := &session{snapshot: NewSnapshot(), queue: NewQueue(), now: time.Unix(0, 0).UTC()}
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
			s.snapshot.Apply(store.Event{Type: store.Modified, Ref: kinds.RefOf(o), Object: o})
		}
	case "remove":
		for _, o := range decode(t, d.Input) {
			s.snapshot.Apply(store.Event{Type: store.Deleted, Ref: kinds.RefOf(o), Object: o})
		}
	case "decide":
		return s.decide(t, d)
	case "scores":
		return s.scores(decode(t, d.Input)[0].(*corev1.Pod))
	case "add":
		for _, o := range decode(t, d.Input) {
			s.queue.Set(s.now, o.(*corev1.Pod), 0)
		}
		return s.state()
	case "pop":
		pod, _, ok := s.queue.Pop(s.now)
		if !ok {
			return "nothing\n" + s.state()
		}
		return pod.Name + "\n" + s.state()
	case "park":
		s.queue.Park(s.now, key)
		return s.state()
	case "retry":
		s.queue.Retry(s.now, key)
		return s.state()
	case "changed":
		s.queue.Changed(s.now, 0)
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
		x := s.snapshot.Decide(pod)
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

// scores prints what each score gives each node.
func (s *session) scores(pod *corev1.Pod) string {
	var b strings.Builder
	w := newWish(pod)
	all := make([]int, len(s.snapshot.nodes))
	for i := range all {
		all[i] = i
	}
	taints, affinity := s.snapshot.softScores(w, all)
	at := func(column []int64, i int) int64 {
		if column == nil {
			return -1
		}
		return column[i]
	}
	for i, n := range s.snapshot.nodes {
		fmt.Fprintf(&b, "%s: least %d balanced %d taints %d affinity %d\n", n.Name, s.snapshot.leastAllocated(i, w), s.snapshot.balanced(i, w), at(taints, i), at(affinity, i))
	}
	return b.String()
}

func (s *session) state() string {
	at, ok := s.queue.Next()
	if !ok {
		return fmt.Sprintf("%d waiting, ready %v\n", s.queue.Len(), s.queue.Ready())
	}
	return fmt.Sprintf("%d waiting, ready %v, next in %v\n", s.queue.Len(), s.queue.Ready(), at.Sub(s.now))
}
