package sched

import (
	"math"
	"slices"

	"seatrial.dev/seatrial/sched/rounding"
)

// ranking is what the scores that are scaled by the best of the nodes need to know:
// raw values by the place of the node in the list, and their range. A column is nil
// where the plugin has nothing to say of the pod.
type ranking struct {
	x                    *search
	worstTaint, topTerms int64
	terms                bool // NodeAffinity has something to say
	spread, pull         []int64
	spreadLow, spreadTop int64
	pullLow, pullTop     int64
	volumes              []int64
}

func (x *search) rank(feasible []int32) *ranking {
	r := &x.ranking
	*r = ranking{x: x, terms: len(x.class.shape.soft)+len(x.p.addedSoft) > 0}
	if x.s.soft > 0 {
		for _, i := range feasible {
			r.worstTaint = max(r.worstTaint, int64(x.columns.avoid[i]))
		}
	}
	if r.terms {
		for _, i := range feasible {
			r.topTerms = max(r.topTerms, int64(x.columns.prefer[i]))
		}
	}
	if len(x.wants.soft) > 0 && x.p.weights[PodTopologySpread] != 0 {
		r.rankSpread(feasible)
	}
	if x.wants.pulling() && x.p.weights[InterPodAffinity] != 0 {
		r.rankPull(feasible)
	}
	if x.volumes.scores(x.p) {
		r.volumes = x.volumes.scoresOf(x.s, x.p, feasible)
	}
	return r
}

// ignored marks a node that the rules of spread do not score.
const ignored = int64(-1)

// rankSpread counts against each node the pods of its domains, each weighted by the
// logarithm of the number of domains.
func (r *ranking) rankSpread(feasible []int32) {
	x := r.x
	weights := x.s.spreadWeights(x.wants, feasible, x.s.scratch.weights)
	sums := slices.Grow(x.s.scratch.sums[:0], len(feasible))[:len(feasible)]
	clear(sums)
	for k := range x.wants.soft {
		x.wants.soft[k].addTo(sums, weights[k], feasible)
	}
	raw := slices.Grow(x.s.scratch.spread[:0], len(feasible))[:len(feasible)]
	r.spreadLow = math.MaxInt64
	for k, i := range feasible {
		if x.wants.complete && !x.wants.bears(i) {
			raw[k] = ignored
			continue
		}
		n := sums[k].Int()
		raw[k] = n
		r.spreadLow, r.spreadTop = min(r.spreadLow, n), max(r.spreadTop, n)
	}
	r.spread, x.s.scratch.spread, x.s.scratch.weights, x.s.scratch.sums = raw, raw, weights, sums
}

// addTo adds a soft rule's weighted counts to the nodes' sums.
func (r *rule) addTo(sums []rounding.Sum, w rounding.Weight, feasible []int32) {
	domain, byNode := r.sum.topo.domain, r.sum.tally.byNode
	for k, i := range feasible {
		d := domain[i]
		if d < 0 {
			continue
		}
		var n int32
		if r.byHost {
			n = byNode[i]
		} else {
			n = r.sum.at(d)
		}
		sums[k] = sums[k].Add(int64(n), w, int64(r.maxSkew-1))
	}
}

// rankPull sums the weights of the pods near each node.
func (r *ranking) rankPull(feasible []int32) {
	x := r.x
	raw := slices.Grow(x.s.scratch.pull[:0], len(feasible))[:len(feasible)]
	clear(raw)
	for k := range x.wants.pulls {
		p := &x.wants.pulls[k]
		if p.sum.nonzero == 0 {
			continue
		}
		domain, counts := p.sum.topo.domain, p.sum.byDomain
		for k, i := range feasible {
			if d := domain[i]; uint(d) < uint(len(counts)) {
				raw[k] += p.weight * int64(counts[d])
			}
		}
	}
	r.pullLow, r.pullTop = slices.Min(raw), slices.Max(raw)
	r.pull, x.s.scratch.pull = raw, raw
}

// totals is the weighted sum of all scores by the place of the node in the list.
func (r *ranking) totals(feasible []int32) []int64 {
	x, c := r.x, r.x.columns
	sum := slices.Grow(x.s.scratch.totals[:0], len(feasible))[:len(feasible)]
	x.s.scratch.totals = sum
	w := x.p.weights
	fixed := int64(0)
	if r.worstTaint == 0 {
		fixed = w[TaintToleration] * scoreMax
	}
	for k, i := range feasible {
		sum[k] = int64(c.local[i]) + fixed
	}
	add := func(weight int64, score func(k int, i int32) int64) {
		for k, i := range feasible {
			sum[k] += weight * score(k, i)
		}
	}
	if r.worstTaint > 0 {
		add(w[TaintToleration], func(_ int, i int32) int64 { return r.taint(i) })
	}
	if r.topTerms > 0 {
		add(w[NodeAffinity], func(_ int, i int32) int64 { return r.affinity(i) })
	}
	if c.anyImage {
		add(w[ImageLocality], func(_ int, i int32) int64 { return c.images[i] })
	}
	if r.spread != nil {
		r.addScaledSpread(sum, w[PodTopologySpread])
	}
	if r.pull != nil && r.pullTop > r.pullLow {
		add(w[InterPodAffinity], func(k int, _ int32) int64 { return rounding.Scaled(r.pull[k], r.pullLow, r.pullTop) })
	}
	if r.volumes != nil {
		add(w[VolumeBinding], func(k int, _ int32) int64 { return r.volumes[k] })
	}
	for _, b := range x.p.policies {
		add(b.weight, func(_ int, i int32) int64 { return b.score(x, i) })
	}
	return sum
}

// addScaledSpread adds the scaled scores of spread. Raw values come in runs and
// repeat, so the last division is kept.
func (r *ranking) addScaledSpread(sum []int64, weight int64) {
	last, scaled := ignored, int64(0)
	for k, raw := range r.spread {
		if raw != last {
			last, scaled = raw, weight*r.spreadScore(k)
		}
		sum[k] += scaled
	}
}

func (r *ranking) taint(i int32) int64 {
	if r.worstTaint == 0 {
		return scoreMax
	}
	return scoreMax - scoreMax*int64(r.x.columns.avoid[i])/r.worstTaint
}

func (r *ranking) affinity(i int32) int64 {
	if r.topTerms == 0 {
		return 0
	}
	return scoreMax * int64(r.x.columns.prefer[i]) / r.topTerms
}

func (r *ranking) spreadScore(k int) int64 {
	switch raw := r.spread[k]; {
	case raw == ignored:
		return 0
	case r.spreadTop == 0:
		return scoreMax
	default:
		return scoreMax * (r.spreadTop + r.spreadLow - raw) / r.spreadTop
	}
}
