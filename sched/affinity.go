package sched

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
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
	return slices.ContainsFunc(s.terms, func(t corev1.NodeSelectorTerm) bool { return termMatches(&t, n) })
}

// termMatches says whether all of a term's expressions hold; an empty term matches
// nothing.
func termMatches(t *corev1.NodeSelectorTerm, n *corev1.Node) bool {
	if len(t.MatchExpressions) == 0 && len(t.MatchFields) == 0 {
		return false
	}
	for i := range t.MatchExpressions {
		value, has := n.Labels[t.MatchExpressions[i].Key]
		if !requirementHolds(&t.MatchExpressions[i], value, has) {
			return false
		}
	}
	for i := range t.MatchFields {
		if f := &t.MatchFields[i]; f.Key != "metadata.name" || !requirementHolds(f, n.Name, true) {
			return false
		}
	}
	return true
}

func requirementHolds(r *corev1.NodeSelectorRequirement, value string, has bool) bool {
	switch r.Operator {
	case corev1.NodeSelectorOpIn:
		return has && slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpNotIn:
		return !has || !slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpExists:
		return has
	case corev1.NodeSelectorOpDoesNotExist:
		return !has
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if !has || len(r.Values) != 1 {
			return false
		}
		a, err1 := strconv.ParseInt(value, 10, 64)
		b, err2 := strconv.ParseInt(r.Values[0], 10, 64)
		if err1 != nil || err2 != nil {
			return false
		}
		if r.Operator == corev1.NodeSelectorOpGt {
			return a > b
		}
		return a < b
	}
	return false
}
