package sched

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/view"
)

// cost is what it would cost to make room on a node: the pods that would have to go,
// and what candidates are compared by.
type cost struct {
	state    costState
	why      int32 // of no room: the rejection that stays
	breaking int64 // victims that break a disruption budget
	top      int32 // the highest priority of a victim
	sum      int64 // of the victims' priorities, each counted from the lowest there can be
	start    int64 // when the earliest started victim of the highest priority did, ns
	victims  []*resident
}

type costState uint8

const (
	costUnknown costState = iota
	costNoVictims
	costNoRoom
	costKnown
)

// victims are the costs by node for the pods of a shape that ask for nothing beyond
// one node; they stay known until the node changes.
type victims struct {
	byNode  []cost
	budgets uint64 // version of the budgets
}

func (v *victims) stale(i int32) {
	if int(i) < len(v.byNode) {
		v.byNode[i] = cost{}
	}
}

// preempt looks for pods less important than x's whose going would make room for it,
// after the search has found no node, as DefaultPreemption does
// (kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption). All nodes
// are candidates. found lists them when it is asked for.
func (x *search) preempt(d *Decision, listed func(i int32, c *cost)) {
	if msg := x.ineligible(); msg != "" {
		d.preemption, d.ineligible = msg, true
		return
	}
	helpless, best := d.Hopeless, none
	var bestCost cost
	counts := map[int32]int{}
	noVictims := 0
	var offered map[int32]*cost // to extenders, where they have a say
	if x.victimsAsked() {
		offered = map[int32]*cost{}
	}
	for i := range x.s.nodes {
		why := x.standing(int32(i))
		if why == accepted || x.s.reasons.list[why].hopeless {
			continue
		}
		c := x.cost(int32(i))
		switch c.state {
		case costNoVictims:
			noVictims++
		case costNoRoom:
			counts[c.why]++
		case costKnown:
			if len(c.victims) == 0 { // an extender refuses the node, whoever is there
				noVictims++
				continue
			}
			if offered != nil {
				kept := *c
				offered[int32(i)] = &kept
				continue
			}
			if listed != nil {
				listed(int32(i), c)
			}
			if best == none || c.cheaper(&bestCost) || !bestCost.cheaper(c) && x.before(int32(i), best) {
				best, bestCost = int32(i), *c
			}
		}
	}
	if len(offered) > 0 {
		left, err := x.askVictims(offered)
		if err != nil {
			d.preemption = err.Error()
			return
		}
		best, bestCost = x.cheapest(left, listed)
	}
	if best != none {
		d.Preempted = x.s.nodes[best].Name
		for _, r := range bestCost.victims {
			d.Victims = append(d.Victims, r.pod)
		}
		d.preemption = fmt.Sprintf("found a potential placement for pod on node %s, preempting %d victims", d.Preempted, len(d.Victims))
		return
	}
	d.preemption = x.s.noPreemption(helpless, noVictims, counts)
}

// refuse words the end of the message of a pod for which no node was looked at.
func (s *Snapshot) refuse(p *profile, d *Decision) {
	d.unprepared = p.Devices
	if p.Preempts {
		d.preemption = s.noPreemption(s.count, 0, nil)
	}
}

// noPreemption words why no victims help.
func (s *Snapshot) noPreemption(helpless, noVictims int, counts map[int32]int) string {
	by := map[string]int{}
	if helpless > 0 {
		by[reasonNoHelp] = helpless
	}
	if noVictims > 0 {
		by[reasonNoVictims] = noVictims
	}
	for why, n := range counts { //det:ok sums are the same in any order
		for _, reason := range s.reasons.list[why].reasons {
			by[reason] += n
		}
	}
	var list []Rejection
	for reason, n := range by { //det:ok the order is made by writeReasons
		list = append(list, Rejection{reason, n})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "0/%d nodes are available: ", s.count)
	writeReasons(&b, list)
	return b.String()
}

// ineligible says why the pod may not preempt others, "" if it may: its policy, or
// victims of its own that are still leaving the node it is nominated for.
func (x *search) ineligible() string {
	if p := x.pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never."
	}
	node := x.pod.Status.NominatedNodeName
	i, ok := x.s.byName[node]
	if !ok {
		return ""
	}
	if why := x.standing(i); why != accepted && x.s.reasons.list[why].hopeless {
		return ""
	}
	for _, r := range x.s.on[i] {
		if r.class.priority < x.class.priority && preempted(r.pod) {
			return "not eligible due to a terminating pod on the nominated node."
		}
	}
	return ""
}

// preempted says whether a pod is leaving because the scheduler made it.
func preempted(p *corev1.Pod) bool {
	if p.DeletionTimestamp == nil {
		return false
	}
	c := view.Condition(p, corev1.DisruptionTarget)
	return c != nil && c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonPreemptionByScheduler
}

// standing is why the search refused a node.
func (x *search) standing(i int32) int32 {
	if why, ok := x.refused[i]; ok {
		return why
	}
	if v := x.columns.local[i]; v == none {
		return accepted
	} else if v < 0 && !x.p.mixed {
		return -1 - v
	}
	if !x.binds && !x.p.mixed {
		return accepted
	}
	return x.whyNot(i)
}

