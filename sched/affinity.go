package sched

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/placement"
)

// nodeSelector is a pod's hard demands on a node's labels: all of exact, and one
// of the terms if there are any.
type nodeSelector struct {
	exact map[string]string
	terms []corev1.NodeSelectorTerm
	any   bool // terms is a demand, even when empty (which nothing meets)
}

// softTerm is one preferred node affinity.
type softTerm struct {
	weight int64
	term   *corev1.NodeSelectorTerm
}

func compileAffinity(spec *corev1.PodSpec) (*nodeSelector, []softTerm) {
	var sel *nodeSelector
	if len(spec.NodeSelector) > 0 {
		sel = &nodeSelector{exact: spec.NodeSelector}
	}
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil {
		return sel, nil
	}
	a := spec.Affinity.NodeAffinity
	if r := a.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		if sel == nil {
			sel = &nodeSelector{}
		}
		sel.terms, sel.any = r.NodeSelectorTerms, true
	}
	var soft []softTerm
	for i := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		p := &a.PreferredDuringSchedulingIgnoredDuringExecution[i]
		soft = append(soft, softTerm{int64(p.Weight), &p.Preference})
	}
	return sel, soft
}

func (s *nodeSelector) matches(n *corev1.Node) bool {
	for k, v := range s.exact {
		if got, ok := n.Labels[k]; !ok || got != v {
			return false
		}
	}
	if !s.any {
		return true
	}
	return placement.AnyTermMatches(s.terms, n)
}
