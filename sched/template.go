package sched

import (
	"encoding/binary"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Limits of what is kept between decisions.
const (
	templatesMax = 64      // templates; the one unused for longest goes
	changesMax   = 1 << 16 // node changes that are remembered; a template further behind starts anew
)

// template is the outcome of filters and scores for all pods that ask the same of a
// node, kept up to date by the nodes that changed since it was last used. Pods of
// one controller are such pods, and one bind changes one node, so a decision looks
// at the nodes with the best score and no others.
//
// Only wishes whose score of a node depends on nothing but that node are kept:
// those without soft terms, on a cluster without soft taints.
type template struct {
	wish    *wish
	seen    uint64    // changes of the snapshot that are taken in
	score   []int32   // by node; -1 for one that cannot take the pod
	place   []int32   // by node: its index in its bucket
	buckets [][]int32 // nodes by score
	fit     int       // nodes that can take the pod
	used    uint64    // when it was last used
}

// templates finds the template of a pod.
type templates struct {
	byKey map[string]*template
	clock uint64
	key   []byte // reused
}

// kept decides by a template. ok is false where none can be kept, or none fits: then
// every node has to be looked at.
func (s *Snapshot) kept(w *wish) (d Decision, ok bool) {
	if s.soft > 0 || len(w.soft) > 0 {
		return d, false
	}
	t := s.templateOf(w)
	s.refresh(t)
	if t.fit == 0 {
		return d, false
	}
	for score := len(t.buckets) - 1; score >= 0; score-- {
		if len(t.buckets[score]) > 0 {
			best := s.first(t.buckets[score], w.hash)
			return Decision{Node: s.nodes[best].Name, Score: int64(score), Nodes: s.count, Feasible: t.fit}, true
		}
	}
	panic("sched: a template counts nodes that are in none of its buckets")
}

// first is the node that comes first among equals, by its hash with the pod's.
func (s *Snapshot) first(nodes []int32, hash uint64) int {
	best, top := -1, uint64(0)
	for _, i := range nodes {
		h := mix(hash, s.hashes[i])
		if best < 0 || h > top || h == top && s.nodes[i].Name < s.nodes[best].Name {
			best, top = int(i), h
		}
	}
	return best
}

func (s *Snapshot) templateOf(w *wish) *template {
	c := &s.templates
	c.clock++
	c.key = w.appendKey(c.key[:0])
	t := c.byKey[string(c.key)]
	if t == nil {
		if c.byKey == nil {
			c.byKey = map[string]*template{}
		}
		if len(c.byKey) >= templatesMax {
			c.dropOldest()
		}
		t = &template{wish: w}
		c.byKey[string(c.key)] = t
	}
	t.used = c.clock
	return t
}

func (c *templates) dropOldest() {
	oldest, when := "", c.clock
	for key, t := range c.byKey { //det:ok the time of use is unique, so the least is, too
		if t.used < when {
			oldest, when = key, t.used
		}
	}
	delete(c.byKey, oldest)
}

// refresh takes in the nodes that have changed since the template was last used.
func (s *Snapshot) refresh(t *template) {
	if s.changed-t.seen > uint64(len(s.changes)) || len(t.score) == 0 {
		t.clear(len(s.nodes))
		for i := range s.nodes {
			s.rescore(t, i)
		}
		t.seen = s.changed
		return
	}
	for ; t.seen < s.changed; t.seen++ {
		s.rescore(t, int(s.changes[t.seen%changesMax]))
	}
}

func (t *template) clear(nodes int) {
	t.score, t.place, t.fit = make([]int32, nodes), make([]int32, nodes), 0
	for i := range t.score {
		t.score[i] = -1
	}
	t.buckets = make([][]int32, (weightLeast+weightBalanced+weightTaints)*scoreMax+1)
}

// rescore works out what one node is to the template now.
func (s *Snapshot) rescore(t *template, i int) {
	for len(t.score) <= i {
		t.score, t.place = append(t.score, -1), append(t.place, 0)
	}
	now := int32(-1)
	if s.nodes[i] != nil {
		if why, _ := s.filter(i, t.wish); why == nil {
			now = int32(weightLeast*s.leastAllocated(i, t.wish) + weightBalanced*s.balanced(i, t.wish) + weightTaints*scoreMax)
		}
	}
	was := t.score[i]
	if was == now {
		return
	}
	if was >= 0 {
		t.take(i, was)
	}
	if now >= 0 {
		t.place[i] = int32(len(t.buckets[now]))
		t.buckets[now] = append(t.buckets[now], int32(i))
		t.fit++
	}
	t.score[i] = now
}

// take removes a node from its bucket; the bucket's last takes its place.
func (t *template) take(i int, score int32) {
	b := t.buckets[score]
	last := b[len(b)-1]
	b[t.place[i]] = last
	t.place[last] = t.place[i]
	t.buckets[score] = b[:len(b)-1]
	t.fit--
}

// changedNode notes that what a template knows of a node is out of date.
func (s *Snapshot) changedNode(i int) {
	if s.changes == nil {
		s.changes = make([]int32, changesMax)
	}
	s.changes[s.changed%changesMax] = int32(i)
	s.changed++
}

// appendKey appends what the wish asks of a node: equal for pods that ask the same.
func (w *wish) appendKey(b []byte) []byte {
	num := func(n int64) { b = binary.AppendVarint(b, n) }
	text := func(s string) { num(int64(len(s))); b = append(b, s...) }
	for _, a := range [2]*amounts{&w.req, &w.scored} {
		num(a.cpuMilli)
		num(a.memBytes)
		num(a.diskBytes)
		for _, name := range sortedNames(a.other) {
			text(string(name))
			num(a.other[name])
		}
		num(-1)
	}
	spec := &w.pod.Spec
	text(spec.NodeName)
	for _, p := range w.ports {
		text(p.ip)
		text(string(p.proto))
		num(int64(p.port))
	}
	num(-1)
	for i := range spec.Tolerations {
		t := &spec.Tolerations[i]
		text(t.Key)
		text(string(t.Operator))
		text(t.Value)
		text(string(t.Effect))
	}
	num(-1)
	return w.selector.appendKey(b)
}

func sortedNames(m map[corev1.ResourceName]int64) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(m))
}

// appendKey appends a selector's demands.
func (s *nodeSelector) appendKey(b []byte) []byte {
	if s == nil {
		return b
	}
	text := func(x string) {
		b = binary.AppendVarint(b, int64(len(x)))
		b = append(b, x...)
	}
	for _, k := range slices.Sorted(maps.Keys(s.exact)) {
		text(k)
		text(s.exact[k])
	}
	if s.any {
		text("\x00terms")
	}
	for i := range s.terms {
		text("\x00term")
		for _, list := range [2][]corev1.NodeSelectorRequirement{s.terms[i].MatchExpressions, s.terms[i].MatchFields} {
			text("\x00list")
			for j := range list {
				text(list[j].Key)
				text(string(list[j].Operator))
				for _, v := range list[j].Values {
					text(v)
				}
				text("\x00end")
			}
		}
	}
	return b
}
