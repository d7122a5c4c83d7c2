package sched

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/kinds"
)

// relevantMax is how many keys of labels are told apart; beyond it every label is
// taken for relevant.
const relevantMax = 1024

// relevant are the keys of pods' labels that some selector reads. Pods that differ in
// other labels, as the pods of a StatefulSet in their names, are of one class.
type relevant struct {
	keys map[string]bool
	all  bool
	// rounds changes when a key becomes relevant: what classes pods are of is then out
	// of date, and has been made good in the snapshot itself.
	rounds uint64
}

// reads notes the keys that a selector reads and says whether one is new.
func (r *relevant) reads(s labels.Selector) bool {
	requirements, _ := s.Requirements()
	added := false
	for i := range requirements {
		added = r.add(requirements[i].Key()) || added
	}
	return added
}

func (r *relevant) add(key string) bool {
	if r.all || r.keys[key] {
		return false
	}
	r.keys[key] = true
	r.all = len(r.keys) > relevantMax
	return true
}

// of is the relevant ones of a pod's labels.
func (r *relevant) of(all map[string]string) map[string]string {
	if r.all {
		return all
	}
	some := map[string]string{}
	for k, v := range all {
		if r.keys[k] {
			some[k] = v
		}
	}
	return some
}

// readsOf notes what the selectors of a pod's own terms and constraints read.
func (r *relevant) readsOf(pod *corev1.Pod, terms *podTerms) bool {
	added := false
	if terms != nil {
		for _, list := range [4][]*podTerm{terms.near, terms.apart, terms.likes, terms.dislikes} {
			for _, t := range list {
				added = r.reads(t.selector) || added
			}
		}
	}
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		added = r.reads(selectorOf(c.LabelSelector)) || added
		for _, k := range c.MatchLabelKeys {
			added = r.add(k) || added
		}
	}
	return added
}

// reclass parts the residents and the nominees anew, by the labels that are relevant
// by now. Tallies stay as they are: none of them read the new key.
func (s *Snapshot) reclass() {
	s.relevant.rounds++
	for len(s.tallies.wants) > 0 {
		s.dropWants(s.tallies.wants[len(s.tallies.wants)-1])
	}
	s.classes.byKey = map[string]*class{}
	for _, r := range s.residents { //det:ok counts are the same in any order
		c := s.classOf(r.pod)
		if r.node >= 0 {
			r.class.add(r.node, -1)
			c.add(r.node, +1)
		}
		r.class = c
	}
	for _, n := range s.nominated.byPod { //det:ok each is by itself
		n.class = s.classOf(n.pod)
	}
}

// reclass gives the waiting pods the classes that they are of by now.
func (q *Queue) reclass(classOf func(*corev1.Pod) *class) {
	for _, w := range q.pods { //det:ok each is by itself
		w.class = classOf(w.pod)
		for i := range w.parts {
			w.parts[i].class = classOf(w.parts[i].pod)
		}
	}
	old := q.groups
	q.groups = map[groupKey]*group{}
	for _, g := range old { //det:ok groups are sets
		for _, w := range g.pods { //det:ok groups are sets
			q.groupUp(w, g.key.only != kinds.Key{})
		}
	}
}
