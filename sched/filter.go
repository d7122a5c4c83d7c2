package sched

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/placement"
)

// localCheck says why a node by itself cannot take the pods of a shape: the first
// filter that refuses it ends the walk. Nodes that the affinity does not name are not
// asked at all.
func (s *Snapshot) localCheck(p *profile, i int32, sh *shape) int32 {
	if p.named && sh.names.narrows() && !sh.names.has(s.nodes[i].Name) {
		return s.reasons.number(NodeAffinity, true, reasonNotNamed)
	}
	for _, f := range p.local {
		if why := f.check(s, p, i, sh); why != accepted {
			return why
		}
	}
	return accepted
}

// localFilterNamed is the filter of a name that looks at a node by itself.
func localFilterNamed(name string) localFilter {
	switch name {
	case NodeName:
		return localFilter{name, passes} // asked of the pod itself, see Snapshot.askedNode
	case NodeUnschedulable:
		return localFilter{name, filterUnschedulable}
	case TaintToleration:
		return localFilter{name, filterTaints}
	case NodeAffinity:
		return localFilter{name, filterNodeAffinity}
	case NodePorts:
		return localFilter{name, filterPorts}
	case NodeResourcesFit:
		return localFilter{name, filterFit}
	case CheckNodeLabelPresence:
		return localFilter{name, filterLabels}
	}
	panic("sched: no filter " + name)
}

func passes(*Snapshot, *profile, int32, *shape) int32 { return accepted }

func filterUnschedulable(s *Snapshot, _ *profile, i int32, sh *shape) int32 {
	if !s.nodes[i].Spec.Unschedulable {
		return accepted
	}
	t := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if placement.Tolerated(&t, sh.tolerations) {
		return accepted
	}
	return s.reasons.number(NodeUnschedulable, true, reasonUnschedulable)
}

func filterTaints(s *Snapshot, _ *profile, i int32, sh *shape) int32 {
	if taints := s.nodes[i].Spec.Taints; len(taints) > 0 && untolerated(taints, sh.tolerations) != nil {
		return s.reasons.number(TaintToleration, true, reasonTaint)
	}
	return accepted
}

func filterNodeAffinity(s *Snapshot, p *profile, i int32, sh *shape) int32 {
	n := s.nodes[i]
	if p.added != nil && !p.added.matches(n) {
		return s.reasons.number(NodeAffinity, true, reasonEnforced)
	}
	if sh.selector != nil && !sh.selector.matches(n) {
		return s.reasons.number(NodeAffinity, true, reasonAffinity)
	}
	return accepted
}

func filterPorts(s *Snapshot, _ *profile, i int32, sh *shape) int32 {
	if len(sh.ports) > 0 && (taken(s.ports[i], sh.ports) || s.nominated.takes(s.nodes[i].Name, sh)) {
		return s.reasons.number(NodePorts, false, reasonPorts)
	}
	return accepted
}

// taken says whether one of the wanted ports conflicts with one in use.
func taken(used map[placement.HostPort]int, want []placement.HostPort) bool {
	for _, p := range want {
		for q := range used { //det:ok asks whether any conflicts
			if p.Clashes(q) {
				return true
			}
		}
	}
	return false
}

// filterFit is NodeResourcesFit: every resource that is short is a reason of its own.
func filterFit(s *Snapshot, p *profile, i int32, sh *shape) int32 {
	a, u, want := &s.alloc[i], &s.used[i], &sh.req
	more := s.nominated.on(s.nodes[i].Name, sh)
	if more == nil && u.pods < a.pods && want.cpuMilli <= a.cpuMilli-u.cpuMilli && want.memBytes <= a.memBytes-u.memBytes &&
		want.diskBytes <= a.diskBytes-u.diskBytes && len(want.other) == 0 {
		return accepted
	}
	return s.short(p, a, u, more, want)
}

// short says what a node has too little of; accepted for nothing. more is what
// nominated pods will use, nil for none.
func (s *Snapshot) short(p *profile, a, u, more, want *amounts) int32 {
	if more == nil {
		more = &amounts{}
	}
	var why [4]string
	list, hopeless := why[:0], false
	if u.pods+more.pods+1 > a.pods {
		list = append(list, reasonPods)
	}
	check := func(name corev1.ResourceName, want, used, has int64) {
		if want > 0 && want > has-used {
			list = append(list, insufficient(name))
			hopeless = hopeless || want > has
		}
	}
	check(corev1.ResourceCPU, want.cpuMilli, u.cpuMilli+more.cpuMilli, a.cpuMilli)
	check(corev1.ResourceMemory, want.memBytes, u.memBytes+more.memBytes, a.memBytes)
	check(corev1.ResourceEphemeralStorage, want.diskBytes, u.diskBytes+more.diskBytes, a.diskBytes)
	first := len(list)
	for _, x := range want.other {
		if name := s.names[x.number]; x.n > 0 && !p.Fit.ignores(name) {
			check(name, x.n, u.of(x.number)+more.of(x.number), a.of(x.number))
		}
	}
	if len(list) == 0 {
		return accepted
	}
	slices.Sort(list[first:]) // their numbers depend on the order of arrival
	return s.reasons.number(NodeResourcesFit, hopeless, list...)
}

func insufficient(name corev1.ResourceName) string {
	switch name {
	case corev1.ResourceCPU:
		return "Insufficient cpu"
	case corev1.ResourceMemory:
		return "Insufficient memory"
	}
	return "Insufficient " + string(name)
}

// ignores says whether an extended resource is left out of the check.
func (f *FitArgs) ignores(name corev1.ResourceName) bool {
	if len(f.Ignored) == 0 && len(f.IgnoredGroups) == 0 {
		return false
	}
	if slices.Contains(f.Ignored, string(name)) {
		return true
	}
	group, _, _ := strings.Cut(string(name), "/")
	return slices.Contains(f.IgnoredGroups, group)
}

// CheckNodeLabelPresence is the old predicate of that name.
const CheckNodeLabelPresence = "CheckNodeLabelPresence"

func filterLabels(s *Snapshot, p *profile, i int32, _ *shape) int32 {
	labels := s.nodes[i].Labels
	for _, k := range p.Labels.Present {
		if _, ok := labels[k]; !ok {
			return s.reasons.number(CheckNodeLabelPresence, true, "node(s) didn't have the requested labels")
		}
	}
	for _, k := range p.Labels.Absent {
		if _, ok := labels[k]; ok {
			return s.reasons.number(CheckNodeLabelPresence, true, "node(s) didn't have the requested labels")
		}
	}
	return accepted
}
