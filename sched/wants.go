package sched

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/placement"
)

// wants is what the pods of a class ask for beyond a node by itself, compiled to the
// tallies that answer it.
type wants struct {
	epoch   uint64 // of the terms that there were
	backing uint64 // version of the services and sets of its namespace
	tallies []*tally

	hard, soft []rule
	complete   bool // a node counts for the soft rules only if it bears all their labels

	near     []*sum // of the pods that all required terms mean, by each term's topology
	nearSelf bool   // the class's own pods are such pods
	apart    []*sum // of the pods that each required term of anti-affinity means
	kept     []*sum // of the residents that want to be apart from this class, by topology
	pulls    []pull
}

// rule is one constraint of topology spread.
type rule struct {
	sum        *sum
	maxSkew    int32
	minDomains int32
	self       int32 // 1 if the pod itself would count
	byHost     bool  // a soft rule by host counts node by node
	none       bool  // the selector is empty: nothing counts
}

// pull is a weight that pods of a sum have on the score of a node near them.
type pull struct {
	sum    *sum
	weight int64
}

// binds says whether the wants rule nodes out.
func (w *wants) binds() bool {
	return len(w.hard)+len(w.near)+len(w.apart) > 0 || w.isKept()
}

func (w *wants) isKept() bool {
	for _, x := range w.kept {
		if x.nonzero > 0 {
			return true
		}
	}
	return false
}

// ranks says whether the wants make a difference between the nodes that are left.
func (w *wants) ranks() bool {
	if len(w.soft) > 0 {
		return true
	}
	return w.pulling()
}

// pulling says whether any pod has a weight on a node near it.
func (w *wants) pulling() bool {
	for i := range w.pulls {
		if w.pulls[i].sum.nonzero > 0 {
			return true
		}
	}
	return false
}

// wantsOf compiles what a class wants, or takes what was compiled before.
func (s *Snapshot) wantsOf(c *class, p *profile) *wants {
	if w := c.wants; w != nil {
		if w.epoch == s.tallies.epoch && w.backing == s.backing.version(c.namespace) {
			return w
		}
		s.dropWants(c)
	}
	if len(s.tallies.list) > talliesMax {
		s.dropOldWants()
	}
	w := &wants{epoch: s.tallies.epoch, backing: s.backing.version(c.namespace)}
	c.wants = w
	s.tallies.wants = append(s.tallies.wants, c)
	if p.spreads {
		s.compileSpread(w, c, p)
	}
	if p.affine {
		s.compileAffine(w, c, p)
	}
	return w
}

// uses notes that the wants need a tally.
func (w *wants) uses(t *tally) *tally {
	t.users++
	w.tallies = append(w.tallies, t)
	return t
}

// compileSpread compiles the constraints of topology spread, the pod's own or, for a
// pod without any, the default ones
// (kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints).
func (s *Snapshot) compileSpread(w *wants, c *class, p *profile) {
	list := c.example.Spec.TopologySpreadConstraints
	w.complete = len(list) > 0 || !p.Spread.System
	var byDefault labels.Selector
	if len(list) == 0 {
		if list = p.Spread.Defaults; len(list) == 0 {
			return
		}
		if byDefault = s.backing.selector(c); byDefault.Empty() {
			return
		}
	}
	for _, action := range [2]corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway} {
		var keys []string
		for i := range list {
			if list[i].WhenUnsatisfiable == action {
				keys = append(keys, list[i].TopologyKey)
			}
		}
		hard := action == corev1.DoNotSchedule
		for i := range list {
			if list[i].WhenUnsatisfiable != action {
				continue
			}
			r := s.compileRule(w, c, &list[i], byDefault, keys, hard || w.complete)
			if hard {
				w.hard = append(w.hard, r)
			} else {
				r.byHost = list[i].TopologyKey == corev1.LabelHostname
				w.soft = append(w.soft, r)
			}
		}
	}
}

