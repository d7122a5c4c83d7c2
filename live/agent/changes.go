package agent

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// refuseChanges says of a pod that runs what has been asked of it since it was last seen
// and is not done here: without a word, who asked would wait for ever.
func (a *Agent) refuseChanges(old, pod *corev1.Pod) {
	var had []corev1.EphemeralContainer
	if old != nil {
		had = old.Spec.EphemeralContainers
	}
	for i := range pod.Spec.EphemeralContainers {
		name := pod.Spec.EphemeralContainers[i].Name
		if !slices.ContainsFunc(had, func(c corev1.EphemeralContainer) bool { return c.Name == name }) {
			a.warn(pod, "Failed", fmt.Sprintf("ephemeral container %s: ephemeral containers are not supported by this node's agent: want a container of the pod's own, or kubectl exec", name))
		}
	}
	if old == nil {
		return
	}
	for _, list := range [][2][]corev1.Container{{old.Spec.InitContainers, pod.Spec.InitContainers}, {old.Spec.Containers, pod.Spec.Containers}} {
		for i := range min(len(list[0]), len(list[1])) {
			if !equality.Semantic.DeepEqual(&list[0][i].Resources, &list[1][i].Resources) {
				a.warn(pod, "ResizeInfeasible", fmt.Sprintf("container %s: this node's agent does not resize what runs: its new resources hold from its next start", list[1][i].Name))
			}
		}
	}
}
