package sched

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Brief is the Explanation of one decision, in a few bytes: where it stands in the log of
// its shape's columns. What nodes are to the pods of a shape changes little between two
// decisions, so keeping the explanation of every decision costs by what changed. A
// decision that went by more than the nodes themselves is kept in full.
type Brief struct {
	pod  *corev1.Pod
	s    *Snapshot
	log  *columnLog
	upTo int       // entries of the log that had been written
	more [][]uint8 // by the profile's policies that look at pods, and by node: their scores
	// failed is the end of the explanation where no node could take the pod: the message,
	// and the search for victims.
	failed *Explanation
	full   *Explanation
}

// Limits of what is logged.
const (
	partsMax = 8       // local scores of a profile that a log has room for
	logMax   = 1 << 18 // entries of one log; then the columns start another
)

// columnLog is what has become of a shape's columns.
type columnLog struct {
	shape   *shape
	profile *profile
	entries []columnEntry
	parts   [][partsMax]uint8 // by node: as last written
}

// columnEntry is what a node was to the shape from then on.
type columnEntry struct {
	node  *corev1.Node // nil: it is gone
	i     int32
	value int32           // as in columns.local
	parts [partsMax]uint8 // the local scores, in the profile's order
}

// Brief says how a pod is looked at now, to be read later; ask before Decide. Asking
// costs little where it is asked before every decision.
func (s *Scheduler) Brief(pod *corev1.Pod) *Brief {
	p, key := s.profiles[pod.Spec.SchedulerName], kinds.KeyOf(pod)
	if current := s.pending[key]; current != nil {
		pod = current
	}
	return s.snapshot.brief(p, pod)
}

func (s *Snapshot) brief(p *profile, pod *corev1.Pod) *Brief {
	b := &Brief{pod: pod, s: s}
	x, refused := search{}, (*rejection)(nil)
	if s.nominated.byPod[kinds.KeyOf(pod)] == nil {
		if x, refused = s.searchFor(p, pod); refused == nil && x.alone() && len(p.scores) <= partsMax && (x.columns.fit > 0 || !p.mixed) {
			b.log = s.logOf(x.columns)
			b.upTo = len(b.log.entries)
			if x.columns.fit == 0 {
				b.failed = &Explanation{}
				b.failed.failed(&x)
				return b
			}
			for k := range p.policies {
				b.more = append(b.more, x.scoresBy(&p.policies[k]))
			}
			return b
		}
	}
	b.full = s.explain(p, pod)
	return b
}

// alone says whether the decision goes by what each node is by itself, and by policies.
func (x *search) alone() bool {
	return len(x.asked) == 0 && !x.binds && !x.columns.anyImage && !x.p.samples() && x.s.soft == 0 &&
		len(x.class.shape.soft)+len(x.p.addedSoft) == 0 && !x.wants.ranks() && !x.volumes.scores(x.p)
}

func (x *search) scoresBy(b *boundPolicy) []uint8 {
	list := make([]uint8, len(x.columns.local))
	for i, v := range x.columns.local {
		if v >= 0 {
			list[i] = uint8(b.score(x, int32(i)))
		}
	}
	return list
}

// logOf is the log of columns that are up to date; it begins with what they hold.
func (s *Snapshot) logOf(c *columns) *columnLog {
	if c.log != nil && len(c.log.entries) < logMax {
		return c.log
	}
	c.log = &columnLog{shape: c.shape, profile: c.profile}
	for i, value := range c.local {
		if value >= 0 {
			s.localTotal(c.profile, int32(i), c.shape)
		}
		c.log.write(s, int32(i), value)
	}
	return c.log
}

// write notes what a node is now. The parts of its total are as localTotal left them.
func (l *columnLog) write(s *Snapshot, i, value int32) {
	e := columnEntry{node: s.nodes[i], i: i, value: value}
	if value >= 0 {
		e.parts = s.scratch.parts
	}
	for int(i) >= len(l.parts) {
		l.parts = append(l.parts, [partsMax]uint8{})
	}
	l.parts[i] = e.parts
	l.entries = append(l.entries, e)
}

// Explanation reads it.
func (b *Brief) Explanation() *Explanation {
	if b.full != nil {
		return b.full
	}
	e := &Explanation{Pod: kinds.KeyOf(b.pod).String()}
	last := make([]columnEntry, len(b.log.parts))
	for _, x := range b.log.entries[:b.upTo] {
		last[x.i] = x
	}
	hash := hashString(string(b.pod.UID))
	top, topHash := int64(-1), uint64(0)
	for k := range last {
		x := &last[k]
		switch {
		case x.node == nil:
		case x.value < 0:
			r := &b.s.reasons.list[-1-x.value]
			e.Nodes = append(e.Nodes, NodeExplanation{Node: x.node.Name, RejectedBy: r.plugin, Reasons: r.reasons, Hopeless: r.hopeless})
		default:
			n := NodeExplanation{Node: x.node.Name, Scores: b.table(x)}
			for _, score := range n.Scores {
				n.Total += score.Score * score.Weight
			}
			e.Nodes = append(e.Nodes, n)
			h := mix(hash, hashString(n.Node))
			if n.Total > top || n.Total == top && (h > topHash || h == topHash && n.Node < e.Chosen) {
				e.Chosen, top, topHash = n.Node, n.Total, h
			}
		}
	}
	if b.failed != nil {
		e.Message, e.Preemption = b.failed.Message, b.failed.Preemption
	}
	e.order()
	return e
}

// table is every plugin's score of a node, as ranking.table has it.
func (b *Brief) table(x *columnEntry) []PluginScore {
	p := b.log.profile
	var list []PluginScore
	for _, w := range p.Scores {
		switch w.Plugin {
		case TaintToleration:
			list = append(list, PluginScore{w.Plugin, scoreMax, w.Weight})
		case ImageLocality:
			list = append(list, PluginScore{w.Plugin, 0, w.Weight})
		}
		for k := range p.policies {
			if p.policies[k].plugin == w.Plugin {
				list = append(list, PluginScore{w.Plugin, int64(b.more[k][x.i]), w.Weight})
			}
		}
		for k := range p.scores {
			if f := &p.scores[k]; f.plugin == w.Plugin && (f.skips == nil || !f.skips(p, b.s, b.log.shape)) {
				list = append(list, PluginScore{w.Plugin, int64(x.parts[k]), w.Weight})
			}
		}
	}
	return list
}
