package sched

import (
	"maps"
	"slices"
)

// samples says whether the search ends once a share of the nodes is found good.
func (p *profile) samples() bool { return p.NodesPercent > 0 && p.NodesPercent < 100 }

// sampleMin is how many good nodes a search finds at least before it ends, if there
// are as many (kubernetes.io/docs/concepts/scheduling-eviction/scheduler-perf-tuning).
const sampleMin = 100

// sample lists nodes that can take the pod until there are enough. Each search begins
// where the last one ended, in the order of the nodes' names.
func (x *search) sample(list []int32) []int32 {
	s := x.s
	order := s.byNameOrder()
	enough := max(len(order)*int(x.p.NodesPercent)/100, sampleMin)
	for k := range order {
		at := (s.sampled + k) % len(order)
		i := order[at]
		if x.columns.local[i] < 0 || x.check(i) != accepted {
			continue
		}
		if list = append(list, i); len(list) >= enough {
			s.sampled = (at + 1) % len(order)
			return list
		}
	}
	return list
}

// byNameOrder is the nodes in the order of their names.
func (s *Snapshot) byNameOrder() []int32 {
	if s.ordered == nil {
		names := slices.Sorted(maps.Keys(s.byName))
		s.ordered = make([]int32, len(names))
		for k, name := range names {
			s.ordered[k] = s.byName[name]
		}
	}
	return s.ordered
}
