package container

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/live/runtime"
)

// How CPU is turned into what the kernel takes (k8s.io/kubernetes, pkg/kubelet/cm).
const (
	sharesPerCPU   = 1024
	sharesMin      = 2
	sharesMax      = 262144
	periodMicros   = 100_000
	quotaMinMicros = 1000
)

// The scores by which the kernel chooses whom to kill when memory runs out.
const (
	guaranteedOOMScoreAdj = -997
	bestEffortOOMScoreAdj = 1000
)

// Limits are the kernel's limits for a container's resources.
func Limits(r *corev1.ResourceRequirements) runtime.Resources {
	cpu, limit := r.Requests.Cpu().MilliValue(), r.Limits.Cpu().MilliValue()
	if _, ok := r.Requests[corev1.ResourceCPU]; !ok {
		cpu = limit
	}
	return runtime.Resources{CPUShares: shares(cpu), CPUQuotaMicros: quota(limit), MemoryBytes: r.Limits.Memory().Value()}
}

func shares(milli int64) uint64 {
	return uint64(min(max(milli*sharesPerCPU/1000, sharesMin), sharesMax))
}

func quota(milli int64) int64 {
	if milli <= 0 {
		return 0
	}
	return max(milli*periodMicros/1000, quotaMinMicros)
}

// QoS is the name of the group that a pod's group is in; "" is the host's own.
func QoS(pod *corev1.Pod) string {
	if q := api.QOSClass(&pod.Spec); q != corev1.PodQOSGuaranteed {
		return strings.ToLower(string(q))
	}
	return ""
}

// QoSLimits are those of that group: a burstable one has the shares of its pods
// together, which are given in thousandths of a CPU.
func QoSLimits(qos string, requestedMilli int64) runtime.Resources {
	switch qos {
	case "besteffort":
		return runtime.Resources{CPUShares: sharesMin}
	case "burstable":
		return runtime.Resources{CPUShares: shares(requestedMilli)}
	}
	return runtime.Resources{}
}

// PodLimits are those of a pod as a whole: its own, or a limit only where every container
// has one. (KEP-2837.)
func PodLimits(pod *corev1.Pod) runtime.Resources {
	var requests, limits, memory int64
	allCPU, allMemory := true, true
	for i := range pod.Spec.Containers {
		r := &pod.Spec.Containers[i].Resources
		requests += cpuOf(r)
		l, m := r.Limits.Cpu().MilliValue(), r.Limits.Memory().Value()
		limits, memory = limits+l, memory+m
		allCPU, allMemory = allCPU && l > 0, allMemory && m > 0
	}
	var sidecars int64
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		l, m := c.Resources.Limits.Cpu().MilliValue(), c.Resources.Limits.Memory().Value()
		allCPU, allMemory = allCPU && l > 0, allMemory && m > 0
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars += cpuOf(&c.Resources)
			limits, memory = limits+l, memory+m
			continue
		}
		limits, memory = max(limits, l), max(memory, m)
	}
	out := runtime.Resources{CPUShares: shares(requests + sidecars)}
	if allCPU {
		out.CPUQuotaMicros = quota(limits)
	}
	if allMemory {
		out.MemoryBytes = memory
	}
	if own := pod.Spec.Resources; own != nil {
		whole := corev1.ResourceRequirements{Requests: own.Requests, Limits: own.Limits}
		if own.Requests.Cpu().MilliValue() > 0 {
			out.CPUShares = shares(cpuOf(&whole))
		}
		if l := own.Limits.Cpu().MilliValue(); l > 0 {
			out.CPUQuotaMicros = quota(l)
		}
		if m := own.Limits.Memory().Value(); m > 0 {
			out.MemoryBytes = m
		}
	}
	return out
}

// cpuOf is what a container asks for; its limit, if it names nothing else.
func cpuOf(r *corev1.ResourceRequirements) int64 {
	if q, ok := r.Requests[corev1.ResourceCPU]; ok {
		return q.MilliValue()
	}
	return r.Limits.Cpu().MilliValue()
}

// RequestedMilli is the CPU that a pod's containers ask for together.
func RequestedMilli(pod *corev1.Pod) (sum int64) {
	for i := range pod.Spec.Containers {
		sum += cpuOf(&pod.Spec.Containers[i].Resources)
	}
	return sum
}

// oomScoreAdj is lower for who asked for more of the host's memory, by the formula of
// the kubelet's package qos.
func oomScoreAdj(g *Given) int {
	switch QoS(g.Pod) {
	case "":
		return guaranteedOOMScoreAdj
	case "besteffort":
		return bestEffortOOMScoreAdj
	}
	if g.MemoryBytes <= 0 {
		return bestEffortOOMScoreAdj - 1
	}
	// Memory in MiB keeps the product within an int64.
	adj := 1000 - 1000*(g.Container.Resources.Requests.Memory().Value()>>20)/max(g.MemoryBytes>>20, 1)
	return int(min(max(adj, 1000+guaranteedOOMScoreAdj), bestEffortOOMScoreAdj-1))
}
