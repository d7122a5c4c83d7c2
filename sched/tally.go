package sched

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// talliesMax is how many tallies are kept; beyond it those that only classes long
// unused need are dropped.
const talliesMax = 2048

// topology is one key of nodes' labels whose values part the nodes into domains.
type topology struct {
	key    string
	domain []int32 // by node: the number of its value, -1 for none
	values map[string]int32
	nodes  []int32 // how many nodes each domain has

	present  int // domains that have a node
	labelled int // nodes in a domain
}

// tally counts residents by node: those that some selector means, or those whose own
// terms mean some class.
type tally struct {
	key    string
	weigh  weigher
	moved  weigher // what counts when a pod comes or goes for a moment, while a search tries
	byNode []int32
	sums   []*sum
	users  int // classes whose wants need it
}

// weigher says how much each resident of a class counts in a tally; mostly 1 or 0.
type weigher func(s *Snapshot, c *class) int32

// counted is a tally that counts the residents of a class.
type counted struct {
	tally  *tally
	weight int32
}

// sum is a tally's counts by the domains of a topology, over all nodes or some.
type sum struct {
	tally    *tally
	topo     *topology
	among    *nodeSet // nil: all nodes
	byDomain []int32
	nodes    []int32 // nodes of each domain that are counted
	present  int     // domains with a node that is counted
	nonzero  int     // domains with a count
}

// nodeSet is the nodes that a rule of topology spread looks at.
type nodeSet struct {
	key   string
	holds func(n *corev1.Node) bool
	in    []bool // by node
}

type tallies struct {
	byKey map[string]*tally
	list  []*tally // in the order in which they were made
	sets  map[string]*nodeSet
	kinds map[string]int // topology keys of terms that residents may have, see countTerms
	wants []*class       // classes with wants
	epoch uint64         // wants of an older one are out of date
}

// topologyOf finds or makes a topology.
func (s *Snapshot) topologyOf(key string) *topology {
	t := s.topologies[key]
	if t != nil {
		return t
	}
	t = &topology{key: key, values: map[string]int32{}, domain: make([]int32, len(s.nodes))}
	s.topologies[key] = t
	for i, n := range s.nodes {
		t.domain[i] = t.number(n)
		t.count(t.domain[i], +1)
	}
	return t
}

// number is the number of the domain that a node is in. Numbers depend on the order
// of arrival; nothing that is decided does.
func (t *topology) number(n *corev1.Node) int32 {
	if n == nil {
		return -1
	}
	value, ok := n.Labels[t.key]
	if !ok {
		return -1
	}
	d, ok := t.values[value]
	if !ok {
		d = int32(len(t.nodes))
		t.values[value] = d
		t.nodes = append(t.nodes, 0)
	}
	return d
}

// count counts a node of a domain, or no longer; -1 is no domain.
func (t *topology) count(d, sign int32) {
	if d < 0 {
		return
	}
	was := t.nodes[d]
	t.nodes[d] += sign
	t.labelled += int(sign)
	if was == 0 {
		t.present++
	} else if t.nodes[d] == 0 {
		t.present--
	}
}

// tallyOf finds or makes a tally.
func (s *Snapshot) tallyOf(key string, weigh, moved weigher) *tally {
	t := s.tallies.byKey[key]
	if t != nil {
		return t
	}
	t = &tally{key: key, weigh: weigh, moved: moved, byNode: make([]int32, len(s.nodes))}
	s.tallies.byKey[key] = t
	s.tallies.list = append(s.tallies.list, t)
	for _, c := range s.classes.byKey { //det:ok sums are the same in any order
		w := weigh(s, c)
		if w == 0 {
			continue
		}
		c.in = append(c.in, counted{t, w})
		for i, n := range c.byNode { //det:ok sums are the same in any order
			t.byNode[i] += w * n
		}
	}
	return t
}

// sumOf finds or makes a tally's sum.
func (s *Snapshot) sumOf(t *tally, topo *topology, among *nodeSet) *sum {
	for _, x := range t.sums {
		if x.topo == topo && x.among == among {
			return x
		}
	}
	x := &sum{tally: t, topo: topo, among: among}
	t.sums = append(t.sums, x)
	for i := range s.nodes {
		x.enter(int32(i), +1)
	}
	return x
}

// setOf finds or makes a set of nodes.
func (s *Snapshot) setOf(key string, holds func(n *corev1.Node) bool) *nodeSet {
	set := s.tallies.sets[key]
	if set != nil {
		return set
	}
	set = &nodeSet{key: key, holds: holds, in: make([]bool, len(s.nodes))}
	s.tallies.sets[key] = set
	for i, n := range s.nodes {
		set.in[i] = n != nil && holds(n)
	}
	return set
}

