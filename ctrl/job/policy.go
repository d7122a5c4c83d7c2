package job

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// ruleFor is what podFailurePolicy says about a failed pod: the first rule that
// matches. message tells why the Job fails, for the action FailJob; action is
// "" when no rule matches.
func ruleFor(policy *batchv1.PodFailurePolicy, p *corev1.Pod) (action batchv1.PodFailurePolicyAction, message string) {
	if policy == nil || p.Status.Phase != corev1.PodFailed {
		return "", ""
	}
	for i := range policy.Rules {
		r := &policy.Rules[i]
		switch {
		case r.OnExitCodes != nil:
			if s := exitMatch(p, r.OnExitCodes); s != nil {
				return r.Action, fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v matching %v rule at index %d",
					s.Name, p.Namespace, p.Name, s.State.Terminated.ExitCode, r.Action, i)
			}
		default:
			if c := conditionMatch(p, r.OnPodConditions); c != nil {
				return r.Action, fmt.Sprintf("Pod %s/%s has condition %v matching %v rule at index %d",
					p.Namespace, p.Name, c.Type, r.Action, i)
			}
		}
	}
	return "", ""
}

// ignores says whether podFailurePolicy wants a pod's failure to count as none.
func ignores(j *batchv1.Job, p *corev1.Pod) bool {
	action, _ := ruleFor(j.Spec.PodFailurePolicy, p)
	return action == batchv1.PodFailurePolicyActionIgnore
}

// successBy says whether the indexes that have succeeded are enough for a rule of
// successPolicy, and for which: all of those that the rule names, or as many of them
// (of all, if it names none) as it asks for.
func successBy(j *batchv1.Job, done indexes) (message string, met bool) {
	if j.Spec.SuccessPolicy == nil || len(done) == 0 {
		return "", false
	}
	for i := range j.Spec.SuccessPolicy.Rules {
		r := &j.Spec.SuccessPolicy.Rules[i]
		have := done.count()
		if r.SucceededIndexes != nil {
			named := parseIndexes(*r.SucceededIndexes, deref(j.Spec.Completions))
			if len(named) == 0 {
				continue // nothing that this Job has: the rule says nothing
			}
			have = named.common(done)
			met = have == named.count()
		}
		if met || (r.SucceededCount != nil && have >= *r.SucceededCount) {
			return fmt.Sprintf("Matched rules at index %d", i), true
		}
	}
	return "", false
}

func exitMatch(p *corev1.Pod, r *batchv1.PodFailurePolicyOnExitCodesRequirement) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{p.Status.ContainerStatuses, p.Status.InitContainerStatuses} {
		for i := range list {
			s := &list[i]
			if s.State.Terminated == nil || s.State.Terminated.ExitCode == 0 || (r.ContainerName != nil && *r.ContainerName != s.Name) {
				continue
			}
			if slices.Contains(r.Values, s.State.Terminated.ExitCode) == (r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
				return s
			}
		}
	}
	return nil
}

func conditionMatch(p *corev1.Pod, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		for _, want := range patterns {
			if want.Type == c.Type && (want.Status == c.Status || (want.Status == "" && c.Status == corev1.ConditionTrue)) {
				return c
			}
		}
	}
	return nil
}
