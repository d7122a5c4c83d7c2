package sched

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/placement"
	"seatrial.dev/seatrial/sched/rounding"
)

// scoreMax is the best that a score gives a node.
const scoreMax = 100

// localTotal is the weighted sum of the scores that look at a node by itself. It leaves
// the first of them in scratch.parts.
func (s *Snapshot) localTotal(p *profile, i int32, sh *shape) int64 {
	var sum int64
	for k := range p.scores {
		f, score := &p.scores[k], int64(0)
		if f.skips == nil || !f.skips(p, s, sh) {
			score = f.score(s, p, i, sh)
		}
		sum += f.weight * score
		if k < partsMax {
			s.scratch.parts[k] = uint8(score)
		}
	}
	return sum
}

// scoreFit is NodeResourcesFit's score, by its strategy, of what would be used with
// the pod there.
func scoreFit(s *Snapshot, p *profile, i int32, sh *shape) int64 {
	var sum, weights int64
	for k := range p.Fit.Resources {
		r := &p.Fit.Resources[k]
		has, used, want := s.scoredOf(i, sh, r.Name)
		if has == 0 {
			continue
		}
		var score int64
		switch p.Fit.Strategy {
		case MostAllocated:
			score = share(min(used+want, has), has)
		case RequestedToCapacityRatio:
			score = onLine(p.Fit.Shape, used+want, has)
			if score <= 0 {
				continue // as kube-scheduler does: it counts only what scores
			}
		default:
			score = left(has, used+want)
		}
		sum += score * r.Weight
		weights += r.Weight
	}
	if weights == 0 {
		return 0
	}
	if p.Fit.Strategy == RequestedToCapacityRatio {
		return (2*sum + weights) / (2 * weights) // rounded to the nearest
	}
	return sum / weights
}

// scoredOf is what NodeResourcesFit's score counts of a resource: 0 of an extended
// one that the pod does not ask for.
func (s *Snapshot) scoredOf(i int32, sh *shape, name corev1.ResourceName) (has, used, want int64) {
	a, u := &s.alloc[i], &s.scored[i]
	switch name {
	case corev1.ResourceCPU:
		return a.cpuMilli, u.cpuMilli, sh.asking.cpuMilli
	case corev1.ResourceMemory:
		return a.memBytes, u.memBytes, sh.asking.memBytes
	case corev1.ResourceEphemeralStorage:
		return a.diskBytes, s.used[i].diskBytes, sh.asking.diskBytes
	}
	if want = s.get(&sh.asking, name); want == 0 {
		return 0, 0, 0
	}
	return s.get(a, name), s.get(&s.used[i], name), want
}

func left(has, used int64) int64 {
	if used > has {
		return 0
	}
	return (has - used) * scoreMax / has
}

func share(used, has int64) int64 { return used * scoreMax / has }

// onLine is where a utilization lies on the line that the points of a shape make.
func onLine(shape []ShapePoint, used, has int64) int64 {
	const scale = scoreMax / 10 // a shape's scores go to 10
	at := int64(100)
	if used <= has {
		at = used * 100 / has
	}
	for k, p := range shape {
		if at > p.Utilization {
			continue
		}
		if k == 0 {
			return p.Score * scale
		}
		q := shape[k-1]
		return q.Score*scale + (p.Score-q.Score)*scale*(at-q.Utilization)/(p.Utilization-q.Utilization)
	}
	return shape[len(shape)-1].Score * scale
}

// bestEffort says whether a pod asks for none of the resources that are balanced.
func bestEffort(p *profile, s *Snapshot, sh *shape) bool {
	for k := range p.Balanced {
		if s.get(&sh.req, p.Balanced[k].Name) != 0 {
			return false
		}
	}
	return true
}

// scoreBalanced prefers the node whose resources the pod makes more evenly used:
// 75 where it makes no difference, up to 100 and down to 50
// (k8s.io/kubernetes pkg/scheduler/framework/plugins/noderesources, since 1.36).
func scoreBalanced(s *Snapshot, p *profile, i int32, sh *shape) int64 {
	with, without := s.balance(p, i, sh)
	return scoreMax/2 + (scoreMax/2+with-without)/2
}

// balance is how evenly the resources are used, with the pod there and without it.
func (s *Snapshot) balance(p *profile, i int32, sh *shape) (with, without int64) {
	var roomA, roomB [8]float64
	a, b := roomA[:0], roomB[:0]
	for k := range p.Balanced {
		name := p.Balanced[k].Name
		want := s.get(&sh.req, name)
		if want == 0 && name != corev1.ResourceCPU && name != corev1.ResourceMemory && name != corev1.ResourceEphemeralStorage {
			continue
		}
		has, used := s.get(&s.alloc[i], name), s.get(&s.used[i], name)
		if has == 0 {
			continue
		}
		a = append(a, rounding.Share(used+want, has))
		b = append(b, rounding.Share(used, has))
	}
	return rounding.Evenness(a), rounding.Evenness(b)
}

// softTaints counts the taints that the pod would rather avoid.
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

// preferred is the weight of the preferred node affinity that a node meets.
func preferred(n *corev1.Node, terms []softTerm) int64 {
	var sum int64
	for _, t := range terms {
		if placement.TermMatches(t.term, n) {
			sum += t.weight
		}
	}
	return sum
}

// CalculateNodeLabelPriority is the old priority of that name: a node scores by
// whether it bears, or does not bear, labels.
const CalculateNodeLabelPriority = "CalculateNodeLabelPriority"

func scoreLabels(s *Snapshot, p *profile, i int32, _ *shape) int64 {
	var sum, weights int64
	for _, l := range p.Labels.Preferred {
		weights += l.Weight
		if _, ok := s.nodes[i].Labels[l.Label]; ok == l.Presence {
			sum += l.Weight * scoreMax
		}
	}
	if weights == 0 {
		return 0
	}
	return sum / weights
}
