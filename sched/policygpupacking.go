package sched

// GPUPacking fills GPUs that are in use before it opens others: a pod goes first to a node
// where GPUs already shared have room for it, the fuller the better, then to free GPUs of a
// node in use, and to an idle node last. A pod without GPUs goes to a node without, or
// else where the fewest GPUs are free. It filters as GPUShare does. (It is one of the
// policies that FGD was compared with, USENIX ATC '23, section 6.)
func (Policies) GPUPacking(args []byte) (Policy, error) {
	return Policy{Filter: filterGPUs, Room: true, Node: scoreGPUPacking}, noArguments(args)
}

func scoreGPUPacking(n NodeView, want Wish) int64 {
	const tier = scoreMax / 3 // of each of the three places
	g := n.GPUs()
	milli, count := want.GPUs()
	switch {
	case g == nil && count > 0:
		return 0
	case g == nil:
		return scoreMax
	case count == 0:
		_, free := countFree(g.FreeMilli)
		return scoreMax / 2 * (int64(len(g.FreeMilli))*gpuWhole - free) / (int64(len(g.FreeMilli)) * gpuWhole)
	}
	var room [devicesMax]int64
	after, ok := g.With(milli, count, room[:])
	if !ok {
		return 0
	}
	idle, _ := countFree(g.FreeMilli)
	idleAfter, freeAfter := countFree(after)
	switch {
	case idleAfter >= idle:
		shared := freeAfter - idleAfter*gpuWhole // what is left on GPUs in use
		return scoreMax - min(shared*tier/(4*gpuWhole), tier)
	case idle < int64(len(g.FreeMilli)):
		return 2*tier - min(4*idleAfter, tier)
	}
	return tier - min(4*idleAfter, tier)
}

// countFree counts the devices that nobody uses, and sums what is free on all.
func countFree(freeMilli []int64) (idle, free int64) {
	for _, f := range freeMilli {
		if f == gpuWhole {
			idle++
		}
		free += f
	}
	return idle, free
}
