package sched

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/placement"
)

// nominee is a pod for which room is being made on a node. Pods that are no more
// important must leave it that room
// (kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#user-exposed-information).
type nominee struct {
	pod   *corev1.Pod
	key   kinds.Key
	class *class
	node  string
}

// nominated are the nominees by pod and by node.
type nominated struct {
	byPod  map[kinds.Key]*nominee
	byNode map[string][]*nominee // by key
	terms  int                   // of them that have terms of affinity
}

// nominate notes the node that a pod is nominated for; "" for none any more.
func (s *Snapshot) nominate(pod *corev1.Pod, node string) {
	x := &s.nominated
	key := kinds.KeyOf(pod)
	if old := x.byPod[key]; old != nil {
		if old.node == node && old.pod.UID == pod.UID && old.class == s.classOf(pod) {
			old.pod = pod
			return
		}
		s.unnominate(key)
	}
	if node == "" {
		return
	}
	n := &nominee{pod: pod, key: key, class: s.classOf(pod), node: node}
	x.byPod[key] = n
	list := x.byNode[node]
	at, _ := slices.BinarySearchFunc(list, key, func(a *nominee, k kinds.Key) int { return a.key.Compare(k) })
	x.byNode[node] = slices.Insert(list, at, n)
	if n.class.terms != nil {
		x.terms++
	}
	s.touch(node)
}

// unnominate forgets a pod's nomination.
func (s *Snapshot) unnominate(key kinds.Key) {
	x := &s.nominated
	n := x.byPod[key]
	if n == nil {
		return
	}
	delete(x.byPod, key)
	x.byNode[n.node] = slices.DeleteFunc(x.byNode[n.node], func(m *nominee) bool { return m == n })
	if len(x.byNode[n.node]) == 0 {
		delete(x.byNode, n.node)
	}
	if n.class.terms != nil {
		x.terms--
	}
	s.touch(n.node)
}

// touch makes what is known of a node out of date.
func (s *Snapshot) touch(node string) {
	if i, ok := s.byName[node]; ok {
		s.nodeChanged(i)
	}
}

// on is what the nominees of a node will use that a pod of the shape must leave room
// for; nil for nothing.
func (x *nominated) on(node string, sh *shape) *amounts {
	if len(x.byPod) == 0 {
		return nil
	}
	var sum *amounts
	for _, n := range x.byNode[node] {
		if n.class.priority >= sh.priority {
			if sum == nil {
				sum = &amounts{}
			}
			sum.add(&n.class.shape.req, 1)
		}
	}
	return sum
}

// takes says whether such nominees will take one of the shape's ports.
func (x *nominated) takes(node string, sh *shape) bool {
	if len(x.byPod) == 0 {
		return false
	}
	for _, n := range x.byNode[node] {
		if n.class.priority < sh.priority {
			continue
		}
		used := map[placement.HostPort]int{}
		for _, p := range n.class.shape.ports {
			used[p] = 1
		}
		if taken(used, sh.ports) {
			return true
		}
	}
	return false
}

// podsOn are such nominees of a node; nil for none.
func (x *nominated) podsOn(node string, priority int32) []*corev1.Pod {
	if len(x.byPod) == 0 {
		return nil
	}
	var list []*corev1.Pod
	for _, n := range x.byNode[node] {
		if n.class.priority >= priority {
			list = append(list, n.pod)
		}
	}
	return list
}

// matter says whether nominees may stand in the way of a class by more than what they
// use.
func (x *nominated) matter(c *class) bool {
	if len(x.byPod) == 0 {
		return false
	}
	return x.terms > 0 || c.terms != nil || len(c.example.Spec.TopologySpreadConstraints) > 0
}

// crowded says whether a node has a nominee that the pod must respect by affinity and
// spread.
func (x *nominated) crowded(i int32, y *search) bool {
	if !x.matter(y.class) {
		return false
	}
	return slices.ContainsFunc(x.byNode[y.s.nodes[i].Name], func(n *nominee) bool { return n.class.priority >= y.class.priority })
}

// seated asks filters that look at other pods about a node as if its nominees were
// there.
func (x *nominated) seated(i int32, y *search, ask func(i int32) int32) int32 {
	s := y.s
	var seated []*class
	for _, n := range x.byNode[s.nodes[i].Name] {
		if n.class.priority >= y.class.priority {
			seated = append(seated, n.class)
		}
	}
	for _, c := range seated {
		y.move(i, c, +1)
	}
	lows := y.lows
	y.lows = y.wants.lows(nil)
	why := ask(i)
	y.lows = lows
	for _, c := range seated {
		y.move(i, c, -1)
	}
	return why
}

// holds says whether a nominee is of a class.
func (x *nominated) holds(c *class) bool {
	for _, n := range x.byPod {
		if n.class == c {
			return true
		}
	}
	return false
}
