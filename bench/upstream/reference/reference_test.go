package reference

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/bench/upstream/draw"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/sched"
)

// A reference that has seen a cluster grow says the same as one that is shown its
// objects in another order.
func TestOrderOfEventsDoesNotMatter(t *testing.T) {
	const clusters = 150
	found, refused, victims := 0, map[string]int{}, 0
	for seed := range uint64(clusters) {
		c := draw.New(seed, nil, nil)
		grown, shown := start(t, c.Objects()), start(t, reversed(c.Objects()))
		for range 8 {
			objects := c.Pod()
			for i, o := range objects {
				o.SetResourceVersion(strconv.Itoa(1000 + i))
				apply(t, grown, o)
				apply(t, shown, o)
			}
			pod := objects[len(objects)-1].(*corev1.Pod)
			a, err := grown.Explain(pod)
			if err != nil {
				t.Fatal(err)
			}
			b, err := shown.Explain(pod)
			if err != nil {
				t.Fatal(err)
			}
			if tell(a) != tell(b) {
				t.Errorf("seed %d, pod %s:\n%s\n%s", seed, a.Pod, tell(a), tell(b))
			}
			if a.Chosen != "" {
				found++
			} else if a.Preemption != nil {
				victims++
			} else {
				refused[a.Message]++
			}
		}
		grown.Close()
		shown.Close()
	}
	t.Logf("%d found a node, %d victims", found, victims)
	for m, n := range refused {
		if n > 2 {
			t.Logf("%d %s", n, m)
		}
	}
}

// tell is a finding as text, without what upstream leaves to chance.
func tell(f *Finding) string {
	slices.SortFunc(f.Nodes, func(a, b sched.NodeExplanation) int { return strings.Compare(a.Node, b.Node) })
	for i := range f.Nodes {
		slices.Sort(f.Nodes[i].Reasons)
	}
	message := f.Message
	if f.Preemption != nil {
		message = ""
	}
	return fmt.Sprintf("%s %s %+v %v %v %s", f.Refused, f.Plugin, f.Nodes, f.Best, f.BestCandidates, message)
}

func reversed(o []kinds.Object) []kinds.Object {
	o = slices.Clone(o)
	slices.Reverse(o)
	return o
}

func start(t *testing.T, objects []kinds.Object) *Reference {
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		apply(t, r, o)
	}
	return r
}

func apply(t *testing.T, r *Reference, o kinds.Object) {
	if err := r.Apply(store.Event{Type: store.Added, Ref: kinds.RefOf(o), Object: o}); err != nil {
		t.Fatal(err)
	}
}
