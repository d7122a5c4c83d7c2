package sched

import (
	"math"
	"slices"

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
// pod: by their number of domains, or for rules by host, by their number. Nodes that
// do not bear the labels are left out.
func (s *Snapshot) spreadWeights(w *wants, feasible []int32, room []rounding.Weight) []rounding.Weight {
	room = room[:0]
	bearing := w.bearing(feasible)
	for k := range w.soft {
		size := len(bearing)
		if !w.soft[k].byHost {
			size = s.domains(w.soft[k].sum.topo, bearing)
		}
		room = append(room, rounding.WeightOf(size))
	}
	return room
}

// bearing is those of the nodes that count for the soft rules: the list itself, where
// all do.
func (w *wants) bearing(feasible []int32) []int32 {
	if !w.complete {
		return feasible
	}
	for k, i := range feasible {
		if w.bears(i) {
			continue
		}
		list := slices.Clone(feasible[:k])
		for _, i := range feasible[k:] {
			if w.bears(i) {
				list = append(list, i)
			}
		}
		return list
	}
	return feasible
}

// domains counts the domains of nodes; those without the label are one more.
func (s *Snapshot) domains(t *topology, nodes []int32) int {
	if len(nodes) == s.count {
		n := t.present
		if t.labelled < s.count {
			n++
		}
		return n
	}
	s.scratch.mark(len(t.nodes) + 1)
	n := 0
	for _, i := range nodes {
		if s.scratch.first(int(t.domain[i]) + 1) {
			n++
		}
	}
	return n
}

// keepGood keeps of a list the nodes that the filters that look at other pods let
// pass, rule by rule.
func (x *search) keepGood(list []int32) []int32 {
	w := x.wants
	if x.p.spreadFilter {
		for k := range w.hard {
			r := &w.hard[k]
			list = r.sum.keep(list, r.maxSkew+x.lows[k]-r.self, false)
		}
	}
	if !x.p.affineFilter {
		return list
	}
	if len(w.near) > 0 {
		kept := list[:0]
		for _, i := range list {
			if w.isNear(i) {
				kept = append(kept, i)
			}
		}
		list = kept
	}
	for _, sum := range w.apart {
		list = sum.keep(list, 0, true)
	}
	for _, sum := range w.kept {
		if sum.nonzero > 0 {
			list = sum.keep(list, 0, true)
		}
	}
	return list
}

// keep keeps the nodes whose domain has at most so many; bare says whether those
// without the label stay.
func (x *sum) keep(list []int32, most int32, bare bool) []int32 {
	kept := list[:0]
	domain, counts := x.topo.domain, x.byDomain
	for _, i := range list {
		d := domain[i]
		if d < 0 {
			if bare {
				kept = append(kept, i)
			}
			continue
		}
		n := int32(0)
		if int(d) < len(counts) {
			n = counts[d]
		}
		if n <= most {
			kept = append(kept, i)
		}
	}
	return kept
}

// scratch is room that decisions reuse.
type scratch struct {
	marks    []uint32
	round    uint32
	feasible []int32
	lows     []int32
	weights  []rounding.Weight
	sums     []rounding.Sum
	spread   []int64
	pull     []int64
	totals   []int64
	parts    [partsMax]uint8 // see localTotal
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
