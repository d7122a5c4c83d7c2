package sched

import corev1 "k8s.io/api/core/v1"

// BestFit prefers the node whose free room the pod fills most: the average, over what the
// pod asks for, of its request in hundredths of what is free. A node that it would fill to
// the brim scores 100.
func (Policies) BestFit(args []byte) (Policy, error) {
	return Policy{Node: filled}, noArguments(args)
}

// packed are the resources that policies of packing look at.
var packed = [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, ResourceGPUMilli}

func filled(n NodeView, want Wish) int64 {
	var sum, count int64
	for _, r := range packed {
		if asks := want.Request(r); asks > 0 {
			count++
			if free := n.Allocatable(r) - n.Used(r); free >= asks {
				sum += asks * scoreMax / free
			}
		}
	}
	if count == 0 {
		return 0
	}
	return sum / count
}
