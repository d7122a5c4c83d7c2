package sched

import (
	"math"

	"seatrial.dev/seatrial/sched/rounding"
)

// spreadCheck is PodTopologySpread's filter of one node: a rule holds if the node's
// domain would not have more than maxSkew pods over the domain with the fewest. low
// holds each rule's fewest.
func (s *Snapshot) spreadCheck(w *wants, low []int32, i int32) int32 {
	for k := range w.hard {
		r := &w.hard[k]
		d := r.sum.topo.domain[i]
		if d < 0 {
			return s.reasons.number(PodTopologySpread, true, reasonSpreadLabel)
		}
		if r.sum.at(d)+r.self-low[k] > r.maxSkew {
			return s.reasons.number(PodTopologySpread, false, reasonSpread)
		}
	}
	return accepted
}

// lows works out the fewest pods that a domain of each hard rule has: 0 where there
// are fewer domains than minDomains.
func (w *wants) lows(room []int32) []int32 {
	room = room[:0]
	for k := range w.hard {
		r := &w.hard[k]
		low := int32(0)
		if r.sum.present == 0 {
			low = math.MaxInt32 // no domain counts, so none has too many
		} else {
			low = r.sum.least()
		}
		if r.sum.present < int(r.minDomains) {
			low = 0
		}
		room = append(room, low)
	}
	return room
}

// affineCheck is InterPodAffinity's filter of one node.
func (s *Snapshot) affineCheck(w *wants, i int32) int32 {
	if len(w.near) > 0 && !w.isNear(i) {
		return s.reasons.number(InterPodAffinity, true, reasonNear)
	}
	for _, x := range w.apart {
		if x.at(x.topo.domain[i]) > 0 {
			return s.reasons.number(InterPodAffinity, false, reasonApart)
		}
	}
	for _, x := range w.kept {
		if x.at(x.topo.domain[i]) > 0 {
			return s.reasons.number(InterPodAffinity, false, reasonKept)
		}
	}
	return accepted
}

// isNear says whether the node's domains have a pod that all required terms mean; the
// first of a group of pods that mean each other goes anywhere that bears the labels.
func (w *wants) isNear(i int32) bool {
	found, nowhere := true, true
	for _, x := range w.near {
		d := x.topo.domain[i]
		if d < 0 {
			return false
		}
		found = found && x.at(d) > 0
		nowhere = nowhere && x.nonzero == 0
	}
	return found || nowhere && w.nearSelf
}

// spreadRaw is what PodTopologySpread counts against a node before it is scaled: the
// pods of its domains, each weighted by the logarithm of the number of domains. It
// is kube-scheduler's calculation, in its steps.
func (w *wants) spreadRaw(weights []rounding.Weight, i int32) int64 {
	var sum rounding.Sum
	for k := range w.soft {
		r := &w.soft[k]
		d := r.sum.topo.domain[i]
		if d < 0 {
			continue
		}
		n := r.sum.at(d)
		if r.byHost {
			n = r.sum.tally.byNode[i]
		}
		sum = sum.Add(int64(n), weights[k], int64(r.maxSkew-1))
	}
	return sum.Int()
}

// bears says whether a node counts for the soft rules: it bears all their labels, or
// the rules are the system's own.
func (w *wants) bears(i int32) bool {
	if !w.complete {
		return true
	}
	for k := range w.soft {
		if w.soft[k].sum.topo.domain[i] < 0 {
			return false
		}
	}
	return true
}

// spreadWeights works out each soft rule's weight from the nodes that could take the
// pod: ln(2 + their number of domains).
func (s *Snapshot) spreadWeights(w *wants, feasible []int32, room []rounding.Weight) []rounding.Weight {
	room = room[:0]
	bearing := 0
	for _, i := range feasible {
		if w.bears(i) {
			bearing++
		}
	}
	for k := range w.soft {
		size := bearing
		if !w.soft[k].byHost {
			size = s.domains(w, w.soft[k].sum.topo, feasible)
		}
		room = append(room, rounding.WeightOf(size))
	}
	return room
}

// domains counts the domains of the nodes that could take the pod; nodes without the
// label are one more.
func (s *Snapshot) domains(w *wants, t *topology, feasible []int32) int {
	s.scratch.mark(len(t.nodes) + 1)
	n := 0
	for _, i := range feasible {
		if w.bears(i) && s.scratch.first(int(t.domain[i])+1) {
			n++
		}
	}
	return n
}

// pullRaw is the sum of the weights of the pods near a node.
func (w *wants) pullRaw(i int32) int64 {
	var sum int64
	for k := range w.pulls {
		p := &w.pulls[k]
		if d := p.sum.topo.domain[i]; d >= 0 {
			sum += p.weight * int64(p.sum.at(d))
		}
	}
	return sum
}

// scratch is room that decisions reuse.
type scratch struct {
	marks    []uint32
	round    uint32
	feasible []int32
	lows     []int32
	weights  []rounding.Weight
	spread   []int64
	pull     []int64
}

// mark starts a round of first with numbers below n.
func (x *scratch) mark(n int) {
	if len(x.marks) < n {
		x.marks = make([]uint32, n+n/2)
		x.round = 0
	}
	x.round++
}

// first says whether a number comes for the first time in this round.
func (x *scratch) first(i int) bool {
	if x.marks[i] == x.round {
		return false
	}
	x.marks[i] = x.round
	return true
}
