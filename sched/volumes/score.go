package volumes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// scoreScale makes a score of a configuration, up to 10, one of a node, up to 100.
const scoreScale = 10

// fullPercent is the utilization of a class whose storage does not suffice.
const fullPercent = 100

// Point is a point of the line of scores: utilization in per cent, score from 0 to 10.
type Point struct{ Utilization, Score int64 }

// DefaultShape is VolumeBindingArgs.shape where the configuration has none: much room
// left is good.
func DefaultShape() []Point { return []Point{{0, 10}, {100, 0}} }

// Scored says whether Score gives any node a score: only pods with claims that have
// no volume yet are scored.
func (a *Ask) Scored() bool { return a.on&HasBinding != 0 && len(a.pinned)+len(a.search) > 0 }

// sums are what is asked for and what there is, of one class.
type sums struct {
	class               *class
	requested, capacity int64 // bytes
}

// Score is what VolumeBinding gives a node that passed its filter, from 0 to 100: by
// how much of the chosen volumes the claims use, or where none is chosen, of the
// storage that volumes are made from. shape is in order of utilization.
func (a *Ask) Score(n *corev1.Node, shape []Point) int64 {
	if !a.Scored() || len(shape) == 0 {
		return 0
	}
	if v, problem := a.find(n); v != 0 || problem != nil {
		return 0
	}
	a.sums = a.sums[:0]
	for _, m := range a.static {
		x := a.sumOf(m.volume.class)
		x.requested += bytesOf(m.claim.Spec.Resources.Requests)
		x.capacity += m.volume.bytes
	}
	if len(a.static) == 0 {
		for _, p := range a.dynamic {
			if p.space == nil {
				continue
			}
			x := a.sumOf(a.s.classes[classOfClaim(p.claim)])
			x.requested += bytesOf(p.claim.Spec.Resources.Requests)
			if x.capacity = 0; p.space.Capacity != nil {
				x.capacity = p.space.Capacity.Value()
			}
		}
	}
	if len(a.sums) == 0 {
		return 0
	}
	total, count := int64(0), int64(len(a.sums))
	for _, x := range a.sums {
		used := int64(fullPercent)
		if x.capacity != 0 && x.requested <= x.capacity {
			used = x.requested * fullPercent / x.capacity
		}
		total += onLine(shape, used)
	}
	return (2*total + count) / (2 * count)
}

func (a *Ask) sumOf(c *class) *sums {
	i := slices.IndexFunc(a.sums, func(x sums) bool { return x.class == c })
	if i < 0 {
		i = len(a.sums)
		a.sums = append(a.sums, sums{class: c})
	}
	return &a.sums[i]
}

// onLine is the line's score at a utilization.
func onLine(shape []Point, used int64) int64 {
	for i, p := range shape {
		if used > p.Utilization {
			continue
		}
		if i == 0 {
			return p.Score * scoreScale
		}
		q := shape[i-1]
		return q.Score*scoreScale + (p.Score-q.Score)*scoreScale*(used-q.Utilization)/(p.Utilization-q.Utilization)
	}
	return shape[len(shape)-1].Score * scoreScale
}