func (s *Snapshot) compileRule(w *wants, c *class, from *corev1.TopologySpreadConstraint, byDefault labels.Selector, keys []string, complete bool) rule {
	r := rule{maxSkew: from.MaxSkew, minDomains: 1}
	if from.MinDomains != nil {
		r.minDomains = *from.MinDomains
	}
	selector := byDefault
	if selector == nil {
		selector = spreadSelector(from, c.labels)
	}
	if selector.Matches(labels.Set(c.labels)) {
		r.self = 1
	}
	r.none = selector.Empty()
	if !complete {
		keys = nil
	}
	r.sum = s.sumOf(w.uses(s.spreadTally(c.namespace, selector, r.none)), s.topologyOf(from.TopologyKey), s.countedNodes(c.shape, from, keys))
	return r
}

// spreadSelector is a constraint's selector, with the pod's own values of its
// matchLabelKeys.
func spreadSelector(from *corev1.TopologySpreadConstraint, own map[string]string) labels.Selector {
	selector := selectorOf(from.LabelSelector)
	same := labels.Set{}
	for _, k := range from.MatchLabelKeys {
		if v, ok := own[k]; ok {
			same[k] = v
		}
	}
	requirements, selectable := selector.Requirements()
	if len(same) == 0 || !selectable {
		return selector
	}
	return labels.SelectorFromSet(same).Add(requirements...)
}

// spreadTally counts the pods of a namespace that a selector means and that are not
// being deleted; an empty selector counts none. Pods that come or go for a moment
// count all the same: kube-scheduler has it so.
func (s *Snapshot) spreadTally(namespace string, selector labels.Selector, none bool) *tally {
	k := key{}
	k.text("spread")
	k.text(namespace)
	k.text(selector.String())
	if _, selectable := selector.Requirements(); !selectable {
		k.text("nothing")
	}
	moved := func(_ *Snapshot, c *class) int32 {
		if c.namespace == namespace && selector.Matches(labels.Set(c.labels)) {
			return 1
		}
		return 0
	}
	weigh := func(s *Snapshot, c *class) int32 {
		if none || c.leaving {
			return 0
		}
		return moved(s, c)
	}
	return s.tallyOf(string(k), weigh, moved)
}

// countedNodes is the set of nodes over which a constraint counts: those that bear
// the labels, and as its policies say, those that the pod's node affinity selects and
// whose taints it tolerates. nil is all of them.
func (s *Snapshot) countedNodes(sh *shape, from *corev1.TopologySpreadConstraint, keys []string) *nodeSet {
	selector := sh.selector
	if from.NodeAffinityPolicy != nil && *from.NodeAffinityPolicy == corev1.NodeInclusionPolicyIgnore {
		selector = nil
	}
	taints := from.NodeTaintsPolicy != nil && *from.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
	others := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k == from.TopologyKey })
	slices.Sort(others)
	if selector == nil && !taints && len(others) == 0 {
		return nil
	}
	k := key{}
	k = selector.appendKey(k)
	k.num(int64(len(others)))
	for _, o := range others {
		k.text(o)
	}
	if taints {
		k.text("taints")
		for i := range sh.tolerations {
			t := &sh.tolerations[i]
			k.text(t.Key + "\x00" + string(t.Operator) + "\x00" + t.Value + "\x00" + string(t.Effect))
		}
	}
	return s.setOf(string(k), func(n *corev1.Node) bool {
		for _, o := range others {
			if _, ok := n.Labels[o]; !ok {
				return false
			}
		}
		return (selector == nil || selector.matches(n)) && (!taints || untolerated(n.Spec.Taints, sh.tolerations) == nil)
	})
}

