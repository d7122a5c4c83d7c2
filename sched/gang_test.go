package sched

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// TestGangTranscripts plays the files of testdata/gangs with a whole scheduler whose
// writes come back to it as a view would bring them. -rewrite writes their output.
func TestGangTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/gangs", func(t *testing.T, path string) {
		s := &gangSession{s: New(DefaultConfig()), now: time.Unix(0, 0).UTC(), objects: map[kinds.Ref]kinds.Object{}}
		datadriven.RunTest(t, path, s.play)
	})
}

type gangSession struct {
	s       *Scheduler
	now     time.Time
	objects map[kinds.Ref]kinds.Object
	out     strings.Builder
}

func (g *gangSession) play(t *testing.T, d *datadriven.TestData) string {
	g.out.Reset()
	var span string
	d.MaybeScanArgs(t, "for", &span)
	switch d.Cmd {
	case "set": // objects, new or changed
		for _, o := range decode(t, d.Input) {
			g.see(o, false)
		}
	case "remove":
		for _, o := range decode(t, d.Input) {
			g.see(o, true)
		}
	case "run": // all decisions there are to make
		g.run(t)
	case "wait":
		dur, err := time.ParseDuration(span)
		if err != nil {
			t.Fatal(err)
		}
		g.now = g.now.Add(dur)
	case "why":
		for _, o := range decode(t, d.Input) {
			e := g.s.Explain(g.now, o.(*corev1.Pod))
			fmt.Fprintf(&g.out, "%s: %s: %s\n", e.Pod, e.Plugin, e.Message)
		}
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	return g.out.String()
}

// TestGangsAreAllOrNothing draws a cluster and a gang: as many as the gang needs get a
// node, or none; and an attempt leaves nothing behind in what later decisions go by.
// Repeat a failure by the command that it prints.
func TestGangsAreAllOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(DefaultConfig())
		pop := drawPopulation(t)
		s.snapshot = pop.snapshot(rapid.Uint64().Draw(t, "order"))
		need := rapid.Int32Range(1, 5).Draw(t, "minCount")
		above := rapid.Int32Range(0, 3).Draw(t, "priority of the gang")
		group := &schedulingv1beta1.PodGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "g"}}
		group.Spec.SchedulingPolicy.Gang = &schedulingv1beta1.GangSchedulingPolicy{MinCount: need}
		group.Spec.Priority = &above
		g := &gangSession{s: s, now: time.Unix(0, 0).UTC()}
		s.See(g.now, store.Event{Type: store.Added, Ref: kinds.RefOf(group), Object: group}, 0)
		var lead *corev1.Pod
		for i := range need {
			p := drawPod(t, 100+int(i))
			p.Spec.Priority = &above
			name := group.Name
			p.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{PodGroupName: &name}
			s.See(g.now, store.Event{Type: store.Added, Ref: kinds.RefOf(p), Object: p}, 0)
			lead = p
		}
		placed := 0
		for _, m := range s.Decide(g.now, lead).Members {
			if m.Node != "" {
				placed++
			}
		}
		if placed != 0 && placed != int(need) {
			t.Fatalf("%d of %d have a node", placed, need)
		}
		for key := range s.snapshot.nominated.byPod {
			s.snapshot.unnominate(key)
		}
		fresh := NewSnapshot()
		for _, n := range s.snapshot.nodes {
			fresh.setNode(n)
		}
		for _, r := range s.snapshot.residents {
			fresh.settle(r.pod, r.name)
		}
		for i := range 3 {
			p := drawPod(t, 200+i)
			require.Equal(t, whole(fresh, p), whole(s.snapshot, p))
		}
	})
}

func (g *gangSession) see(o kinds.Object, gone bool) {
	ref := kinds.RefOf(o)
	e := store.Event{Type: store.Modified, Ref: ref, Object: o, Old: g.objects[ref]}
	g.objects[ref] = o
	if gone {
		e.Type = store.Deleted
		delete(g.objects, ref)
	}
	g.s.See(g.now, e, 0)
}

// run makes decisions until there are none to make, and lets each take effect.
func (g *gangSession) run(t *testing.T) {
	for range 100 {
		pod, _, ok := g.s.Next(g.now)
		if !ok {
			if at, ok := g.s.Due(); ok {
				fmt.Fprintf(&g.out, "next in %v\n", at.Sub(g.now))
			}
			return
		}
		d := g.s.Decide(g.now, pod)
		if d.Members == nil {
			d.Members = []Member{{pod, d}}
		}
		for _, m := range d.Members {
			switch {
			case m.Node != "":
				fmt.Fprintf(&g.out, "%s: %s\n", m.Pod.Name, m.Node)
			case m.Failed != "":
				fmt.Fprintf(&g.out, "%s: error: %s\n", m.Pod.Name, m.Failed)
			}
		}
		g.write()
	}
	t.Fatal("the scheduler does not come to rest")
}

func (g *gangSession) write() {
	for writes := slices.Clone(g.s.Take()); len(writes) > 0; writes = slices.Clone(g.s.Take()) {
		for _, w := range writes {
			g.effect(w.Req)
			if w.ID != 0 {
				g.s.Answered(g.now, w.ID, nil)
			}
		}
	}
}

// effect is what a write does to the objects.
func (g *gangSession) effect(r api.Request) {
	switch o := r.Object.(type) {
	case *corev1.Pod:
		c := o.Status.Conditions[len(o.Status.Conditions)-1]
		fmt.Fprintf(&g.out, "%s %s=%s: %s", o.Name, c.Type, c.Status, c.Message)
		if o.Status.NominatedNodeName != "" {
			fmt.Fprintf(&g.out, " (nominated for %s)", o.Status.NominatedNodeName)
		}
		g.out.WriteString("\n")
		p := kinds.Clone(g.objects[r.Ref]).(*corev1.Pod)
		p.Status = o.Status
		g.see(p, false)
	case *schedulingv1beta1.PodGroup:
		c := o.Status.Conditions[0]
		fmt.Fprintf(&g.out, "%s %s=%s %s: %s\n", o.Name, c.Type, c.Status, c.Reason, c.Message)
		g.see(o, false)
	case nil:
		if r.Subresource == api.SubBinding {
			p := kinds.Clone(g.objects[r.Ref]).(*corev1.Pod)
			p.Spec.NodeName = r.Node
			g.see(p, false)
			return
		}
		if p, ok := g.objects[r.Ref].(*corev1.Pod); ok {
			fmt.Fprintf(&g.out, "%s is deleted\n", p.Name)
			g.see(p, true)
		}
	}
}
