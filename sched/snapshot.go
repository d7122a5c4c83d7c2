package sched

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/placement"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/sched/volumes"
)

// Snapshot is the nodes and what is used of them, in columns by node number, and
// the tallies of pods that topology spread and pod affinity go by. Events keep it up
// to date; nothing is rebuilt.
type Snapshot struct {
	nodes   []*corev1.Node // nil: the number is free
	alloc   []amounts
	used    []amounts // by the requests of the pods there
	scored  []amounts // used, with an assumed request for containers that name none
	ports   []map[placement.HostPort]int
	hashes  []uint64 // of the node's name, for the order of equals
	on      [][]*resident
	byName  map[string]int32
	free    []int32
	ordered []int32 // by name; nil until it is needed
	sampled int     // where the next sample begins in it
	count   int     // nodes there are
	soft    int     // nodes with a taint that pods only prefer to avoid

	residents map[kinds.Key]*resident
	strays    map[string][]*resident                // pods on nodes that are not known, by node
	ganged    map[kinds.Key]map[kinds.Key]*resident // those of pod groups, by group

	changes []int32 // the last changesMax nodes that changed, a ring
	changed uint64  // how many changes there were

	resources  map[corev1.ResourceName]int32 // numbers of extended resources
	names      []corev1.ResourceName         // by number
	images     map[string]*image
	topologies map[string]*topology
	classes    classes
	shapes     shapes
	tallies    tallies
	nominated  nominated
	reasons    reasons
	relevant   relevant
	backing    backing
	budgets    budgets
	volumes    *volumes.State
	gpus       []*GPUs                      // by node, where known; may be shorter
	namespaces map[string]map[string]string // labels of the namespaces there are

	scratch scratch
}

// resident is a pod on a node.
type resident struct {
	pod   *corev1.Pod
	key   kinds.Key
	class *class
	name  string // of the node
	node  int32  // -1: the node is not known
	at    int32  // its place in on[node]

	lifted bool // taken off for a moment, while victims are looked for
}

// NewSnapshot returns a snapshot of no nodes.
func NewSnapshot() *Snapshot {
	s := &Snapshot{byName: map[string]int32{}, residents: map[kinds.Key]*resident{}, strays: map[string][]*resident{}, ganged: map[kinds.Key]map[kinds.Key]*resident{},
		resources: map[corev1.ResourceName]int32{}, images: map[string]*image{}, topologies: map[string]*topology{},
		namespaces: map[string]map[string]string{}, changes: make([]int32, changesMax)}
	s.classes.byKey, s.shapes.byKey = map[string]*class{}, map[string]*shape{}
	s.tallies.byKey, s.tallies.sets = map[string]*tally{}, map[string]*nodeSet{}
	s.nominated.byPod, s.nominated.byNode = map[kinds.Key]*nominee{}, map[string][]*nominee{}
	s.reasons.byKey = map[string]int32{}
	s.backing.init()
	s.relevant.keys = map[string]bool{}
	s.budgets.byKey = map[kinds.Key]*budget{}
	s.volumes = volumes.New()
	return s
}

// Len is the number of nodes.
func (s *Snapshot) Len() int { return s.count }

// Assume counts a pod on a node before the API has confirmed it.
func (s *Snapshot) Assume(pod *corev1.Pod, node string) { s.settle(pod, node) }

// Forget takes a pod back, after a bind that failed.
func (s *Snapshot) Forget(pod kinds.Key) { s.forget(pod) }

// seePod takes a pod as it is now.
func (s *Snapshot) seePod(key kinds.Key, pod *corev1.Pod) {
	if pod == nil || pod.Spec.NodeName == "" || view.Finished(pod) {
		s.forget(key)
		return
	}
	s.settle(pod, pod.Spec.NodeName)
}

// settle makes the pod a resident of the node, or takes the new version of one. A
// version that asks for the same changes nothing that decisions go by.
func (s *Snapshot) settle(pod *corev1.Pod, node string) {
	key := kinds.KeyOf(pod)
	c := s.classOf(pod)
	if r := s.residents[key]; r != nil {
		if r.class == c && r.name == node && r.pod.UID == pod.UID {
			moved := !r.pod.Status.StartTime.Equal(pod.Status.StartTime)
			r.pod = pod
			if moved && r.node >= 0 {
				s.nodeChanged(r.node) // the order of victims goes by the time of the start
			}
			return
		}
		s.forget(key)
	}
	r := &resident{pod: pod, key: key, class: c, name: node, node: -1}
	s.residents[key] = r
	s.gangUp(r)
	if i, ok := s.byName[node]; ok {
		s.seat(r, i)
	} else {
		s.strays[node] = append(s.strays[node], r)
	}
}

