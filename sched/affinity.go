package sched

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// appendKey appends a selector's demands.
func (s *nodeSelector) appendKey(b key) key {
	if s == nil {
		return b
	}
	b.text("selector")
	b.pairs(s.exact)
	if s.any {
		b.marshal(&corev1.NodeSelector{NodeSelectorTerms: s.terms})
	}
	return b
}

// nameChoice is the nodes that required affinity names: those that all terms allow by
// metadata.name. It is what lets a DaemonSet's pod be decided on by looking at one
// node.
type nameChoice struct {
	names    []string // sorted; nil when the affinity does not name nodes
	conflict bool     // each term contradicts itself: no node can ever do
}

func (c *nameChoice) narrows() bool { return c.names != nil }

func (c *nameChoice) has(name string) bool {
	_, ok := slices.BinarySearch(c.names, name)
	return ok
}

// namesChosen reads the names that every term demands.
func namesChosen(spec *corev1.PodSpec) nameChoice {
	if spec.Affinity == nil || spec.Affinity.NodeAffinity == nil {
		return nameChoice{}
	}
	r := spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if r == nil || len(r.NodeSelectorTerms) == 0 {
		return nameChoice{}
	}
	union := map[string]bool{}
	for i := range r.NodeSelectorTerms {
		var names map[string]bool
		for _, f := range r.NodeSelectorTerms[i].MatchFields {
			if f.Key != metav1.ObjectNameField || f.Operator != corev1.NodeSelectorOpIn {
				continue
			}
			these := map[string]bool{}
			for _, v := range f.Values {
				if names == nil || names[v] {
					these[v] = true
				}
			}
			names = these
		}
		if names == nil {
			return nameChoice{}
		}
		maps.Copy(union, names)
	}
	if len(union) == 0 {
		return nameChoice{conflict: true}
	}
	return nameChoice{names: slices.Sorted(maps.Keys(union))}
}
