package view

import (
	"iter"
	"maps"
	"slices"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"
)

// Group is the pods of one controller, with counts kept as they change.
type Group struct {
	tree    *btree.BTreeG[*entry]
	total   int
	active  int
	ready   int
	stopped int // terminal: phase Succeeded or Failed
	leaving int // not terminal, with a deletion time
	labels  []labelCount
	crowded bool // more than labelSetsMax label sets were seen: labels is no longer kept
}

type labelCount struct {
	labels map[string]string
	active int
}

// labelSetsMax bounds the distinct label sets that a group counts; beyond it
// ActiveMatching walks the pods.
const labelSetsMax = 16

var emptyGroup Group //det:ok never written to: groups change only through a View's own map

// Active says whether a pod counts towards its controller's replicas: neither
// finished nor being deleted (Kubernetes' IsPodActive).
func Active(p *corev1.Pod) bool { return !Finished(p) && p.DeletionTimestamp == nil }

// Finished says whether a pod has reached a terminal phase.
func Finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// Ready says whether the pod's Ready condition is true.
func Ready(p *corev1.Pod) bool {
	c := Condition(p, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Condition returns a pod's condition of a type, or nil. It is the stored
// object's own: read only.
func Condition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == t {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// Pods walks the group's pods in the order of their keys.
func (g *Group) Pods() iter.Seq[*corev1.Pod] { return walk[*corev1.Pod](g.tree) }

// Len is the number of pods, finished and leaving ones included.
func (g *Group) Len() int { return g.total }

// Active is the number of pods for which Active holds.
func (g *Group) Active() int { return g.active }

// Ready is the number of active pods that are ready.
func (g *Group) Ready() int { return g.ready }

// Terminating is the number of unfinished pods with a deletion time.
func (g *Group) Terminating() int { return g.leaving }

// Finished is the number of pods in a terminal phase.
func (g *Group) Finished() int { return g.stopped }

// ActiveMatching is the number of active pods for whose labels match holds. It
// calls match once for each distinct set of labels.
func (g *Group) ActiveMatching(match func(map[string]string) bool) int {
	n := 0
	if g.crowded {
		for p := range g.Pods() {
			if Active(p) && match(p.Labels) {
				n++
			}
		}
		return n
	}
	for _, l := range g.labels {
		if match(l.labels) {
			n += l.active
		}
	}
	return n
}

func (g *Group) tally(p *corev1.Pod, by int) {
	g.total += by
	switch {
	case Finished(p):
		g.stopped += by
		return
	case p.DeletionTimestamp != nil:
		g.leaving += by
		return
	}
	g.active += by
	if Ready(p) {
		g.ready += by
	}
	if !g.crowded {
		g.tallyLabels(p, by)
	}
}

func (g *Group) tallyLabels(p *corev1.Pod, by int) {
	i := slices.IndexFunc(g.labels, func(l labelCount) bool { return maps.Equal(l.labels, p.Labels) })
	if i < 0 {
		if i = len(g.labels); i == labelSetsMax {
			g.labels, g.crowded = nil, true
			return
		}
		g.labels = append(g.labels, labelCount{labels: p.Labels})
	}
	if g.labels[i].active += by; g.labels[i].active == 0 {
		g.labels = slices.Delete(g.labels, i, i+1)
	}
}
