package schedperf

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// tally counts the pods of each namespace by how far they are, for each set of labels
// that the workload's operations ask for.
type tally struct {
	sets   []map[string]string // the first is empty: every pod
	counts []map[string]*count // by set, then namespace
}

type count struct {
	scheduled int // on a node
	attempted int // not on a node, but tried
}

// newTally knows the sets of labels of the operations from the beginning, so that
// none of them has to count afresh.
func newTally(ops []operation) *tally {
	t := &tally{sets: []map[string]string{nil}}
	for _, o := range ops {
		if b, ok := o.(*barrier); ok && t.find(b.LabelSelector) < 0 {
			t.sets = append(t.sets, b.LabelSelector)
		}
	}
	for range t.sets {
		t.counts = append(t.counts, map[string]*count{})
	}
	return t
}

func (t *tally) find(set map[string]string) int {
	return slices.IndexFunc(t.sets, func(s map[string]string) bool { return maps.Equal(s, set) })
}

// of is the count of a namespace's pods with a set of labels.
func (t *tally) of(namespace string, set map[string]string) *count {
	byNamespace := t.counts[t.find(set)]
	c := byNamespace[namespace]
	if c == nil {
		c = &count{}
		byNamespace[namespace] = c
	}
	return c
}

func (t *tally) change(c *PodChange) {
	if c.Old != nil {
		t.add(c.Old, -1)
	}
	if c.New != nil {
		t.add(c.New, 1)
	}
}

func (t *tally) add(pod *corev1.Pod, n int) {
	for _, set := range t.sets {
		if !hasLabels(pod, set) {
			continue
		}
		switch c := t.of(pod.Namespace, set); {
		case pod.Spec.NodeName != "":
			c.scheduled += n
		case attempted(pod):
			c.attempted += n
		}
	}
}

func hasLabels(pod *corev1.Pod, set map[string]string) bool {
	return len(set) == 0 || labels.SelectorFromSet(set).Matches(labels.Set(pod.Labels))
}

// attempted says whether a pod has been judged: by the scheduler, or, while it has
// gates, by whoever reads it.
func attempted(pod *corev1.Pod) bool {
	return len(pod.Spec.SchedulingGates) > 0 || slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
}
