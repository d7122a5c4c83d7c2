package openb

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/sched"
)

// QoSLabel bears a pod's qos column; PhaseLabel its pod_phase.
const (
	QoSLabel   = sched.WishPrefix + "qos"
	PhaseLabel = sched.WishPrefix + "pod-phase"
)

// Image is the image of the pods' only container.
const Image = "openb/work:1"

// podsMax is how many pods a node takes; the trace does not say.
const podsMax = 1000

// Object is the node as its agent would register it.
func (n *Node) Object() *corev1.Node {
	o := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{corev1.LabelHostname: n.Name}}}
	has := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(n.CPUMilli, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(n.MemMiB<<20, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(podsMax, resource.DecimalSI),
	}
	if n.GPUs > 0 {
		o.Labels[sched.GPUModel] = n.Model
		has[sched.ResourceGPU] = *resource.NewQuantity(n.GPUs, resource.DecimalSI)
		has[sched.ResourceGPUMilli] = *resource.NewQuantity(n.GPUs*1000, resource.DecimalSI)
	}
	o.Status.Capacity, o.Status.Allocatable = has, has.DeepCopy()
	return o
}

// Object is the pod, in a namespace.
func (p *Pod) Object(namespace string) *corev1.Pod {
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.Name, Labels: map[string]string{}}}
	for label, value := range map[string]string{QoSLabel: p.QoS, PhaseLabel: p.Phase} {
		if value != "" {
			o.Labels[label] = value
		}
	}
	asks := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(p.CPUMilli, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(p.MemMiB<<20, resource.BinarySI),
	}
	limits := corev1.ResourceList{} // extended resources want one that is the same
	if p.GPUs > 0 {
		o.Annotations = map[string]string{sched.GPUMilli: strconv.FormatInt(p.GPUMilli, 10), sched.GPUCount: strconv.FormatInt(p.GPUs, 10)}
		limits[sched.ResourceGPUMilli] = *resource.NewQuantity(p.GPUs*p.GPUMilli, resource.DecimalSI)
		if p.GPUMilli == 1000 {
			limits[sched.ResourceGPU] = *resource.NewQuantity(p.GPUs, resource.DecimalSI)
		}
		for name, q := range limits {
			asks[name] = q
		}
	}
	if len(p.Models) > 0 {
		if p.GPUs > 0 {
			o.Annotations[sched.GPUModel] = strings.Join(p.Models, "|")
		}
		o.Spec.Affinity = ofModels(p.Models)
	}
	o.Spec.Containers = []corev1.Container{{Name: "work", Image: Image, Resources: corev1.ResourceRequirements{Requests: asks, Limits: limits}}}
	return o
}

// ofModels is the affinity to nodes with GPUs of one of the models.
func ofModels(models []string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: sched.GPUModel, Operator: corev1.NodeSelectorOpIn, Values: models}}}}}}}
}
