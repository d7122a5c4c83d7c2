package sched

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/placement"
)

// leastAllocated prefers the node with the larger share of cpu and memory left:
// the mean over both of (allocatable - requested) * 100 / allocatable.
func (s *Snapshot) leastAllocated(i int, w *wish) int64 {
	a, u := &s.alloc[i], &s.scored[i]
	return (left(a.cpuMilli, u.cpuMilli+w.scored.cpuMilli) + left(a.memBytes, u.memBytes+w.scored.memBytes)) / 2
}

func left(has, used int64) int64 {
	if has == 0 || used > has {
		return 0
	}
	return (has - used) * scoreMax / has
}

// balanced prefers the node whose cpu and memory would be used to like parts: 100
// minus half the difference of the two parts in per cent.
func (s *Snapshot) balanced(i int, w *wish) int64 {
	const one = 1 << 20
	a, u := &s.alloc[i], &s.used[i]
	cpu := part(u.cpuMilli+w.req.cpuMilli, a.cpuMilli, one)
	mem := part(u.memBytes>>10+w.req.memBytes>>10, a.memBytes>>10, one)
	diff := cpu - mem
	if diff < 0 {
		diff = -diff
	}
	return (2*one - diff) * scoreMax / (2 * one)
}

func part(used, has, one int64) int64 {
	if has == 0 || used >= has {
		return one
	}
	return used * one / has
}

// softScores works out the scores that are scaled by the best of the nodes that could
// take the pod: taints that it would rather avoid, and preferred node affinity. A nil
// column means that it is the same for every node.
func (s *Snapshot) softScores(w *wish, feasible []int) (taints, affinity []int64) {
	if s.soft == 0 && len(w.soft) == 0 {
		return nil, nil
	}
	var worst, most int64
	for _, i := range feasible {
		n := s.nodes[i]
		if c := softTaints(n, w.pod.Spec.Tolerations); c > 0 {
			if taints == nil {
				taints = make([]int64, len(s.nodes))
			}
			taints[i], worst = c, max(worst, c)
		}
		for _, t := range w.soft {
			if placement.TermMatches(t.term, n) {
				if affinity == nil {
					affinity = make([]int64, len(s.nodes))
				}
				affinity[i] += t.weight
				most = max(most, affinity[i])
			}
		}
	}
	for i := range taints {
		taints[i] = scoreMax - taints[i]*scoreMax/worst
	}
	for i := range affinity {
		affinity[i] = affinity[i] * scoreMax / most
	}
	return taints, affinity
}

func softTaints(n *corev1.Node, list []corev1.Toleration) int64 {
	var c int64
	for i := range n.Spec.Taints {
		if t := &n.Spec.Taints[i]; t.Effect == corev1.TaintEffectPreferNoSchedule && !placement.Tolerated(t, list) {
			c++
		}
	}
	return c
}

// hasSoftTaint is 1 for a node with a PreferNoSchedule taint, else 0.
func hasSoftTaint(n *corev1.Node) int {
	if n == nil {
		return 0
	}
	for i := range n.Spec.Taints {
		if n.Spec.Taints[i].Effect == corev1.TaintEffectPreferNoSchedule {
			return 1
		}
	}
	return 0
}
