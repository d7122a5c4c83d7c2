package api

import (
	corev1 "k8s.io/api/core/v1"
)

// QOSClass is the quality of service class of a pod: Guaranteed when every
// container has equal requests and limits for cpu and memory, BestEffort when
// none has any, Burstable otherwise
// (kubernetes.io/docs/concepts/workloads/pods/pod-qos).
func QOSClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	any, equal := false, true
	for _, list := range [2][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			r := &list[i].Resources
			for _, name := range [2]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				limit, hasLimit := r.Limits[name]
				request, hasRequest := r.Requests[name]
				hasLimit, hasRequest = hasLimit && !limit.IsZero(), hasRequest && !request.IsZero()
				any = any || hasLimit || hasRequest
				equal = equal && hasLimit && (!hasRequest || request.Cmp(limit) == 0)
			}
		}
	}
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case equal:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}
