package view

import (
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// selectedBy indexes services by one label of their selector, the least by name,
// so that a pod's services are found by its own labels.
type selectedBy map[labelIn]*btree.BTreeG[*entry]

type labelIn struct{ namespace, label, value string }

func (x selectedBy) index(e *entry, old, now kinds.Object) {
	if e.ref.Kind != kinds.Service {
		return
	}
	was, wasOK := selectorMark(old)
	is, isOK := selectorMark(now)
	if was == is && wasOK == isOK {
		return
	}
	if wasOK {
		drop(x, was, e)
	}
	if isOK {
		add(x, is, e)
	}
}

func selectorMark(o kinds.Object) (labelIn, bool) {
	s, _ := o.(*corev1.Service)
	if s == nil || len(s.Spec.Selector) == 0 {
		return labelIn{}, false
	}
	least := slices.Min(slices.Collect(maps.Keys(s.Spec.Selector)))
	return labelIn{s.Namespace, least, s.Spec.Selector[least]}, true
}

// ServicesOf returns the services of a namespace whose selector selects the
// labels, in the order of their names. A service without a selector selects none.
func (v *View) ServicesOf(namespace string, labels map[string]string) []*corev1.Service {
	var out []*corev1.Service
	for label, value := range labels { //det:ok sorted below
		for s := range walk[*corev1.Service](v.services[labelIn{namespace, label, value}]) {
			if selects(s.Spec.Selector, labels) {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b *corev1.Service) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func selects(selector, labels map[string]string) bool {
	for k, want := range selector { //det:ok the answer is the same in any order
		if have, ok := labels[k]; !ok || have != want {
			return false
		}
	}
	return true
}
