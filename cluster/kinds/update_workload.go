package kinds

import (
	"maps"
	"reflect"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podMayChange is what is said to who changes anything else of a running pod.
// Source: https://kubernetes.io/docs/concepts/workloads/pods/#pod-update-and-replacement
const podMayChange = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`," +
	"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

func (c *check) podChange(at *loc, n, o *corev1.PodSpec) {
	if reflect.DeepEqual(n, o) {
		return // a write of the status shares its spec with the old pod
	}
	if len(n.Containers) != len(o.Containers) {
		c.forbidden(at, "containers", "pod updates may not add or remove containers")
		return
	}
	if len(n.InitContainers) != len(o.InitContainers) {
		c.forbidden(at, "initContainers", "pod updates may not add or remove containers")
		return
	}
	c.deadlineChange(at, n.ActiveDeadlineSeconds, o.ActiveDeadlineSeconds)
	c.tolerationsChange(at, n.Tolerations, o.Tolerations)
	for i, g := range n.SchedulingGates {
		if !slices.Contains(o.SchedulingGates, g) {
			here := at.index("schedulingGates", i)
			c.forbidden(&here, "", "only deletion is allowed, but found new scheduling gate '"+g.Name+"'")
		}
	}
	rest := o.DeepCopy()
	allowPodChange(rest, n)
	if len(o.SchedulingGates) > 0 {
		c.gatedChange(at, n, rest)
	}
	if !same(rest, n) {
		c.forbidden(at, "", podMayChange)
	}
}

// allowPodChange puts into rest, a copy of the old spec, what the new one may
// have different: what then still differs is forbidden.
func allowPodChange(rest, n *corev1.PodSpec) {
	for i := range rest.Containers {
		rest.Containers[i].Image = n.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = n.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = n.ActiveDeadlineSeconds
	rest.Tolerations = n.Tolerations
	rest.SchedulingGates = n.SchedulingGates
	g := rest.TerminationGracePeriodSeconds
	if g != nil && *g < 0 && n.TerminationGracePeriodSeconds != nil && *n.TerminationGracePeriodSeconds == 1 {
		rest.TerminationGracePeriodSeconds = n.TerminationGracePeriodSeconds
	}
}

// gatedChange: a pod that is held back from scheduling may still be given
// narrower wishes for its node.
// Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-scheduling-readiness/
func (c *check) gatedChange(at *loc, n, rest *corev1.PodSpec) {
	for _, k := range sortedKeys(rest.NodeSelector) {
		if v, ok := n.NodeSelector[k]; !ok || v != rest.NodeSelector[k] {
			c.invalid(at, "nodeSelector", n.NodeSelector, "only additions are allowed to spec.nodeSelector (no mutations or deletions)")
			break
		}
	}
	rest.NodeSelector = maps.Clone(n.NodeSelector)
	if n.Affinity == nil || n.Affinity.NodeAffinity == nil {
		return
	}
	if rest.Affinity == nil {
		rest.Affinity = &corev1.Affinity{}
	}
	if rest.Affinity.NodeAffinity == nil {
		rest.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	has, want := rest.Affinity.NodeAffinity, n.Affinity.NodeAffinity
	has.PreferredDuringSchedulingIgnoredDuringExecution = want.PreferredDuringSchedulingIgnoredDuringExecution
	if narrower(want.RequiredDuringSchedulingIgnoredDuringExecution, has.RequiredDuringSchedulingIgnoredDuringExecution) {
		has.RequiredDuringSchedulingIgnoredDuringExecution = want.RequiredDuringSchedulingIgnoredDuringExecution
	}
}

// narrower: each of the old terms is still there, with what it demanded and
// perhaps more; the terms are alternatives, so a new one would widen the choice.
func narrower(n, o *corev1.NodeSelector) bool {
	if o == nil || n == nil {
		return o == nil
	}
	if len(n.NodeSelectorTerms) != len(o.NodeSelectorTerms) {
		return false
	}
	for i := range o.NodeSelectorTerms {
		a, b := &n.NodeSelectorTerms[i], &o.NodeSelectorTerms[i]
		if !startsWith(a.MatchExpressions, b.MatchExpressions) || !startsWith(a.MatchFields, b.MatchFields) {
			return false
		}
	}
	return true
}

func startsWith(list, head []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(head) && same(list[:len(head)], head[:len(head):len(head)])
}

func (c *check) deadlineChange(at *loc, n, o *int64) {
	switch {
	case o == nil || n != nil && *n <= *o:
	case n == nil:
		c.invalid(at, "activeDeadlineSeconds", n, "must not update from a positive integer to nil value")
	default:
		c.invalid(at, "activeDeadlineSeconds", *n, "must be less than or equal to previous value")
	}
}

// tolerationsChange: tolerations may be added, and the time of one changed.
func (c *check) tolerationsChange(at *loc, n, o []corev1.Toleration) {
	for i := range o {
		kept := slices.ContainsFunc(n, func(t corev1.Toleration) bool {
			t.TolerationSeconds = o[i].TolerationSeconds
			return t == o[i]
		})
		if !kept {
			c.forbidden(at, "tolerations", "existing toleration can not be modified except its tolerationSeconds")
			return
		}
	}
}

func (c *check) statefulSetChange(root *loc, n, o *appsv1.StatefulSet) {
	rest := o.Spec
	rest.Replicas = n.Spec.Replicas
	rest.Ordinals = n.Spec.Ordinals
	rest.Template = n.Spec.Template
	rest.UpdateStrategy = n.Spec.UpdateStrategy
	rest.RevisionHistoryLimit = n.Spec.RevisionHistoryLimit
	rest.MinReadySeconds = n.Spec.MinReadySeconds
	rest.PersistentVolumeClaimRetentionPolicy = n.Spec.PersistentVolumeClaimRetentionPolicy
	if !same(&rest, &n.Spec) {
		c.forbidden(root, "spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "+
			"'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")
	}
}

// jobChange: a job's template is fixed, but for where its pods may go while it
// is suspended; an indexed job may be resized if both its counts move together.
// Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
func (c *check) jobChange(at *loc, n, o *batchv1.JobSpec) {
	elastic := n.CompletionMode != nil && *n.CompletionMode == batchv1.IndexedCompletion && n.Completions != nil && n.Parallelism != nil
	switch {
	case same(n.Completions, o.Completions):
	case elastic && o.Completions != nil && *n.Completions == *n.Parallelism:
	case elastic:
		c.invalid(at, "completions", *n.Completions, "can only be modified in tandem with spec.parallelism")
	default:
		c.invalid(at, "completions", n.Completions, immutable)
	}
	fixed(c, at, "selector", &n.Selector, &o.Selector)
	fixed(c, at, "completionMode", &n.CompletionMode, &o.CompletionMode)
	fixed(c, at, "podFailurePolicy", &n.PodFailurePolicy, &o.PodFailurePolicy)
	fixed(c, at, "successPolicy", &n.SuccessPolicy, &o.SuccessPolicy)
	fixed(c, at, "backoffLimitPerIndex", &n.BackoffLimitPerIndex, &o.BackoffLimitPerIndex)
	fixed(c, at, "managedBy", &n.ManagedBy, &o.ManagedBy)
	if reflect.DeepEqual(&n.Template, &o.Template) {
		return
	}
	rest := o.Template.DeepCopy()
	if o.Suspend != nil && *o.Suspend {
		rest.Labels, rest.Annotations = n.Template.Labels, n.Template.Annotations
		rest.Spec.NodeSelector, rest.Spec.Tolerations = n.Template.Spec.NodeSelector, n.Template.Spec.Tolerations
		rest.Spec.SchedulingGates = n.Template.Spec.SchedulingGates
		if n.Template.Spec.Affinity == nil || rest.Spec.Affinity == nil {
			rest.Spec.Affinity = n.Template.Spec.Affinity
		} else {
			rest.Spec.Affinity.NodeAffinity = n.Template.Spec.Affinity.NodeAffinity
		}
	}
	if !same(rest, &n.Template) {
		c.errs = append(c.errs, field.Invalid(below(at, "template"), "", immutable))
	}
}
