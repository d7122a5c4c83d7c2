package sched

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// podTerms are a pod's affinity to other pods.
type podTerms struct {
	near, apart       []*podTerm // required
	likes, dislikes   []*podTerm // preferred
	byNamespaceLabels bool       // a term has a namespace selector
}

// podTerm is one term of affinity: pods of some namespaces that a selector means, and
// the topology in which they are near
// (kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity).
type podTerm struct {
	namespaces []string // sorted
	inAll      bool     // the namespace selector is empty: every namespace
	nsSelector labels.Selector
	selector   labels.Selector
	topology   string
	weight     int32 // of a preferred term
	key        string
}

// compileTerms reads a pod's terms; nil for none. A selector that does not parse
// means nothing: the API does not take one.
func compileTerms(pod *corev1.Pod) *podTerms {
	a := pod.Spec.Affinity
	if a == nil || a.PodAffinity == nil && a.PodAntiAffinity == nil {
		return nil
	}
	t := &podTerms{}
	required := func(list []corev1.PodAffinityTerm) (terms []*podTerm) {
		for i := range list {
			terms = append(terms, t.compile(pod, &list[i], 0))
		}
		return terms
	}
	preferred := func(list []corev1.WeightedPodAffinityTerm) (terms []*podTerm) {
		for i := range list {
			terms = append(terms, t.compile(pod, &list[i].PodAffinityTerm, list[i].Weight))
		}
		return terms
	}
	if a.PodAffinity != nil {
		t.near = required(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		t.likes = preferred(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		t.apart = required(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
		t.dislikes = preferred(a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return t
}

func (t *podTerms) compile(pod *corev1.Pod, from *corev1.PodAffinityTerm, weight int32) *podTerm {
	x := &podTerm{topology: from.TopologyKey, weight: weight, selector: selectorOf(from.LabelSelector), nsSelector: labels.Nothing()}
	x.namespaces = slices.Clone(from.Namespaces)
	if len(x.namespaces) == 0 && from.NamespaceSelector == nil {
		x.namespaces = []string{pod.Namespace}
	}
	slices.Sort(x.namespaces)
	if from.NamespaceSelector != nil {
		x.nsSelector = selectorOf(from.NamespaceSelector)
		x.inAll = x.nsSelector.Empty()
		t.byNamespaceLabels = t.byNamespaceLabels || !x.inAll
	}
	k := key{}
	for _, ns := range x.namespaces {
		k.text(ns)
	}
	k.num(-1)
	if from.NamespaceSelector != nil {
		k.text(x.nsSelector.String())
	}
	k.num(-1)
	if from.LabelSelector != nil {
		k.text(x.selector.String())
	}
	x.key = string(k)
	return x
}

func selectorOf(s *metav1.LabelSelector) labels.Selector {
	x, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return x
}

// means says whether a term means the pods of a class. mustExist is for the terms of
// the pod that looks for a node: to these, a namespace without an object has no
// labels that could be selected.
func (t *podTerm) means(s *Snapshot, c *class, mustExist bool) bool {
	if !t.inAll {
		if _, found := slices.BinarySearch(t.namespaces, c.namespace); !found {
			set, exists := s.namespaces[c.namespace]
			if mustExist && !exists || !t.nsSelector.Matches(labels.Set(set)) {
				return false
			}
		}
	}
	return t.selector.Matches(labels.Set(c.labels))
}

// allMean says whether all terms mean a class's pods; no term means none.
func allMean(s *Snapshot, terms []*podTerm, c *class) bool {
	for _, t := range terms {
		if !t.means(s, c, true) {
			return false
		}
	}
	return len(terms) > 0
}

// countTerms notes what terms there are. A topology, or a use of namespaces' labels,
// that was not there before makes what classes want out of date.
func (s *Snapshot) countTerms(t *podTerms) {
	if t == nil {
		return
	}
	a := &s.tallies
	if a.kinds == nil {
		a.kinds = map[string]int{}
	}
	note := func(kind string, terms []*podTerm) {
		for _, x := range terms {
			if a.kinds[kind+x.topology]++; a.kinds[kind+x.topology] == 1 {
				a.epoch++
			}
		}
	}
	note(kindApart, t.apart)
	note(kindPull, t.near)
	note(kindPull, t.likes)
	note(kindPull, t.dislikes)
	if t.byNamespaceLabels {
		a.kinds[kindNamespaces]++
	}
}

// Kinds of terms that residents have, as countTerms notes them.
const (
	kindApart      = "apart/"
	kindPull       = "pull/"
	kindNamespaces = "namespaces"
)

// setNamespace takes a namespace's labels; nil for one that is gone.
func (s *Snapshot) setNamespace(name string, set map[string]string, exists bool) {
	old, had := s.namespaces[name]
	if had == exists && labels.Equals(old, set) {
		return
	}
	if exists {
		s.namespaces[name] = set
	} else {
		delete(s.namespaces, name)
	}
	if s.tallies.kinds[kindNamespaces] > 0 {
		for _, c := range slices.Clone(s.tallies.wants) {
			s.dropWants(c)
		}
		s.dropUnusedTallies()
	}
}
