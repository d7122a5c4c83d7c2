package sched

import (
	"slices"
)

// columns is what each node is to the pods of a shape by itself: the outcome of the
// filters and scores that look at one node. They are kept up to date by the nodes
// that changed since they were last used, so a decision costs by what changed.
type columns struct {
	shape   *shape
	profile *profile
	seen    uint64  // changes of the snapshot that are taken in
	local   []int32 // by node: the weighted sum of the local scores, or -1 - the rejection's number
	avoid   []int32 // by node: PreferNoSchedule taints that the pod does not tolerate
	prefer  []int32 // by node: weights of the preferred node affinity it meets
	counts  []int32 // nodes by the rejection's number
	fit     int     // nodes that are not rejected
	used    uint64

	place   []int32   // by node: its index in its bucket
	buckets [][]int32 // nodes by local score; nil where there would be too many

	images        []int64 // ImageLocality's score by node; nil until one is not 0
	imagesVersion uint64
	anyImage      bool

	victims *victims   // what preemption would cost by node; nil until it was asked for
	log     *columnLog // what has become of them; nil until it was asked for
}

// bucketsMax is the largest sum of local scores for which nodes are kept by score.
const bucketsMax = 10_000

// columnsOf brings a shape's columns up to date.
func (s *Snapshot) columnsOf(sh *shape, p *profile) *columns {
	h := &s.shapes
	h.clock++
	if p.named && sh.names.narrows() || !sh.again {
		sh.again = true
		return s.columnsOnce(sh, p)
	}
	c := sh.columns
	if c == nil || c.profile != p {
		if c == nil {
			if len(h.live) >= shapesMax {
				h.dropOldest()
			}
			h.live = append(h.live, sh)
		}
		c = &columns{shape: sh, profile: p}
		sh.columns = c
	}
	c.used = h.clock
	if c.local == nil || s.changed-c.seen > changesMax {
		c.clear(len(s.nodes))
		for i := range s.nodes {
			s.reassess(c, int32(i))
		}
		c.seen = s.changed
	}
	for ; c.seen < s.changed; c.seen++ {
		s.reassess(c, s.changes[c.seen%changesMax])
	}
	if v := s.imagesVersion(sh.images); v != c.imagesVersion || len(c.images) < len(s.nodes) {
		c.imagesVersion = v
		s.fillImages(c)
	}
	return c
}

func (s *Snapshot) fillImages(c *columns) {
	c.anyImage = false
	c.images = slices.Grow(c.images[:0], len(s.nodes))[:len(s.nodes)]
	if c.profile.weights[ImageLocality] != 0 {
		c.anyImage = s.imageScores(c.shape.images, c.images)
	}
}

// columnsOnce are columns for one decision: of a shape that is met for the first time,
// which may be the last, and of one that names its nodes, of which only those are
// looked at. They are good until the next call.
func (s *Snapshot) columnsOnce(sh *shape, p *profile) *columns {
	c := &s.shapes.once
	n := len(s.nodes)
	*c = columns{shape: sh, profile: p, counts: c.counts[:0], local: slices.Grow(c.local[:0], n)[:n], place: slices.Grow(c.place[:0], n)[:n],
		avoid: slices.Grow(c.avoid[:0], n)[:n], prefer: slices.Grow(c.prefer[:0], n)[:n], images: c.images}
	if !p.named || !sh.names.narrows() {
		for i := range c.local {
			c.local[i] = none
		}
		for i := range s.nodes {
			s.reassess(c, int32(i))
		}
	} else {
		s.assessNamed(c)
	}
	s.fillImages(c)
	return c
}

// assessNamed works out what the nodes are that a shape names; all others are refused.
func (s *Snapshot) assessNamed(c *columns) {
	other := -1 - s.reasons.number(NodeAffinity, true, reasonNotNamed)
	for i := range c.local {
		c.local[i] = other
	}
	for _, i := range s.free {
		c.local[i] = none
	}
	c.join(0, other)
	c.counts[-1-other] = int32(s.count)
	for _, name := range c.shape.names.names {
		if i, ok := s.byName[name]; ok {
			s.reassess(c, i)
		}
	}
}

// dropOldest takes the columns from the quarter of the shapes whose are not used for
// longest.
func (h *shapes) dropOldest() {
	slices.SortFunc(h.live, func(a, b *shape) int {
		if a.columns.used < b.columns.used {
			return -1
		}
		return 1
	})
	n := len(h.live) / 4
	for _, sh := range h.live[:n] {
		sh.columns = nil
	}
	h.live = append(h.live[:0], h.live[n:]...)
}

// none is a node number without a node.
const none int32 = -1 << 30

func (c *columns) clear(nodes int) {
	c.local, c.place = make([]int32, nodes), make([]int32, nodes)
	c.avoid, c.prefer = make([]int32, nodes), make([]int32, nodes)
	for i := range c.local {
		c.local[i] = none
	}
	c.counts, c.fit, c.buckets, c.victims, c.log = nil, 0, nil, nil, nil
	if c.profile.scoreTop <= bucketsMax {
		c.buckets = make([][]int32, c.profile.scoreTop+1)
	}
}

// reassess works out what one node is to the shape now.
func (s *Snapshot) reassess(c *columns, i int32) {
	for int(i) >= len(c.local) {
		c.local, c.place = append(c.local, none), append(c.place, 0)
		c.avoid, c.prefer = append(c.avoid, 0), append(c.prefer, 0)
	}
	if c.victims != nil {
		c.victims.stale(i)
	}
	now := none
	if n := s.nodes[i]; n != nil {
		if why := s.localCheck(c.profile, i, c.shape); why != accepted {
			now = -1 - why
		} else {
			now = int32(s.localTotal(c.profile, i, c.shape))
			c.avoid[i], c.prefer[i] = 0, 0
			if s.soft > 0 {
				c.avoid[i] = int32(softTaints(n, c.shape.tolerations))
			}
			if len(c.shape.soft)+len(c.profile.addedSoft) > 0 {
				c.prefer[i] = int32(preferred(n, c.shape.soft) + preferred(n, c.profile.addedSoft))
			}
		}
	}
	was := c.local[i]
	if c.log != nil && (was != now || now >= 0 && (int(i) >= len(c.log.parts) || c.log.parts[i] != s.scratch.parts)) {
		c.log.write(s, i, now)
	}
	if was != now {
		c.leave(i, was)
		c.local[i] = now
		c.join(i, now)
	}
}

func (c *columns) join(i, value int32) {
	switch {
	case value == none:
	case value < 0:
		why := -1 - value
		for int(why) >= len(c.counts) {
			c.counts = append(c.counts, 0)
		}
		c.counts[why]++
	default:
		c.fit++
		if c.buckets != nil {
			c.place[i] = int32(len(c.buckets[value]))
			c.buckets[value] = append(c.buckets[value], i)
		}
	}
}

// leave is join's opposite; a bucket's last node gets the place of the one that goes.
func (c *columns) leave(i, value int32) {
	switch {
	case value == none:
	case value < 0:
		c.counts[-1-value]--
	default:
		c.fit--
		if c.buckets != nil {
			b := c.buckets[value]
			last := b[len(b)-1]
			b[c.place[i]], c.place[last] = last, c.place[i]
			c.buckets[value] = b[:len(b)-1]
		}
	}
}
