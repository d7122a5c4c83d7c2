package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Decision says where a pod goes, or why nowhere.
type Decision struct {
	Node     string // empty when no node can take the pod
	Score    int64  // of that node; 0 if it was the only one, which is not scored
	Nodes    int    // nodes there are
	Feasible int    // nodes that could take the pod
	// Rejected says why none could, and is empty when one could.
	Rejected []Rejection
	// Refused says why no node was looked at; Plugin is who says so.
	Refused string
	Plugin  string
	// Failed is the error that ended the attempt, as of an extender; it is tried again
	// after a back-off.
	Failed string
	// Hopeless is the number of nodes that no preemption could help.
	Hopeless int
	// Preempted is the node on which room is being made, with the pods that go.
	Preempted string
	Victims   []*corev1.Pod
	// Members are the decisions on the pods of a gang, in their order; all else is
	// empty then but Refused, which says why the gang as a whole was not scheduled.
	Members []Member
	// preemption is the end of the message, empty where none was tried.
	preemption string
	unprepared bool            // DynamicResources ends it: it was not asked before the pod was refused
	ineligible bool            // the pod may not preempt; its nomination stays
	refused    map[int32]int32 // nodes that extenders refused, and why
	plugins    []string        // that rejected a node, sorted: what the pod waits for
}

// Member is one pod of a gang, and what was decided on it.
type Member struct {
	Pod *corev1.Pod
	Decision
}

// Rejection counts the nodes that were rejected for one reason.
type Rejection struct {
	Reason string // kube-scheduler's own words: "Insufficient cpu"
	Nodes  int
}

// Message is the text of the FailedScheduling event and of the PodScheduled
// condition, as kube-scheduler words it.
func (d *Decision) Message() string {
	if d.Nodes == 0 {
		return "no nodes available to schedule pods"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "0/%d nodes are available: ", d.Nodes)
	if d.Refused != "" {
		b.WriteString(d.Refused + ".")
	} else {
		writeReasons(&b, d.Rejected)
	}
	if d.unprepared {
		b.WriteString(" not found")
	} else if d.preemption != "" {
		b.WriteString(" preemption: " + d.preemption)
	}
	return b.String()
}

func writeReasons(b *strings.Builder, list []Rejection) {
	parts := make([]string, len(list))
	for i, r := range list {
		parts[i] = fmt.Sprintf("%d %s", r.Nodes, r.Reason)
	}
	slices.Sort(parts)
	b.WriteString(strings.Join(parts, ", "))
	b.WriteString(".")
}

// search is one pod's search for a node.
type search struct {
	s       *Snapshot
	p       *profile
	pod     *corev1.Pod
	class   *class
	columns *columns
	wants   *wants
	lows    []int32 // of the hard rules of spread
	volumes volumeAsk
	hash    uint64            // of the pod's UID
	share   map[string]string // labels of CheckServiceAffinity
	binds   bool              // nodes have to be asked about more than themselves
	ranking ranking
	asked   []*Extender     // whose business the pod is
	refused map[int32]int32 // nodes that they refused, and the rejection's number
	heard   []opinion       // what they say of the others
}

// searchFor brings what is kept up to date and prepares the search. A pod that is
// refused without looking at a node has refused set.
func (s *Snapshot) searchFor(p *profile, pod *corev1.Pod) (x search, refused *rejection) {
	c := s.classOf(pod)
	x = search{s: s, p: p, pod: pod, class: c, hash: hashString(string(pod.UID))}
	if x.volumes, refused = s.askVolumes(p, pod); refused != nil {
		return x, refused
	}
	if c.shape.names.conflict && p.named {
		return x, &rejection{NodeAffinity, []string{reasonConflict}, true}
	}
	x.columns = s.columnsOf(c.shape, p)
	x.wants = s.wantsOf(c, p)
	x.lows = x.wants.lows(s.scratch.lows)
	s.scratch.lows = x.lows
	if len(p.extenders) > 0 {
		x.asked = p.concerned(pod)
	}
	x.share = s.shareOf(p, pod, c)
	x.binds = x.share != nil || x.volumes.asks() || pod.Spec.NodeName != "" || x.wants.binds() || s.nominated.matter(c)
	return x, nil
}

