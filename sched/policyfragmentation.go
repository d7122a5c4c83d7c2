package sched

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// TypicalPod is a kind of pods of a workload, and how frequent it is.
type TypicalPod struct {
	CPUMilli  int64 `json:"cpuMilli"`
	MemoryMiB int64 `json:"memoryMiB"`
	GPUMilli  int64 `json:"gpuMilli"` // of each GPU, up to 1000
	GPUs      int64 `json:"gpus"`
	Weight    int64 `json:"weight"`
}

// Limits of FragmentationAware's arguments.
const (
	typicalMax  = 256
	weightMax   = 1 << 20
	typicalUnit = 1 << 40 // of cpu and memory
)

// FragmentationAware goes down the gradient of fragmentation: it prefers the node on
// which the pod makes least of the free GPU share useless for the pods that are likely to
// come (FGD: Weng et al., Beware of Fragmentation, USENIX ATC '23, section 4). Of a node,
// what is free on a GPU is a fragment to a typical pod if the node cannot take that pod,
// or the GPU by itself has too little for it; the node's fragmentation is the average over
// the typical pods, by their weights.
//
// Its argument is the workload to be expected, {"pods": [{"cpuMilli": 4000, "memoryMiB":
// 16384, "gpuMilli": 500, "gpus": 1, "weight": 3}, ...]}; without one it is a mix of the
// kinds that the paper gives for the OpenB trace.
//
// The score is 50 for a node whose fragmentation stays as it is, more for one where it
// falls; a quarter of a GPU makes half of what is possible. A node without GPUs has 51, so
// that what needs none goes there before it takes the last cpu beside one.
func (Policies) FragmentationAware(args []byte) (Policy, error) {
	var a struct {
		Pods []TypicalPod `json:"pods"`
	}
	if err := arguments(args, &a); err != nil {
		return Policy{}, err
	}
	if len(a.Pods) == 0 {
		a.Pods = usualMix()
	}
	if len(a.Pods) > typicalMax {
		return Policy{}, fmt.Errorf("pods: has %d kinds of pods, want at most %d", len(a.Pods), typicalMax)
	}
	mix := fragmentation{pods: a.Pods}
	for i, p := range a.Pods {
		if p.Weight < 1 || p.Weight > weightMax {
			return Policy{}, fmt.Errorf("pods[%d].weight: %d: want 1 to %d", i, p.Weight, weightMax)
		}
		if min(p.CPUMilli, p.MemoryMiB, p.GPUMilli, p.GPUs) < 0 || p.GPUMilli > gpuWhole || p.GPUs > devicesMax ||
			max(p.CPUMilli, p.MemoryMiB) > typicalUnit || (p.GPUs == 0) != (p.GPUMilli == 0) {
			return Policy{}, fmt.Errorf("pods[%d]: want amounts of 0 or more, up to %d GPUs, and gpuMilli from 1 to %d with them", i, devicesMax, gpuWhole)
		}
		mix.weights += p.Weight
	}
	return Policy{Filter: filterGPUs, Room: true, Node: mix.score}, nil
}

// usualMix is by how much of GPUs the OpenB trace's pods ask for (the paper's table 1).
func usualMix() []TypicalPod {
	return []TypicalPod{
		{CPUMilli: 4000, MemoryMiB: 16 << 10, Weight: 133},
		{CPUMilli: 8000, MemoryMiB: 30 << 10, GPUMilli: 250, GPUs: 1, Weight: 76},
		{CPUMilli: 6000, MemoryMiB: 16 << 10, GPUMilli: 470, GPUs: 1, Weight: 126},
		{CPUMilli: 4000, MemoryMiB: 8 << 10, GPUMilli: 810, GPUs: 1, Weight: 176},
		{CPUMilli: 12000, MemoryMiB: 48 << 10, GPUMilli: 1000, GPUs: 1, Weight: 480},
		{CPUMilli: 16000, MemoryMiB: 64 << 10, GPUMilli: 1000, GPUs: 2, Weight: 2},
		{CPUMilli: 32000, MemoryMiB: 128 << 10, GPUMilli: 1000, GPUs: 4, Weight: 2},
		{CPUMilli: 64000, MemoryMiB: 256 << 10, GPUMilli: 1000, GPUs: 8, Weight: 5},
	}
}

// fragmentation is what free GPU share is measured by.
type fragmentation struct {
	pods    []TypicalPod
	weights int64
}

func (f *fragmentation) score(n NodeView, want Wish) int64 {
	const half = gpuWhole / 4
	g := n.GPUs()
	if g == nil {
		return scoreMax/2 + 1
	}
	milli, count := want.GPUs()
	var room [devicesMax]int64
	after, ok := g.With(milli, count, room[:])
	if !ok {
		return 0
	}
	cpu := n.Allocatable(corev1.ResourceCPU) - n.Used(corev1.ResourceCPU)
	mem := n.Allocatable(corev1.ResourceMemory) - n.Used(corev1.ResourceMemory)
	less := f.of(g.FreeMilli, cpu, mem) - f.of(after, cpu-want.Request(corev1.ResourceCPU), mem-want.Request(corev1.ResourceMemory))
	return scoreMax/2 + scoreMax/2*less/(half+max(less, -less))
}

// of is a node's fragmentation in thousandths of a GPU.
func (f *fragmentation) of(freeMilli []int64, cpuMilli, memBytes int64) int64 {
	var all, sum int64
	for _, free := range freeMilli {
		all += free
	}
	for i := range f.pods {
		p := &f.pods[i]
		useless, devices := int64(0), int64(0)
		if p.GPUs > 0 && p.CPUMilli <= cpuMilli && p.MemoryMiB<<20 <= memBytes {
			for _, free := range freeMilli {
				if free >= p.GPUMilli {
					devices++
				} else {
					useless += free
				}
			}
		}
		if p.GPUs == 0 || devices < p.GPUs {
			useless = all
		}
		sum += p.Weight * useless
	}
	return sum / f.weights
}

// Fragmentation is the average of what is free on a node's GPUs that pods of the mix
// cannot use, in thousandths of a GPU, as FragmentationAware counts it.
func Fragmentation(mix []TypicalPod, freeMilli []int64, cpuMilli, memBytes int64) int64 {
	f := fragmentation{pods: mix}
	for i := range mix {
		f.weights += mix[i].Weight
	}
	if f.weights == 0 {
		return 0
	}
	return f.of(freeMilli, cpuMilli, memBytes)
}