// compileAffine compiles affinity between pods: the class's own terms, and those of
// residents that mean the class.
func (s *Snapshot) compileAffine(w *wants, c *class, p *profile) {
	t := c.terms
	if t == nil {
		t = &podTerms{}
	}
	if len(t.near) > 0 {
		near := w.uses(s.termsTally(t.near))
		for _, x := range t.near {
			w.near = append(w.near, s.sumOf(near, s.topologyOf(x.topology), nil))
		}
		w.nearSelf = allMean(s, t.near, c)
	}
	for _, x := range t.apart {
		w.apart = append(w.apart, s.sumOf(w.uses(s.termsTally([]*podTerm{x})), s.topologyOf(x.topology), nil))
	}
	for _, x := range t.likes {
		w.pulls = append(w.pulls, pull{s.sumOf(w.uses(s.termsTally([]*podTerm{x})), s.topologyOf(x.topology), nil), int64(x.weight)})
	}
	for _, x := range t.dislikes {
		w.pulls = append(w.pulls, pull{s.sumOf(w.uses(s.termsTally([]*podTerm{x})), s.topologyOf(x.topology), nil), -int64(x.weight)})
	}
	for _, topology := range s.termTopologies(kindApart) {
		w.kept = append(w.kept, s.sumOf(w.uses(s.keptTally(c, topology)), s.topologyOf(topology), nil))
	}
	if p.Affinity.IgnorePreferredExisting && len(t.likes)+len(t.dislikes) == 0 {
		return
	}
	for _, topology := range s.termTopologies(kindPull) {
		w.pulls = append(w.pulls, pull{s.sumOf(w.uses(s.pullTally(c, topology, p.Affinity.HardWeight)), s.topologyOf(topology), nil), 1})
	}
}

// termsTally counts the pods that all the terms mean.
func (s *Snapshot) termsTally(terms []*podTerm) *tally {
	k := key{}
	k.text("terms")
	for _, t := range terms {
		k.text(t.key)
	}
	weigh := func(s *Snapshot, c *class) int32 {
		if allMean(s, terms, c) {
			return 1
		}
		return 0
	}
	return s.tallyOf(string(k), weigh, weigh)
}

// keptTally counts the terms of residents that keep a class's pods away.
func (s *Snapshot) keptTally(c *class, topology string) *tally {
	weigh := func(s *Snapshot, r *class) int32 {
		n := int32(0)
		if r.terms != nil {
			for _, t := range r.terms.apart {
				if t.topology == topology && t.means(s, c, false) {
					n++
				}
			}
		}
		return n
	}
	return s.tallyOf(c.meantKey("kept", topology, 0), weigh, weigh)
}

// pullTally sums the weights of residents' terms that mean a class.
func (s *Snapshot) pullTally(c *class, topology string, hard int64) *tally {
	weigh := func(s *Snapshot, r *class) int32 {
		if r.terms == nil {
			return 0
		}
		sum := int32(0)
		each := func(terms []*podTerm, sign, fixed int32) {
			for _, t := range terms {
				if t.topology == topology && t.means(s, c, false) {
					sum += sign*t.weight + fixed
				}
			}
		}
		each(r.terms.near, 0, int32(hard))
		each(r.terms.likes, +1, 0)
		each(r.terms.dislikes, -1, 0)
		return sum
	}
	return s.tallyOf(c.meantKey("pull", topology, hard), weigh, weigh)
}

// meantKey is the key of a tally of those that mean a class.
func (c *class) meantKey(kind, topology string, n int64) string {
	k := key{}
	k.text(kind)
	k.text(topology)
	k.text(strconv.FormatInt(n, 10))
	k.text(c.namespace)
	k.pairs(c.labels)
	return string(k)
}

// termTopologies lists the topologies of the terms of a kind, sorted.
func (s *Snapshot) termTopologies(kind string) []string {
	var list []string
	for k := range s.tallies.kinds {
		if len(k) > len(kind) && k[:len(kind)] == kind {
			list = append(list, k[len(kind):])
		}
	}
	slices.Sort(list)
	return list
}

// untolerated returns the first taint that keeps the pod away, or nil.
func untolerated(taints []corev1.Taint, list []corev1.Toleration) *corev1.Taint {
	for i := range taints {
		t := &taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !placement.Tolerated(t, list) {
			return t
		}
	}
	return nil
}