// check says why a node that is good by itself cannot take the pod after all.
func (x *search) check(i int32) int32 {
	if !x.binds {
		return accepted
	}
	if name := x.pod.Spec.NodeName; name != "" && x.s.nodes[i].Name != name && x.p.filters(NodeName) {
		return x.s.reasons.number(NodeName, true, reasonNodeName)
	}
	if x.volumes.asks() {
		if why := x.volumes.check(x.s, x.p, i); why != accepted {
			return why
		}
	}
	if why := x.sharing(i); why != accepted {
		return why
	}
	if why := x.others(i); why != accepted {
		return why
	}
	if x.s.nominated.crowded(i, x) {
		return x.s.nominated.check(i, x)
	}
	return accepted
}

// others asks the filters that look at other pods, in the profile's order.
func (x *search) others(i int32) int32 {
	first, second := x.spread, x.affine
	if !x.p.spreadFirst {
		first, second = second, first
	}
	if why := first(i); why != accepted {
		return why
	}
	return second(i)
}

func (x *search) spread(i int32) int32 {
	if !x.p.spreadFilter || len(x.wants.hard) == 0 {
		return accepted
	}
	return x.s.spreadCheck(x.wants, x.lows, i)
}

func (x *search) affine(i int32) int32 {
	if !x.p.affineFilter {
		return accepted
	}
	return x.s.affineCheck(x.wants, i)
}

// decide chooses a node for a pod. It changes nothing that a decision goes by: the
// caller assumes the pod on the node it was given.
func (s *Snapshot) decide(p *profile, pod *corev1.Pod) Decision {
	d := Decision{Nodes: s.count}
	if s.count == 0 {
		return d
	}
	x, refused := s.searchFor(p, pod)
	if refused != nil {
		d.Refused, d.Plugin = strings.Join(refused.reasons, ", "), refused.plugin
		d.Hopeless, d.plugins = s.count, []string{refused.plugin}
		return d
	}
	if x.columns.fit > 0 {
		if len(x.asked) > 0 {
			x.decideAsking(&d)
			return d
		}
		if x.byBucket(&d) {
			return d
		}
		if feasible := x.feasible(); len(feasible) > 0 {
			best, score := x.best(feasible)
			d.Node, d.Score, d.Feasible = s.nodes[best].Name, score, len(feasible)
			return d
		}
	}
	x.explainFailure(&d)
	return d
}

// byBucket decides by the nodes with the best local score alone, where nothing else
// tells nodes apart.
func (x *search) byBucket(d *Decision) bool {
	c := x.columns
	if x.binds || c.buckets == nil || c.anyImage || x.p.samples() || x.s.soft > 0 && x.p.weights[TaintToleration] != 0 ||
		len(c.shape.soft)+len(x.p.addedSoft) > 0 || len(x.p.policies) > 0 || x.wants.ranks() || x.volumes.scores(x.p) {
		return false
	}
	for score := len(c.buckets) - 1; score >= 0; score-- {
		if len(c.buckets[score]) > 0 {
			best := x.first(c.buckets[score])
			d.Node, d.Feasible = x.s.nodes[best].Name, c.fit
			if c.fit > 1 {
				d.Score = int64(score) + x.p.weights[TaintToleration]*scoreMax
			}
			return true
		}
	}
	panic("sched: columns count nodes that are in none of their buckets")
}

// first is the node that comes first among equals, by its hash with the pod's.
func (x *search) first(nodes []int32) int32 {
	best, top := int32(-1), uint64(0)
	for _, i := range nodes {
		h := mix(x.hash, x.s.hashes[i])
		if best < 0 || h > top || h == top && x.s.nodes[i].Name < x.s.nodes[best].Name {
			best, top = i, h
		}
	}
	return best
}

