package volumes

import (
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/placement"
)

// placesMax is how many places one thing is filed under; one that names more is
// looked at for every node.
const placesMax = 64

// place is a node label and its value: under it stands what can only be reached from
// nodes that bear it. The empty place is for what says nothing that can be looked up.
type place struct{ key, value string }

// byPlace files things by place, so that a node is shown its own and not everybody's.
// Within a place they are in an order that tells any two apart.
type byPlace[T any] struct {
	at   map[place][]T
	keys []labelKey // labels of the places there are, in order
}

type labelKey struct {
	name   string
	places int // how many values it has
}

func (x *byPlace[T]) add(places []place, item T, order func(a, b T) int) {
	for _, p := range places {
		list := x.at[p]
		if len(list) == 0 {
			if x.at == nil {
				x.at = map[place][]T{}
			}
			x.countKey(p.key, 1)
		}
		i, _ := slices.BinarySearchFunc(list, item, order)
		x.at[p] = slices.Insert(list, i, item)
	}
}

func (x *byPlace[T]) remove(places []place, item T, order func(a, b T) int) {
	for _, p := range places {
		list := x.at[p]
		i, ok := slices.BinarySearchFunc(list, item, order)
		if !ok {
			continue
		}
		if list = slices.Delete(list, i, i+1); len(list) > 0 {
			x.at[p] = list
			continue
		}
		delete(x.at, p)
		x.countKey(p.key, -1)
	}
}

func (x *byPlace[T]) countKey(name string, by int) {
	i := sort.Search(len(x.keys), func(i int) bool { return x.keys[i].name >= name })
	if i == len(x.keys) || x.keys[i].name != name {
		x.keys = slices.Insert(x.keys, i, labelKey{name: name})
	}
	if x.keys[i].places += by; x.keys[i].places == 0 {
		x.keys = slices.Delete(x.keys, i, i+1)
	}
}

// list is what stands under the node's value of the i-th label.
func (x *byPlace[T]) list(i int, n *corev1.Node) []T {
	key := x.keys[i].name
	if key == "" {
		return x.at[place{}]
	}
	value, ok := n.Labels[key]
	if !ok {
		return nil
	}
	return x.at[place{key, value}]
}

// placesOfAffinity are the places from which a volume may be reached: none where no
// node can.
func placesOfAffinity(a *corev1.VolumeNodeAffinity) []place {
	if a == nil || a.Required == nil {
		return []place{{}}
	}
	var all []place
	for i := range a.Required.NodeSelectorTerms {
		t := &a.Required.NodeSelectorTerms[i]
		if len(t.MatchExpressions) == 0 && len(t.MatchFields) == 0 {
			continue
		}
		in := slices.IndexFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool { return r.Operator == corev1.NodeSelectorOpIn })
		if in < 0 {
			return []place{{}}
		}
		for _, v := range t.MatchExpressions[in].Values {
			all = append(all, place{t.MatchExpressions[in].Key, v})
		}
	}
	return distinct(all)
}

// placesOfSelector are the places that a label selector can match; none for nil.
func placesOfSelector(s *metav1.LabelSelector) []place {
	if s == nil {
		return nil
	}
	least := ""
	for k := range s.MatchLabels { //det:ok only the least key is kept
		if least == "" || k < least {
			least = k
		}
	}
	if least != "" {
		return []place{{least, s.MatchLabels[least]}}
	}
	for i := range s.MatchExpressions {
		if r := &s.MatchExpressions[i]; r.Operator == metav1.LabelSelectorOpIn {
			var all []place
			for _, v := range r.Values {
				all = append(all, place{r.Key, v})
			}
			return distinct(all)
		}
	}
	return []place{{}}
}

func distinct(all []place) []place {
	if len(all) > placesMax {
		return []place{{}}
	}
	slices.SortFunc(all, func(a, b place) int {
		if a.key != b.key {
			return strings.Compare(a.key, b.key)
		}
		return strings.Compare(a.value, b.value)
	})
	return slices.Compact(all)
}

// reaches says whether a volume of this affinity can be used on the node. As in
// kube-scheduler only the node's labels count: what a term says of fields is passed
// over.
func reaches(a *corev1.VolumeNodeAffinity, n *corev1.Node) bool {
	if a == nil || a.Required == nil {
		return true
	}
	for i := range a.Required.NodeSelectorTerms {
		t := &a.Required.NodeSelectorTerms[i]
		if len(t.MatchExpressions) == 0 {
			if len(t.MatchFields) > 0 {
				return true
			}
			continue
		}
		if placement.TermMatches(&corev1.NodeSelectorTerm{MatchExpressions: t.MatchExpressions}, n) {
			return true
		}
	}
	return false
}

// allowed says whether a class may provision for the node.
func allowed(terms []corev1.TopologySelectorTerm, n *corev1.Node) bool {
	if len(terms) == 0 {
		return true
	}
	for i := range terms {
		if len(terms[i].MatchLabelExpressions) > 0 && allLabels(terms[i].MatchLabelExpressions, n) {
			return true
		}
	}
	return false
}

func allLabels(list []corev1.TopologySelectorLabelRequirement, n *corev1.Node) bool {
	for i := range list {
		if value, ok := n.Labels[list[i].Key]; !ok || !slices.Contains(list[i].Values, value) {
			return false
		}
	}
	return true
}

// selects is a label selector's match without a copy of it.
func selects(s *metav1.LabelSelector, labels map[string]string) bool {
	for k, want := range s.MatchLabels {
		if v, ok := labels[k]; !ok || v != want {
			return false
		}
	}
	for i := range s.MatchExpressions {
		r := &s.MatchExpressions[i]
		v, has := labels[r.Key]
		switch r.Operator {
		case metav1.LabelSelectorOpIn:
			if !has || !slices.Contains(r.Values, v) {
				return false
			}
		case metav1.LabelSelectorOpNotIn:
			if has && slices.Contains(r.Values, v) {
				return false
			}
		case metav1.LabelSelectorOpExists:
			if !has {
				return false
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if has {
				return false
			}
		default:
			return false
		}
	}
	return true
}
