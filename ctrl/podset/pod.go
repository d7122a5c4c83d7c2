package podset

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// New makes a pod of owner from a template: its labels, annotations, finalizers
// and spec, the owner as controller, and "<owner>-" as the beginning of the name
// that the API will mint. The pod shares nothing that the API may change.
func New(template *corev1.PodTemplateSpec, owner kinds.Object) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace:       owner.GetNamespace(),
		GenerateName:    NamePrefix(owner.GetName()),
		Labels:          maps.Clone(template.Labels),
		Annotations:     maps.Clone(template.Annotations),
		Finalizers:      slices.Clone(template.Finalizers),
		OwnerReferences: []metav1.OwnerReference{ownership.Ref(owner)},
	}}
	template.Spec.DeepCopyInto(&p.Spec)
	return p
}

// NamePrefix is the generateName of an owner's pods: "<owner>-". Kubernetes falls
// back to the bare name where that is no valid prefix; with 253 characters for a
// pod's name it always is one for an owner whose own name is valid.
func NamePrefix(owner string) string { return owner + "-" }

// AvailableIn says how long it is until a ready pod has been ready for minReady:
// 0 or less means that it is available. ok is false for a pod that is not ready.
func AvailableIn(p *corev1.Pod, minReady time.Duration, now time.Time) (wait time.Duration, ok bool) {
	c := view.Condition(p, corev1.PodReady)
	switch {
	case c == nil || c.Status != corev1.ConditionTrue:
		return 0, false
	case minReady == 0:
		return 0, true
	case c.LastTransitionTime.IsZero():
		return minReady, true
	}
	return c.LastTransitionTime.Add(minReady).Sub(now), true
}

// Changed says whether a pod's change matters to the controller that counts it:
// phase, deletion, readiness, labels and owners do; addresses and the node do
// not. Either may be nil.
func Changed(old, now *corev1.Pod) bool {
	if old == nil || now == nil {
		return true
	}
	return old.Status.Phase != now.Status.Phase ||
		(old.DeletionTimestamp == nil) != (now.DeletionTimestamp == nil) ||
		readyAt(old) != readyAt(now) ||
		ownership.ControllerUID(old) != ownership.ControllerUID(now) ||
		!maps.Equal(old.Labels, now.Labels)
}

func readyAt(p *corev1.Pod) (t time.Time) {
	if c := view.Condition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time.UTC().Add(1) // not zero, even where the time is unset
	}
	return t
}
