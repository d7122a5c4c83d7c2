package sched

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// By these a pod asks for GPUs, and a node tells what it has, in the words of the
// simulator that the OpenB trace came with
// (github.com/hkust-adsl/kubernetes-scheduler-simulator).
const (
	GPUMilli = WishPrefix + "gpu-milli"      // a pod's annotation: thousandths of each GPU that it asks for
	GPUCount = WishPrefix + "gpu-count"      // a pod's annotation: of how many GPUs
	GPUModel = WishPrefix + "gpu-card-model" // a node's label; a pod's annotation: models separated by |

	ResourceGPU      corev1.ResourceName = "nvidia.com/gpu"         // of a node: how many; of a pod: whole ones
	ResourceGPUMilli corev1.ResourceName = WishPrefix + "gpu-milli" // thousandths of all of them together
)

// gpuWhole is a whole GPU; devicesMax is how many of a node are told apart.
const (
	gpuWhole   = 1000
	devicesMax = 64
)

// GPUs is what is free on each GPU of a node. Which pods are on which is not written
// down anywhere: it follows from the pods that are on the node, by placing those that ask
// for most of a GPU first, each where the least that is enough is left. So it is the same
// for whoever looks, in whatever order the pods came; and it is as if a container could
// move between the GPUs of its node.
type GPUs struct {
	// FreeMilli is what is free by device.
	FreeMilli []int64
	// Crowded: the pods do not fit. It can happen after one has left, for the rule above
	// is a rule of thumb; nothing more is placed then.
	Crowded bool

	asks []gpuAsk // of the pods there, in the order in which they are placed
}

// gpuAsk is what a pod asks for: so many thousandths of each of count GPUs.
type gpuAsk struct {
	milli, count int64
}

// before is the order in which asks are placed.
func (a gpuAsk) before(b gpuAsk) int {
	return cmp.Or(cmp.Compare(b.milli, a.milli), cmp.Compare(b.count, a.count))
}

// gpuAskOf reads a pod's annotations; the whole GPUs that it requests where it has none.
func gpuAskOf(annotations map[string]string, whole int64) gpuAsk {
	milli, err1 := strconv.ParseInt(annotations[GPUMilli], 10, 64)
	if err1 != nil || milli <= 0 {
		return gpuAsk{gpuWhole, whole}
	}
	count, err2 := strconv.ParseInt(annotations[GPUCount], 10, 64)
	if err2 != nil || count <= 0 {
		count = 1
	}
	return gpuAsk{milli, count}
}

// GPUs is what the pods ask for: so many thousandths of each of count GPUs; count is 0
// for none.
func (w Wish) GPUs() (milli, count int64) {
	a := gpuAskOf(w.sh.annotations, w.Request(ResourceGPU))
	return a.milli, a.count
}

// GPUs is the state of the node's GPUs; nil for a node without. It is kept until the
// node changes: read only.
func (v NodeView) GPUs() *GPUs { return v.s.gpusOf(v.i) }

func (s *Snapshot) gpusOf(i int32) *GPUs {
	for int(i) >= len(s.gpus) {
		s.gpus = append(s.gpus, nil)
	}
	if s.gpus[i] == nil {
		s.gpus[i] = s.newGPUs(i)
	}
	if len(s.gpus[i].FreeMilli) == 0 {
		return nil
	}
	return s.gpus[i]
}

// staleGPUs notes that the pods on a node are others, if only for a moment.
func (s *Snapshot) staleGPUs(i int32) {
	if int(i) < len(s.gpus) {
		s.gpus[i] = nil
	}
}

func (s *Snapshot) newGPUs(i int32) *GPUs {
	g := &GPUs{FreeMilli: make([]int64, min(s.get(&s.alloc[i], ResourceGPU), devicesMax))}
	if len(g.FreeMilli) == 0 {
		return g
	}
	for _, r := range s.on[i] {
		sh := r.class.shape
		if a := gpuAskOf(sh.annotations, s.get(&sh.req, ResourceGPU)); a.count > 0 && !r.lifted {
			g.asks = append(g.asks, a)
		}
	}
	slices.SortFunc(g.asks, gpuAsk.before)
	g.Crowded = !pack(g.FreeMilli, g.asks, gpuAsk{})
	return g
}

// With is what would be free on each GPU with a pod there that asks so. ok is false when
// it does not fit. room is where the answer is written, if it is large enough.
func (g *GPUs) With(milli, count int64, room []int64) (free []int64, ok bool) {
	if cap(room) < len(g.FreeMilli) {
		room = make([]int64, len(g.FreeMilli))
	}
	room = room[:len(g.FreeMilli)]
	if count == 0 {
		copy(room, g.FreeMilli)
		return room, true
	}
	if g.Crowded || milli > gpuWhole {
		return room, false
	}
	return room, pack(room, g.asks, gpuAsk{milli, count})
}

// pack places the asks, which are in order, and one more at its place in the order, on
// whole devices. What does not fit takes all there is.
func pack(free []int64, asks []gpuAsk, more gpuAsk) bool {
	for d := range free {
		free[d] = gpuWhole
	}
	ok, todo := true, more.count > 0
	for _, a := range asks {
		if todo && more.before(a) < 0 {
			todo = false
			ok = place(free, more) && ok
		}
		ok = place(free, a) && ok
	}
	if todo {
		ok = place(free, more) && ok
	}
	return ok
}

// place takes an ask's share of as many devices as it names, each time of the one on
// which the least that is enough is left; the first of equals.
func place(free []int64, a gpuAsk) bool {
	var taken [devicesMax]bool
	for range min(a.count, devicesMax) {
		best := -1
		for d, left := range free {
			if left >= a.milli && !taken[d] && (best < 0 || left < free[best]) {
				best = d
			}
		}
		if best < 0 {
			overload(free, a.milli)
			return false
		}
		free[best] -= a.milli
		taken[best] = true
	}
	return a.count <= devicesMax
}

// overload counts what fits nowhere against the device with the most left.
func overload(free []int64, milli int64) {
	d := 0
	for k := range free {
		if free[k] > free[d] {
			d = k
		}
	}
	free[d] = max(free[d]-milli, 0)
}

// GPUsOf is what a pod asks for, for those who count GPUs from outside.
func GPUsOf(pod *corev1.Pod) (milli, count int64) {
	whole := int64(0)
	for i := range pod.Spec.Containers {
		q := pod.Spec.Containers[i].Resources.Requests[ResourceGPU]
		whole += q.Value()
	}
	a := gpuAskOf(pod.Annotations, whole)
	return a.milli, a.count
}

// GPUsLeft is what is free on each GPU of a node with so many when the pods are there,
// by the rule that GPUs states.
func GPUsLeft(devices int, pods []*corev1.Pod) *GPUs {
	g := &GPUs{FreeMilli: make([]int64, min(devices, devicesMax))}
	for _, p := range pods {
		if milli, count := GPUsOf(p); count > 0 {
			g.asks = append(g.asks, gpuAsk{milli, count})
		}
	}
	slices.SortFunc(g.asks, gpuAsk.before)
	g.Crowded = !pack(g.FreeMilli, g.asks, gpuAsk{})
	return g
}