func (s *Snapshot) forget(key kinds.Key) {
	r := s.residents[key]
	if r == nil {
		return
	}
	delete(s.residents, key)
	s.disband(r)
	if r.node >= 0 {
		s.unseat(r)
		return
	}
	list := s.strays[r.name]
	for i := range list {
		if list[i] == r {
			list[i] = list[len(list)-1]
			s.strays[r.name] = list[:len(list)-1]
		}
	}
	if len(s.strays[r.name]) == 0 {
		delete(s.strays, r.name)
	}
}

// seat counts a pod on a node.
func (s *Snapshot) seat(r *resident, i int32) {
	r.node, r.at = i, int32(len(s.on[i]))
	s.on[i] = append(s.on[i], r)
	if volumes.Concerns(r.pod) {
		s.volumes.Place(r.pod, r.name)
	}
	s.count1(i, r.class, +1)
}

// unseat takes a pod off its node; the node's last pod gets its place.
func (s *Snapshot) unseat(r *resident) {
	i, list := r.node, s.on[r.node]
	last := list[len(list)-1]
	list[r.at], last.at = last, r.at
	list[len(list)-1] = nil
	s.on[i] = list[:len(list)-1]
	if volumes.Concerns(r.pod) {
		s.volumes.Remove(r.pod, r.name)
	}
	s.count1(i, r.class, -1)
	r.node = -1
}

// count1 adds one pod of a class to a node, or takes one off.
func (s *Snapshot) count1(i int32, c *class, sign int32) {
	s.use(i, c.shape, sign)
	for _, x := range c.in {
		x.tally.add(i, sign*x.weight)
	}
	c.add(i, sign)
	s.nodeChanged(i)
}

// use counts what a pod uses of a node by itself.
func (s *Snapshot) use(i int32, sh *shape, sign int32) {
	s.used[i].add(&sh.req, int64(sign))
	s.scored[i].add(&sh.scored, int64(sign))
	s.staleGPUs(i)
	for _, p := range sh.ports {
		if s.ports[i] == nil {
			s.ports[i] = map[placement.HostPort]int{}
		}
		if s.ports[i][p] += int(sign); s.ports[i][p] == 0 {
			delete(s.ports[i], p)
		}
	}
}

// setNode takes a node as it is now.
func (s *Snapshot) setNode(n *corev1.Node) {
	i, known := s.byName[n.Name]
	if !known {
		i = s.number(n.Name)
	}
	old := s.nodes[i]
	s.soft += hasSoftTaint(n) - hasSoftTaint(old)
	s.nodes[i] = n
	s.alloc[i] = s.allocatable(n)
	s.setImages(i, old, n)
	s.relabel(i, old, n)
	s.nodeChanged(i)
	if !known {
		for _, r := range s.strays[n.Name] {
			s.seat(r, i)
		}
		delete(s.strays, n.Name)
	}
}

// number gives a node a number, a freed one if there is any.
func (s *Snapshot) number(name string) int32 {
	var i int32
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
		s.used[i], s.scored[i], s.ports[i] = amounts{}, amounts{}, nil
	} else {
		i = int32(len(s.nodes))
		s.nodes, s.alloc = append(s.nodes, nil), append(s.alloc, amounts{})
		s.used, s.scored = append(s.used, amounts{}), append(s.scored, amounts{})
		s.ports, s.hashes, s.on = append(s.ports, nil), append(s.hashes, 0), append(s.on, nil)
		s.growTallies(len(s.nodes))
	}
	s.byName[name] = i
	s.hashes[i] = hashString(name)
	s.ordered = nil
	s.count++
	return i
}

func (s *Snapshot) removeNode(name string) {
	i, ok := s.byName[name]
	if !ok {
		return
	}
	for len(s.on[i]) > 0 {
		r := s.on[i][len(s.on[i])-1]
		s.unseat(r)
		s.strays[name] = append(s.strays[name], r)
	}
	old := s.nodes[i]
	delete(s.byName, name)
	s.soft -= hasSoftTaint(old)
	s.nodes[i] = nil
	s.setImages(i, old, nil)
	s.relabel(i, old, nil)
	s.nodeChanged(i)
	s.ordered = nil
	s.free = append(s.free, i)
	s.count--
}

// nodeChanged notes that what a template knows of a node is out of date.
func (s *Snapshot) nodeChanged(i int32) {
	s.changes[s.changed%changesMax] = i
	s.changed++
	s.staleGPUs(i)
}

func hashString(s string) uint64 { // FNV-1a
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

func mix(a, b uint64) uint64 {
	x := a ^ b*0x9e3779b97f4a7c15
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}
