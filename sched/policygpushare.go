package sched

// noGPU is why a node cannot take a pod that would fit by the sum of its GPUs.
const noGPU = "Insufficient GPU on any device"

// GPUShare keeps pods off nodes none of whose GPUs has as much left as they ask for: a
// pod asks for whole GPUs by the resource nvidia.com/gpu, or for a share of some by the
// annotations alibabacloud.com/gpu-milli and gpu-count. It scores nothing. See GPUs for
// what is on which device.
func (Policies) GPUShare(args []byte) (Policy, error) {
	return Policy{Filter: filterGPUs, Room: true}, noArguments(args)
}

func filterGPUs(n NodeView, want Wish) string {
	milli, count := want.GPUs()
	if count == 0 {
		return ""
	}
	g := n.GPUs()
	if g == nil {
		return noGPU
	}
	var room [devicesMax]int64
	if _, ok := g.With(milli, count, room[:]); !ok {
		return noGPU
	}
	return ""
}
