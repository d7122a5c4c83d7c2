package quality

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/bench/playback"
	"seatrial.dev/seatrial/sched"
)

// state is who is where at one moment.
type state struct {
	nodes []*corev1.Node
	on    [][]*corev1.Pod // by node
	at    time.Duration
}

// turn is a pod that takes a node, or leaves it.
type turn struct {
	at    time.Duration
	order int // of equals: those that leave come first
	pod   *corev1.Pod
	sign  float64
}

// fullest is the state at the fullest moment of a run.
func fullest(o *playback.Outcome) state {
	var turns []turn
	for i := range o.Fates {
		f := &o.Fates[i]
		if f.Bound == playback.Stays {
			continue
		}
		turns = append(turns, turn{f.Bound, 1, f.Pod, 1})
		if f.Gone != playback.Stays {
			turns = append(turns, turn{f.Gone, 0, f.Pod, -1})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order)) })
	var has, used demand
	for _, n := range o.Nodes {
		c := capacityOf(n)
		for r := range has {
			has[r] += c[r]
		}
	}
	best, at := -1.0, time.Duration(0)
	for _, x := range turns {
		d := demandOf(x.pod)
		for r := range used {
			used[r] += x.sign * d[r]
		}
		if load := scarcest(&used, &has); load >= best {
			best, at = load, x.at
		}
	}
	return stateAt(o, at)
}

// scarcest is the largest share of a resource that is in use.
func scarcest(used, has *demand) float64 {
	top := 0.0
	for _, r := range []int{cpu, memory, share} {
		if has[r] > 0 {
			top = max(top, used[r]/has[r])
		}
	}
	return top
}

func stateAt(o *playback.Outcome, at time.Duration) state {
	s := state{nodes: o.Nodes, on: make([][]*corev1.Pod, len(o.Nodes)), at: at}
	index := make(map[string]int, len(o.Nodes))
	for i, n := range o.Nodes {
		index[n.Name] = i
	}
	for i := range o.Fates {
		f := &o.Fates[i]
		if f.Bound != playback.Stays && f.Bound <= at && (f.Gone == playback.Stays || f.Gone > at) {
			if k, ok := index[f.Node]; ok {
				s.on[k] = append(s.on[k], f.Pod)
			}
		}
	}
	return s
}

// placed are the pods that have a node, and how many nodes have a pod.
func (s *state) placed() (pods []*corev1.Pod, used int) {
	for _, list := range s.on {
		pods = append(pods, list...)
		if len(list) > 0 {
			used++
		}
	}
	return pods, used
}

// room is what is left on a node, by resource and by GPU.
type room struct {
	left demand
	gpus []int64
}

func (s *state) room(i int) room {
	x := room{left: capacityOf(s.nodes[i])}
	devices := int(x.left[slots] / 2)
	for _, p := range s.on[i] {
		d := demandOf(p)
		for r := range d {
			x.left[r] -= d[r]
		}
	}
	if devices > 0 {
		x.gpus = sched.GPUsLeft(devices, s.on[i]).FreeMilli
	}
	return x
}

// takes says whether a pod of a kind has room.
func (x *room) takes(t *sched.TypicalPod) bool {
	if float64(t.CPUMilli) > x.left[cpu] || float64(t.MemoryMiB<<20) > x.left[memory] {
		return false
	}
	devices := int64(0)
	for _, free := range x.gpus {
		if free >= t.GPUMilli {
			devices++
		}
	}
	return devices >= t.GPUs
}

// shares are sums over the nodes, as shares of what they have.
type shares struct {
	allocated, stranded demand
	fragmented          float64
	gpus                bool
	wanted              [resources]bool // some kind of pod asks for it
}

// shares looks at every node. kinds are the workload's kinds of pods.
func (s *state) shares(kinds []sched.TypicalPod) shares {
	var out shares
	var has demand
	for i := range kinds {
		out.wanted[cpu] = out.wanted[cpu] || kinds[i].CPUMilli > 0
		out.wanted[memory] = out.wanted[memory] || kinds[i].MemoryMiB > 0
		out.wanted[share] = out.wanted[share] || kinds[i].GPUs > 0
	}
	for i, n := range s.nodes {
		c, x := capacityOf(n), s.room(i)
		useful := x.useful(kinds)
		for r := range c {
			has[r] += c[r]
			out.allocated[r] += c[r] - x.left[r]
			if !useful[r] {
				out.stranded[r] += max(x.left[r], 0)
			}
		}
		if len(x.gpus) > 0 {
			out.fragmented += float64(sched.Fragmentation(kinds, x.gpus, int64(x.left[cpu]), int64(x.left[memory])))
		}
	}
	for r := range has {
		if has[r] > 0 {
			out.allocated[r] /= has[r]
			out.stranded[r] /= has[r]
		}
	}
	if out.gpus = has[share] > 0; out.gpus {
		out.fragmented /= has[share]
	}
	return out
}

// useful says of which resources a pod of some kind that asks for them would take part.
func (x *room) useful(kinds []sched.TypicalPod) [resources]bool {
	var u [resources]bool
	for i := range kinds {
		t := &kinds[i]
		if (!u[cpu] && t.CPUMilli > 0 || !u[memory] && t.MemoryMiB > 0 || !u[share] && t.GPUs > 0) && x.takes(t) {
			u[cpu] = u[cpu] || t.CPUMilli > 0
			u[memory] = u[memory] || t.MemoryMiB > 0
			u[share] = u[share] || t.GPUs > 0
		}
	}
	return u
}

// skew is the average over the kinds of pods of how much the domain with most of them has
// over the one with fewest.
func (s *state) skew() float64 {
	domains, names := s.domains()
	counts := map[string][]int{}
	var order []string
	for i, list := range s.on {
		for _, p := range list {
			kind := kindOf(p)
			if counts[kind] == nil {
				counts[kind] = make([]int, len(names))
				order = append(order, kind)
			}
			counts[kind][domains[i]]++
		}
	}
	var sum, pods float64
	for _, kind := range order {
		n := 0
		for _, c := range counts[kind] {
			n += c
		}
		sum += float64(n) * float64(slices.Max(counts[kind])-slices.Min(counts[kind]))
		pods += float64(n)
	}
	if pods == 0 {
		return 0
	}
	return sum / pods
}

// domains are the nodes' zones by number; the nodes themselves where one has no zone.
func (s *state) domains() (of []int, names []string) {
	of = make([]int, len(s.nodes))
	zoned := !slices.ContainsFunc(s.nodes, func(n *corev1.Node) bool { return n.Labels[corev1.LabelTopologyZone] == "" })
	for i, n := range s.nodes {
		name := n.Name
		if zoned {
			name = n.Labels[corev1.LabelTopologyZone]
		}
		k := slices.Index(names, name)
		if k < 0 || !zoned {
			k = len(names)
			names = append(names, name)
		}
		of[i] = k
	}
	return of, names
}

// kindOf tells alike pods by their app label, else by what they ask for.
func kindOf(p *corev1.Pod) string {
	if app := p.Labels["app"]; app != "" {
		return p.Namespace + "/" + app
	}
	return p.Namespace + p.Spec.Containers[0].Resources.Requests.Cpu().String() + "/" +
		p.Spec.Containers[0].Resources.Requests.Memory().String() + "/" + p.Annotations[sched.GPUMilli] + "/" + p.Annotations[sched.GPUCount]
}