// cost works out what making room on a node costs. For pods that ask for nothing
// beyond one node it is kept.
func (x *search) cost(i int32) *cost {
	if x.binds {
		c := &cost{}
		x.weigh(i, c)
		return c
	}
	v := x.columns.victims
	if v == nil || v.budgets != x.s.budgets.version {
		v = &victims{budgets: x.s.budgets.version}
		x.columns.victims = v
	}
	for len(v.byNode) < len(x.s.nodes) {
		v.byNode = append(v.byNode, cost{})
	}
	c := &v.byNode[i]
	if c.state == costUnknown {
		x.weigh(i, c)
	}
	return c
}

// weigh finds the fewest and least important pods whose going lets the pod onto the
// node: all less important ones are taken off, and then as many as fit are put back,
// those that break a budget first, the more important before the less.
func (x *search) weigh(i int32, c *cost) {
	s := x.s
	var list []*resident
	for _, r := range s.on[i] {
		if r.class.priority < x.class.priority {
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		c.state = costNoVictims
		return
	}
	slices.SortFunc(list, moreImportant)
	for _, r := range list {
		x.lift(r)
	}
	x.volumes.without = podsOf(list)
	if c.why = x.again(i); c.why != accepted {
		c.state = costNoRoom
	} else {
		c.state = costKnown
		x.reprieve(i, list, c)
	}
	for _, r := range list {
		x.putBack(r)
	}
	x.volumes.without = nil
	c.rate()
}

// reprieve puts back as many of the list as fit and leaves the others in c.
func (x *search) reprieve(i int32, list []*resident, c *cost) {
	breaking, other := x.s.budgets.violated(list)
	try := func(r *resident) bool {
		x.putBack(r)
		without := x.volumes.without
		if x.volumes.ask != nil {
			x.volumes.without = slices.DeleteFunc(slices.Clone(without), func(p *corev1.Pod) bool { return p == r.pod })
		}
		if x.again(i) == accepted {
			return true
		}
		x.volumes.without = without
		x.lift(r)
		c.victims = append(c.victims, r)
		return false
	}
	for _, r := range breaking {
		if !try(r) {
			c.breaking++
		}
	}
	for _, r := range other {
		try(r)
	}
	slices.SortFunc(c.victims, moreImportant)
}

// lift takes a pod off its node for a moment; putBack is its opposite, and neither
// does a thing twice.
func (x *search) lift(r *resident) {
	if !r.lifted {
		r.lifted = true
		x.move(r.node, r.class, -1)
	}
}

func (x *search) putBack(r *resident) {
	if r.lifted {
		r.lifted = false
		x.move(r.node, r.class, +1)
	}
}

// move counts a pod of a class on a node for a moment, or no longer, in all that this
// search goes by.
func (x *search) move(i int32, c *class, sign int32) {
	x.s.use(i, c.shape, sign)
	for k, t := range x.wants.tallies {
		if slices.Contains(x.wants.tallies[:k], t) {
			continue
		}
		if w := t.moved(x.s, c); w != 0 {
			t.add(i, sign*w)
		}
	}
}

// again asks all filters about a node as it is now.
func (x *search) again(i int32) int32 {
	if why := x.s.localCheck(x.p, i, x.class.shape); why != accepted {
		return why
	}
	if len(x.wants.hard) > 0 {
		kept := x.lows
		x.lows = x.wants.lows(nil)
		why := x.check(i)
		x.lows = kept
		return why
	}
	return x.check(i)
}

// rate works out what candidates are compared by.
func (c *cost) rate() {
	if len(c.victims) == 0 {
		return
	}
	c.top, c.start = c.victims[0].class.priority, math.MaxInt64
	for _, r := range c.victims {
		c.sum += int64(r.class.priority) + math.MaxInt32 + 1
		if r.class.priority == c.top {
			c.start = min(c.start, startOf(r.pod).UnixNano())
		}
	}
}

// cheaper says whether one candidate is better than another: by budgets broken, the
// highest priority, the sum of priorities, the number of victims, and the latest start.
func (c *cost) cheaper(than *cost) bool {
	return cmp.Or(cmp.Compare(c.breaking, than.breaking), cmp.Compare(c.top, than.top), cmp.Compare(c.sum, than.sum),
		cmp.Compare(len(c.victims), len(than.victims)), cmp.Compare(than.start, c.start)) < 0
}

// before orders nodes that are equal otherwise.
func (x *search) before(i, j int32) bool {
	a, b := mix(x.hash, x.s.hashes[i]), mix(x.hash, x.s.hashes[j])
	return a > b || a == b && x.s.nodes[i].Name < x.s.nodes[j].Name
}

// moreImportant orders pods: by priority, then the longer running first.
func moreImportant(a, b *resident) int {
	return cmp.Or(cmp.Compare(b.class.priority, a.class.priority), startOf(a.pod).Compare(startOf(b.pod)), a.key.Compare(b.key))
}

// unstarted stands for the start of a pod that has not started: after all others.
var unstarted = time.Unix(0, math.MaxInt64)

func startOf(p *corev1.Pod) time.Time {
	if p.Status.StartTime == nil {
		return unstarted
	}
	return p.Status.StartTime.Time
}

func podsOf(list []*resident) []*corev1.Pod {
	pods := make([]*corev1.Pod, len(list))
	for i, r := range list {
		pods[i] = r.pod
	}
	return pods
}
