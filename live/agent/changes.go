package agent

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// refuseChanges says of a pod that runs what has been asked of it since it was last seen
// and is not done here: without a word, who asked would wait for ever.
func (a *Agent) refuseChanges(old, pod *corev1.Pod) {
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
