package sched

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// What the scores count for a container that requests nothing, as kube-scheduler
// does (k8s.io/kubernetes pkg/scheduler/util).
const (
	assumedCPUMilli = 100
	assumedMemBytes = 200 << 20
)

// amounts are the resources that every node has.
type amounts struct {
	cpuMilli, memBytes, diskBytes, pods int64
	other                               map[corev1.ResourceName]int64 // extended resources; nil for none
}

func (a *amounts) add(b *amounts, sign int64) {
	a.cpuMilli += sign * b.cpuMilli
	a.memBytes += sign * b.memBytes
	a.diskBytes += sign * b.diskBytes
	a.pods += sign * b.pods
	if b.other != nil {
		if a.other == nil {
			a.other = map[corev1.ResourceName]int64{}
		}
		for name, n := range b.other { //det:ok adds into a map
			a.other[name] += sign * n
		}
	}
}

// Snapshot is the nodes and what is used of them, in columns by node number.
type Snapshot struct {
	nodes  []*corev1.Node // nil: the number is free
	alloc  []amounts
	used   []amounts // by the requests of the pods there
	scored []amounts // used, with an assumed request for containers that name none
	ports  []map[hostPort]int
	hashes []uint64 // of the node's name, for the order of equals
	byName map[string]int
	free   []int
	pods   map[kinds.Key]placed
	count  int // nodes there are

	changes   []int32 // the last changesMax nodes that changed, a ring
	changed   uint64  // how many changes there were
	templates templates

	soft int // nodes with a taint that pods only prefer to avoid
}

// placed remembers what a pod was counted with, so that it can be taken back.
type placed struct {
	pod  *corev1.Pod
	node string
}

type hostPort struct {
	ip    string
	proto corev1.Protocol
	port  int32
}

// NewSnapshot returns a snapshot of no nodes.
func NewSnapshot() *Snapshot {
	return &Snapshot{byName: map[string]int{}, pods: map[kinds.Key]placed{}}
}

// Len is the number of nodes.
func (s *Snapshot) Len() int { return s.count }

// Apply feeds one event of the scheduler's view.
func (s *Snapshot) Apply(e store.Event) {
	switch o := e.Object.(type) {
	case *corev1.Node:
		if e.Type == store.Deleted {
			s.removeNode(o.Name)
		} else {
			s.setNode(o)
		}
	case *corev1.Pod:
		s.forget(e.Ref.Key)
		if e.Type != store.Deleted && o.Spec.NodeName != "" && !view.Finished(o) {
			s.place(o, o.Spec.NodeName)
		}
	}
}

// Assume counts a pod on a node before the API has confirmed it.
func (s *Snapshot) Assume(pod *corev1.Pod, node string) {
	s.forget(kinds.KeyOf(pod))
	s.place(pod, node)
}

// Forget takes a pod back, after a bind that failed.
func (s *Snapshot) Forget(pod kinds.Key) { s.forget(pod) }

func (s *Snapshot) setNode(n *corev1.Node) {
	i, ok := s.byName[n.Name]
	if !ok {
		i = s.number(n.Name)
		for key, p := range s.pods { //det:ok sums are the same in any order
			if p.node == n.Name {
				s.count1(i, s.pods[key].pod, +1)
			}
		}
	}
	s.soft += hasSoftTaint(n) - hasSoftTaint(s.nodes[i])
	s.nodes[i] = n
	s.alloc[i] = allocatable(n)
	s.changedNode(i)
}

// number gives a node a number, a freed one if there is any.
func (s *Snapshot) number(name string) int {
	var i int
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
		s.used[i], s.scored[i], s.ports[i] = amounts{}, amounts{}, nil
	} else {
		i = len(s.nodes)
		s.nodes, s.alloc = append(s.nodes, nil), append(s.alloc, amounts{})
		s.used, s.scored = append(s.used, amounts{}), append(s.scored, amounts{})
		s.ports, s.hashes = append(s.ports, nil), append(s.hashes, 0)
	}
	s.byName[name] = i
	s.hashes[i] = hashString(name)
	s.count++
	return i
}

func (s *Snapshot) removeNode(name string) {
	if i, ok := s.byName[name]; ok {
		delete(s.byName, name)
		s.soft -= hasSoftTaint(s.nodes[i])
		s.nodes[i] = nil
		s.changedNode(i)
		s.free = append(s.free, i)
		s.count--
	}
}

func (s *Snapshot) place(pod *corev1.Pod, node string) {
	s.pods[kinds.KeyOf(pod)] = placed{pod, node}
	if i, ok := s.byName[node]; ok {
		s.count1(i, pod, +1)
	}
}

