package kinds

import (
	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
)

// podGroup checks a group of pods that are scheduled together. What asks for more than
// a number of pods at once (a topology, devices, a group of groups) is refused: it
// would be passed over in silence.
// Source: https://kubernetes.io/docs/concepts/scheduling-eviction/podgroup-scheduling/
func (c *check) podGroup(root *loc, g *schedulingv1beta1.PodGroup) {
	spec := root.dot("spec")
	policy := spec.dot("schedulingPolicy")
	switch p := &g.Spec.SchedulingPolicy; {
	case p.Basic == nil && p.Gang == nil:
		c.invalid(&policy, "", "", "must specify one of: `basic`, `gang`")
	case p.Basic != nil && p.Gang != nil:
		c.invalid(&policy, "", "{basic, gang}", "must specify exactly one of: `basic`, `gang`")
	case p.Gang != nil && p.Gang.MinCount < 1:
		gang := policy.dot("gang")
		c.invalid(&gang, "minCount", p.Gang.MinCount, positive)
	}
	if m := g.Spec.DisruptionMode; m != nil && (m.Single == nil) == (m.All == nil) {
		c.invalid(&spec, "disruptionMode", "", "must specify exactly one of: `single`, `all`")
	}
	if p := g.Spec.Priority; p != nil && *p > maxUserPriority {
		c.invalid(&spec, "priority", *p, "must be less than or equal to 1000000000")
	}
	if g.Spec.PriorityClassName != "" {
		c.subdomain(&spec, "priorityClassName", g.Spec.PriorityClassName)
	}
	oneOfPtr(c, &spec, "preemptionPolicy", g.Spec.PreemptionPolicy, schedulingv1beta1.PreemptLowerPriority, schedulingv1beta1.PreemptNever)
	if g.Spec.SchedulingConstraints != nil {
		c.forbidden(&spec, "schedulingConstraints", "placement of a group by topology is not supported; give the pods a required pod affinity instead")
	}
	if g.Spec.ParentCompositePodGroupName != nil {
		c.forbidden(&spec, "parentCompositePodGroupName", "groups of groups are not supported")
	}
	if len(g.Spec.ResourceClaims) > 0 {
		c.forbidden(&spec, "resourceClaims", "claims of devices are not supported")
	}
}

// podGroupChange: of a group only the number of pods that it needs at once may change.
func (c *check) podGroupChange(at *loc, n, o *schedulingv1beta1.PodGroupSpec) {
	rest := *o
	if n.SchedulingPolicy.Gang != nil && o.SchedulingPolicy.Gang != nil {
		rest.SchedulingPolicy.Gang = n.SchedulingPolicy.Gang
	}
	fixed(c, at, "schedulingPolicy", &n.SchedulingPolicy, &rest.SchedulingPolicy)
	fixed(c, at, "workloadRef", &n.WorkloadRef, &o.WorkloadRef)
	fixed(c, at, "disruptionMode", &n.DisruptionMode, &o.DisruptionMode)
	fixed(c, at, "priorityClassName", &n.PriorityClassName, &o.PriorityClassName)
	fixed(c, at, "priority", &n.Priority, &o.Priority)
	fixed(c, at, "preemptionPolicy", &n.PreemptionPolicy, &o.PreemptionPolicy)
}

func (c *check) schedulingGroup(at *loc, g *corev1.PodSchedulingGroup) {
	here := at.dot("schedulingGroup")
	if g.PodGroupName == nil {
		c.invalid(&here, "podGroupName", "", "must specify one of: `podGroupName`")
		return
	}
	c.subdomain(&here, "podGroupName", *g.PodGroupName)
}

// GroupOf is the key of the PodGroup that a pod belongs to; ok is false for a pod that
// is scheduled by itself.
func GroupOf(pod *corev1.Pod) (key Key, ok bool) {
	if g := pod.Spec.SchedulingGroup; g != nil && g.PodGroupName != nil {
		return Key{pod.Namespace, *g.PodGroupName}, true
	}
	return Key{}, false
}