// add counts n more on a node.
func (t *tally) add(i, n int32) {
	t.byNode[i] += n
	for _, x := range t.sums {
		if d := x.topo.domain[i]; d >= 0 && (x.among == nil || x.among.in[i]) {
			x.count(d, n)
		}
	}
}

func (x *sum) count(d, n int32) {
	for int(d) >= len(x.byDomain) {
		x.byDomain, x.nodes = append(x.byDomain, 0), append(x.nodes, 0)
	}
	was := x.byDomain[d]
	x.byDomain[d] += n
	if was == 0 && n != 0 {
		x.nonzero++
	} else if was != 0 && x.byDomain[d] == 0 {
		x.nonzero--
	}
}

// enter counts a node and the pods there, or no longer.
func (x *sum) enter(i, sign int32) {
	d := x.topo.domain[i]
	if d < 0 || x.among != nil && !x.among.in[i] {
		return
	}
	x.count(d, sign*x.tally.byNode[i])
	was := x.nodes[d]
	x.nodes[d] += sign
	if was == 0 {
		x.present++
	} else if x.nodes[d] == 0 {
		x.present--
	}
}

// at is the count of a domain.
func (x *sum) at(d int32) int32 {
	if d < 0 || int(d) >= len(x.byDomain) {
		return 0
	}
	return x.byDomain[d]
}

// least is the smallest count of the domains that have a node.
func (x *sum) least() int32 {
	low, found := int32(0), false
	for d, n := range x.byDomain {
		if x.nodes[d] > 0 && (!found || n < low) {
			low, found = n, true
		}
	}
	return low
}

// growTallies makes room for a new number of a node.
func (s *Snapshot) growTallies(nodes int) {
	for _, t := range s.tallies.list {
		t.byNode = append(t.byNode, 0)
	}
	for _, t := range s.topologies { //det:ok each grows by one
		t.domain = append(t.domain, -1)
	}
	for _, set := range s.tallies.sets { //det:ok each grows by one
		set.in = append(set.in, false)
	}
}

// relabel takes a node's new labels and taints into topologies, sets and sums.
func (s *Snapshot) relabel(i int32, old, n *corev1.Node) {
	if old != nil && n != nil && maps.Equal(old.Labels, n.Labels) && equality.Semantic.DeepEqual(old.Spec.Taints, n.Spec.Taints) {
		return
	}
	s.eachSum(func(x *sum) { x.enter(i, -1) })
	for _, t := range s.topologies { //det:ok each has its own numbers
		t.count(t.domain[i], -1)
		t.domain[i] = t.number(n)
		t.count(t.domain[i], +1)
	}
	for _, set := range s.tallies.sets { //det:ok each is by itself
		set.in[i] = n != nil && set.holds(n)
	}
	s.eachSum(func(x *sum) { x.enter(i, +1) })
}

func (s *Snapshot) eachSum(f func(x *sum)) {
	for _, t := range s.tallies.list {
		for _, x := range t.sums {
			f(x)
		}
	}
}

// dropWants forgets what a class wants, so that it is compiled anew when needed.
func (s *Snapshot) dropWants(c *class) {
	if c.wants == nil {
		return
	}
	for _, t := range c.wants.tallies {
		t.users--
	}
	c.wants = nil
	s.tallies.wants = slices.DeleteFunc(s.tallies.wants, func(x *class) bool { return x == c })
}

// dropOldWants forgets the wants of the half of the classes that was not used for
// longest.
func (s *Snapshot) dropOldWants() {
	old := slices.Clone(s.tallies.wants)
	slices.SortFunc(old, func(a, b *class) int {
		if a.used < b.used {
			return -1
		}
		return 1
	})
	for _, c := range old[:(len(old)+1)/2] {
		s.dropWants(c)
	}
	s.dropUnusedTallies()
}

// dropUnusedTallies forgets tallies that no class needs.
func (s *Snapshot) dropUnusedTallies() {
	keep := s.tallies.list[:0]
	for _, t := range s.tallies.list {
		if t.users > 0 {
			keep = append(keep, t)
		} else {
			delete(s.tallies.byKey, t.key)
		}
	}
	clear(s.tallies.list[len(keep):])
	s.tallies.list = keep
	sets := map[*nodeSet]bool{}
	s.eachSum(func(x *sum) { sets[x.among] = true })
	for key, set := range s.tallies.sets {
		if !sets[set] {
			delete(s.tallies.sets, key)
		}
	}
	for _, c := range s.classes.byKey { //det:ok each class is by itself
		c.in = slices.DeleteFunc(c.in, func(x counted) bool { return x.tally.users == 0 })
	}
}