func (s *Snapshot) forget(key kinds.Key) {
	p, ok := s.pods[key]
	if !ok {
		return
	}
	delete(s.pods, key)
	if i, ok := s.byName[p.node]; ok {
		s.count1(i, p.pod, -1)
	}
}

func (s *Snapshot) count1(i int, pod *corev1.Pod, sign int64) {
	req, scored := requests(&pod.Spec)
	s.used[i].add(&req, sign)
	s.scored[i].add(&scored, sign)
	s.changedNode(i)
	eachHostPort(&pod.Spec, func(p hostPort) bool {
		if s.ports[i] == nil {
			s.ports[i] = map[hostPort]int{}
		}
		if s.ports[i][p] += int(sign); s.ports[i][p] == 0 {
			delete(s.ports[i], p)
		}
		return true
	})
}

func allocatable(n *corev1.Node) amounts {
	list := n.Status.Allocatable
	if list == nil {
		list = n.Status.Capacity
	}
	return amountsOf(list)
}

func amountsOf(list corev1.ResourceList) amounts {
	var a amounts
	for name, q := range list { //det:ok each name has its own place
		switch name {
		case corev1.ResourceCPU:
			a.cpuMilli = q.MilliValue()
		case corev1.ResourceMemory:
			a.memBytes = q.Value()
		case corev1.ResourceEphemeralStorage:
			a.diskBytes = q.Value()
		case corev1.ResourcePods:
			a.pods = q.Value()
		default:
			if a.other == nil {
				a.other = map[corev1.ResourceName]int64{}
			}
			a.other[name] = q.Value()
		}
	}
	return a
}

// requests are what a pod asks for: the sum over its containers and sidecars, or
// what an init container needs at its turn if that is more, plus the overhead
// (kubernetes.io/docs/concepts/workloads/pods/init-containers/#resources). scored
// has the assumed requests added.
func requests(spec *corev1.PodSpec) (req, scored amounts) {
	for i := range spec.Containers {
		r, s := containerRequests(&spec.Containers[i])
		req.add(&r, 1)
		scored.add(&s, 1)
	}
	var sidecars, sidecarsScored, peak, peakScored amounts
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		r, s := containerRequests(c)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			req.add(&r, 1)
			scored.add(&s, 1)
			sidecars.add(&r, 1)
			sidecarsScored.add(&s, 1)
			r, s = amounts{}, amounts{}
		}
		r.add(&sidecars, 1)
		s.add(&sidecarsScored, 1)
		peak.raise(&r)
		peakScored.raise(&s)
	}
	req.raise(&peak)
	scored.raise(&peakScored)
	if spec.Overhead != nil {
		o := amountsOf(spec.Overhead)
		req.add(&o, 1)
		scored.add(&o, 1)
	}
	req.pods, scored.pods = 1, 1
	return req, scored
}

func (a *amounts) raise(to *amounts) {
	a.cpuMilli = max(a.cpuMilli, to.cpuMilli)
	a.memBytes = max(a.memBytes, to.memBytes)
	a.diskBytes = max(a.diskBytes, to.diskBytes)
	for name, n := range to.other { //det:ok each name has its own place
		if a.other == nil {
			a.other = map[corev1.ResourceName]int64{}
		}
		a.other[name] = max(a.other[name], n)
	}
}

func containerRequests(c *corev1.Container) (req, scored amounts) {
	if len(c.Resources.Requests) > 0 {
		req = amountsOf(c.Resources.Requests)
	}
	scored = amounts{cpuMilli: req.cpuMilli, memBytes: req.memBytes}
	if !has(c.Resources.Requests, corev1.ResourceCPU) {
		scored.cpuMilli = assumedCPUMilli
	}
	if !has(c.Resources.Requests, corev1.ResourceMemory) {
		scored.memBytes = assumedMemBytes
	}
	return req, scored
}

func has(list corev1.ResourceList, name corev1.ResourceName) bool {
	_, ok := list[name]
	return ok
}

func eachHostPort(spec *corev1.PodSpec, f func(hostPort) bool) {
	for i := range spec.Containers {
		for _, p := range spec.Containers[i].Ports {
			if p.HostPort == 0 {
				continue
			}
			proto := p.Protocol
			if proto == "" {
				proto = corev1.ProtocolTCP
			}
			if !f(hostPort{p.HostIP, proto, p.HostPort}) {
				return
			}
		}
	}
}

func hashString(s string) uint64 { // FNV-1a
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