// feasible lists the nodes that can take the pod.
func (x *search) feasible() []int32 {
	list := x.s.scratch.feasible[:0]
	switch sh := x.class.shape; {
	case x.p.samples():
		list = x.sample(list)
	case x.p.named && sh.names.narrows():
		for _, name := range sh.names.names {
			if i, ok := x.s.byName[name]; ok && x.columns.local[i] >= 0 && x.check(i) == accepted {
				list = append(list, i)
			}
		}
	case x.share != nil || x.volumes.asks() || x.pod.Spec.NodeName != "" || x.s.nominated.matter(x.class):
		for i, v := range x.columns.local {
			if v >= 0 && x.check(int32(i)) == accepted {
				list = append(list, int32(i))
			}
		}
	default:
		for i, v := range x.columns.local {
			if v >= 0 {
				list = append(list, int32(i))
			}
		}
		list = x.keepGood(list)
	}
	x.s.scratch.feasible = list
	return list
}

// best is the node with the highest score of those that could take the pod.
func (x *search) best(feasible []int32) (best int32, top int64) {
	if len(feasible) == 1 {
		return feasible[0], 0 // kube-scheduler scores nothing then
	}
	totals := x.rank(feasible).totals(feasible)
	x.addOpinions(totals, feasible)
	best, top = -1, -1
	topHash := uint64(0)
	for k, i := range feasible {
		score := totals[k]
		if score < top {
			continue
		}
		h := mix(x.hash, x.s.hashes[i])
		if score > top || h > topHash || h == topHash && x.s.nodes[i].Name < x.s.nodes[best].Name {
			best, top, topHash = i, score, h
		}
	}
	return best, top
}

// explainFailure counts why no node can take the pod.
func (x *search) explainFailure(d *Decision) {
	counts := slices.Clone(x.columns.counts)
	add := func(why int32, n int32) {
		for int(why) >= len(counts) {
			counts = append(counts, 0)
		}
		counts[why] += n
	}
	if x.columns.fit > 0 || x.p.mixed || x.pod.Spec.NodeName != "" || x.refused != nil {
		clear(counts)
		for i := range x.s.nodes {
			if x.s.nodes[i] != nil {
				add(x.whyNot(int32(i)), 1)
			}
		}
	}
	by := map[string]int{}
	plugins := map[string]bool{}
	for why, n := range counts {
		if n == 0 {
			continue
		}
		r := &x.s.reasons.list[why]
		plugins[r.plugin] = true
		if r.hopeless {
			d.Hopeless += int(n)
		}
		for _, reason := range r.reasons {
			by[reason] += int(n)
		}
	}
	for reason, n := range by { //det:ok sorted just below by unique reasons
		d.Rejected = append(d.Rejected, Rejection{reason, n})
	}
	slices.SortFunc(d.Rejected, func(a, b Rejection) int { return cmp.Compare(a.Reason, b.Reason) })
	for name := range plugins { //det:ok sorted just below
		d.plugins = append(d.plugins, name)
	}
	slices.Sort(d.plugins)
}

// whyNot asks all filters about a node in the profile's order and says who refuses it
// first.
func (x *search) whyNot(i int32) int32 {
	n, sh := x.s.nodes[i], x.class.shape
	if x.p.named && sh.names.narrows() && !sh.names.has(n.Name) {
		return x.s.reasons.number(NodeAffinity, true, reasonNotNamed)
	}
	for _, name := range x.p.order {
		why := accepted
		switch name {
		case PodTopologySpread:
			why = x.spread(i)
		case InterPodAffinity:
			why = x.affine(i)
		case VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone:
			why = x.volumes.checkOne(x.s, name, i)
		case CheckServiceAffinity:
			why = x.sharing(i)
		case NodeName:
			if x.pod.Spec.NodeName != "" && x.pod.Spec.NodeName != n.Name {
				why = x.s.reasons.number(NodeName, true, reasonNodeName)
			}
		default:
			why = x.p.localNamed(name).check(x.s, x.p, i, sh)
		}
		if why != accepted {
			return why
		}
	}
	if x.s.nominated.crowded(i, x) {
		if why := x.s.nominated.check(i, x); why != accepted {
			return why
		}
	}
	if why, ok := x.refused[i]; ok {
		return why
	}
	return accepted
}
