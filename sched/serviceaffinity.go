package sched

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// CheckServiceAffinity is the old predicate of that name: the pods of a service run
// on nodes that share the values of certain labels.
const CheckServiceAffinity = "CheckServiceAffinity"

const reasonServiceAffinity = "node(s) didn't match service affinity"

// shareOf works out which labels a node must bear for a pod to be with the others of its
// services, nil where there is nothing to share. It is, of each label that the
// profile names the value that the pod's own nodeSelector has, otherwise that of a node
// where a pod of the same services runs, by name the first of those nodes.
func (s *Snapshot) shareOf(p *profile, pod *corev1.Pod, c *class) map[string]string {
	if !p.shares {
		return nil
	}
	want := map[string]string{}
	for _, k := range p.Labels.ServiceAffinity {
		if v, ok := pod.Spec.NodeSelector[k]; ok {
			want[k] = v
		}
	}
	if len(want) < len(p.Labels.ServiceAffinity) {
		if n := s.peerNode(c); n != nil {
			for _, k := range p.Labels.ServiceAffinity {
				if _, own := want[k]; own {
					continue
				}
				if v, ok := n.Labels[k]; ok {
					want[k] = v
				}
			}
		}
	}
	if len(want) == 0 {
		return nil
	}
	return want
}

// peerNode is the node, by name the first, with a pod that a service of the class
// selects as well; nil for none.
func (s *Snapshot) peerNode(c *class) (first *corev1.Node) {
	var selectors []labels.Selector
	for _, sel := range s.backing.services[c.namespace] { //det:ok the least of all is the same in any order
		if own := labels.SelectorFromSet(sel); len(sel) > 0 && own.Matches(labels.Set(c.labels)) {
			selectors = append(selectors, own)
		}
	}
	if len(selectors) == 0 {
		return nil
	}
	for _, other := range s.classes.byKey { //det:ok the least of all is the same in any order
		if other.pods == 0 || other.namespace != c.namespace || !matchesAny(selectors, other.labels) {
			continue
		}
		for i := range other.byNode { //det:ok the least of all is the same in any order
			if n := s.nodes[i]; first == nil || strings.Compare(n.Name, first.Name) < 0 {
				first = n
			}
		}
	}
	return first
}

func matchesAny(selectors []labels.Selector, of map[string]string) bool {
	for _, sel := range selectors {
		if sel.Matches(labels.Set(of)) {
			return true
		}
	}
	return false
}

// sharing says why a node does not bear the values.
func (x *search) sharing(i int32) int32 {
	have := x.s.nodes[i].Labels
	for k, v := range x.share { //det:ok asks whether any differs
		if w, ok := have[k]; !ok || w != v {
			return x.s.reasons.number(CheckServiceAffinity, false, reasonServiceAffinity)
		}
	}
	return accepted
}
