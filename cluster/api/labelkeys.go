package api

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mergeLabelKeys writes what matchLabelKeys and mismatchLabelKeys of a new pod mean into
// the label selectors beside them, with the pod's own values; whoever schedules reads the
// selectors alone
// (kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#matchlabelkeys). A key
// that the pod does not bear means nothing, and so does one without a selector.
func mergeLabelKeys(pod *corev1.Pod) {
	if a := pod.Spec.Affinity; a != nil && slices.ContainsFunc(termsOf(a), usesKeys) {
		pod.Spec.Affinity = a.DeepCopy() // it may be a template's
		for _, t := range termsOf(pod.Spec.Affinity) {
			t.LabelSelector = withLabelKeys(t.LabelSelector, t.MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
			t.LabelSelector = withLabelKeys(t.LabelSelector, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn, pod.Labels)
		}
	}
	list := pod.Spec.TopologySpreadConstraints
	if slices.ContainsFunc(list, func(t corev1.TopologySpreadConstraint) bool { return len(t.MatchLabelKeys) > 0 }) {
		list = slices.Clone(list)
		for i := range list {
			list[i].LabelSelector = withLabelKeys(list[i].LabelSelector, list[i].MatchLabelKeys, metav1.LabelSelectorOpIn, pod.Labels)
		}
		pod.Spec.TopologySpreadConstraints = list
	}
}

func usesKeys(t *corev1.PodAffinityTerm) bool {
	return len(t.MatchLabelKeys)+len(t.MismatchLabelKeys) > 0
}

// termsOf are all terms of affinity to other pods.
func termsOf(a *corev1.Affinity) []*corev1.PodAffinityTerm {
	var list []*corev1.PodAffinityTerm
	add := func(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm) {
		for i := range required {
			list = append(list, &required[i])
		}
		for i := range preferred {
			list = append(list, &preferred[i].PodAffinityTerm)
		}
	}
	if x := a.PodAffinity; x != nil {
		add(x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if x := a.PodAntiAffinity; x != nil {
		add(x.RequiredDuringSchedulingIgnoredDuringExecution, x.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return list
}

// withLabelKeys is a selector with a requirement more for each of the keys that are among
// the labels; the selector itself where there is none.
func withLabelKeys(s *metav1.LabelSelector, keys []string, op metav1.LabelSelectorOperator, own map[string]string) *metav1.LabelSelector {
	if s == nil || len(keys) == 0 {
		return s
	}
	s = s.DeepCopy()
	for _, k := range keys {
		if v, ok := own[k]; ok {
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: k, Operator: op, Values: []string{v}})
		}
	}
	return s
}
