package kinds

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
)

// Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
func (c *check) disruptionBudget(root *loc, p *policyv1.PodDisruptionBudget) {
	at := root.dot("spec")
	if p.Spec.MinAvailable != nil && p.Spec.MaxUnavailable != nil {
		c.invalid(&at, "", p.Spec, "minAvailable and maxUnavailable cannot be both set")
	}
	c.share(&at, "minAvailable", p.Spec.MinAvailable)
	c.atMostAll(&at, "minAvailable", p.Spec.MinAvailable)
	c.share(&at, "maxUnavailable", p.Spec.MaxUnavailable)
	c.atMostAll(&at, "maxUnavailable", p.Spec.MaxUnavailable)
	c.selector(&at, "selector", p.Spec.Selector)
	oneOfPtr(c, &at, "unhealthyPodEvictionPolicy", p.Spec.UnhealthyPodEvictionPolicy, policyv1.IfHealthyBudget, policyv1.AlwaysAllow)
}

// Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
func (c *check) autoscaler(root *loc, h *autoscalingv2.HorizontalPodAutoscaler) {
	at := root.dot("spec")
	least := int32(1)
	if h.Spec.MinReplicas != nil {
		least = *h.Spec.MinReplicas
	}
	if least < 1 {
		c.invalid(&at, "minReplicas", least, "must be greater than or equal to 1")
	}
	if h.Spec.MaxReplicas < 1 {
		c.invalid(&at, "maxReplicas", h.Spec.MaxReplicas, positive)
	}
	if h.Spec.MaxReplicas < least {
		c.invalid(&at, "maxReplicas", h.Spec.MaxReplicas, "must be greater than or equal to `minReplicas`")
	}
	target := at.dot("scaleTargetRef")
	if h.Spec.ScaleTargetRef.Kind == "" {
		c.required(&target, "kind", "")
	}
	if h.Spec.ScaleTargetRef.Name == "" {
		c.required(&target, "name", "")
	}
	for i := range h.Spec.Metrics {
		here := at.index("metrics", i)
		c.metric(&here, &h.Spec.Metrics[i])
	}
	if b := h.Spec.Behavior; b != nil {
		here := at.dot("behavior")
		c.scaling(&here, "scaleUp", b.ScaleUp)
		c.scaling(&here, "scaleDown", b.ScaleDown)
	}
}

func (c *check) metric(at *loc, m *autoscalingv2.MetricSpec) {
	var name string
	var target *autoscalingv2.MetricTarget
	switch {
	case m.Resource != nil:
		name, target = "resource", &m.Resource.Target
	case m.ContainerResource != nil:
		name, target = "containerResource", &m.ContainerResource.Target
	case m.Pods != nil:
		name, target = "pods", &m.Pods.Target
	case m.Object != nil:
		name, target = "object", &m.Object.Target
	case m.External != nil:
		name, target = "external", &m.External.Target
	}
	oneOf(c, at, "type", m.Type, autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType,
		autoscalingv2.ExternalMetricSourceType, autoscalingv2.ContainerResourceMetricSourceType)
	if target == nil || !strings.EqualFold(name, string(m.Type)) {
		// The field that should be there is the type's name in small letters.
		if want := Nearest(string(m.Type), []string{"resource", "containerResource", "pods", "object", "external"}); want != "" {
			c.required(at, want, "must populate information for the given metric source")
		}
		return
	}
	here := at.dot(name)
	place := here.dot("target")
	oneOf(c, &place, "type", target.Type, autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType)
	if target.Value == nil && target.AverageValue == nil && target.AverageUtilization == nil {
		c.required(&place, "averageUtilization", "must set either a target raw value or a target utilization")
	}
	if u := target.AverageUtilization; u != nil && *u < 1 {
		c.invalid(&place, "averageUtilization", *u, positive)
	}
	c.positive(&place, "value", target.Value)
	c.positive(&place, "averageValue", target.AverageValue)
}

func (c *check) positive(at *loc, name string, q *quantity) {
	if q != nil && q.Sign() != 1 {
		c.invalid(at, name, q.String(), "must be positive")
	}
}

func (c *check) scaling(at *loc, name string, r *autoscalingv2.HPAScalingRules) {
	if r == nil {
		return
	}
	here := at.dot(name)
	if w := r.StabilizationWindowSeconds; w != nil && (*w < 0 || *w > 3600) {
		c.invalid(&here, "stabilizationWindowSeconds", *w, "must be less than or equal to 3600")
	}
	oneOfPtr(c, &here, "selectPolicy", r.SelectPolicy, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect)
	if len(r.Policies) == 0 {
		c.required(&here, "policies", "must specify at least one Policy")
	}
	for i := range r.Policies {
		p := &r.Policies[i]
		place := here.index("policies", i)
		oneOf(c, &place, "type", p.Type, autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy)
		if p.Value <= 0 {
			c.invalid(&place, "value", p.Value, "must be greater than zero")
		}
		if p.PeriodSeconds <= 0 || p.PeriodSeconds > 1800 {
			c.invalid(&place, "periodSeconds", p.PeriodSeconds, "must be greater than zero and less than or equal to 1800")
		}
	}
}

// maxUserPriority is the highest priority that is not the system's own.
// Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
const maxUserPriority = 1_000_000_000

func (c *check) priorityClass(root *loc, p *schedulingv1.PriorityClass) {
	systemOwn := p.Name == "system-cluster-critical" && p.Value == 2*maxUserPriority ||
		p.Name == "system-node-critical" && p.Value == 2*maxUserPriority+1000
	meta := root.dot("metadata")
	switch {
	case strings.HasPrefix(p.Name, "system-") && !systemOwn:
		c.forbidden(&meta, "name", "priority class names with 'system-' prefix are reserved for system use only. error: "+p.Name+" is not a known system priority class")
	case p.Value > maxUserPriority && !systemOwn:
		c.forbidden(root, "value", fmt.Sprintf("maximum allowed value of a user defined priority is %d", maxUserPriority))
	}
	oneOfPtr(c, root, "preemptionPolicy", p.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
}

// Source: https://kubernetes.io/docs/concepts/policy/resource-quotas/
func (c *check) resourceQuota(root *loc, q *corev1.ResourceQuota) {
	at := root.dot("spec")
	c.resourceList(&at, "hard", q.Spec.Hard, quotaResources)
	scopes := []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
		corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity}
	for i, s := range q.Spec.Scopes {
		here := at.index("scopes", i)
		oneOf(c, &here, "", s, scopes...)
	}
	if q.Spec.ScopeSelector == nil {
		return
	}
	sel := at.dot("scopeSelector")
	for i := range q.Spec.ScopeSelector.MatchExpressions {
		r := &q.Spec.ScopeSelector.MatchExpressions[i]
		here := sel.index("matchExpressions", i)
		oneOf(c, &here, "scopeName", r.ScopeName, scopes...)
		switch r.Operator {
		case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
			if len(r.Values) == 0 {
				c.required(&here, "values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector")
			}
		case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
			if len(r.Values) > 0 {
				c.invalid(&here, "values", r.Values, "must be no value when `operator` is 'Exists' or 'DoesNotExist' for scope selector")
			}
		default:
			c.invalid(&here, "operator", r.Operator, "not a valid selector operator")
		}
	}
}

// Source: https://kubernetes.io/docs/concepts/policy/limit-range/
func (c *check) limitRange(root *loc, l *corev1.LimitRange) {
	at := root.dot("spec")
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		here := at.index("limits", i)
		for j := range i {
			if l.Spec.Limits[j].Type == item.Type {
				c.duplicate(&here, "type", item.Type)
				break
			}
		}
		if item.Type == corev1.LimitTypePod {
			if len(item.Default) > 0 {
				c.forbidden(&here, "default", "may not be specified when `type` is 'Pod'")
			}
			if len(item.DefaultRequest) > 0 {
				c.forbidden(&here, "defaultRequest", "may not be specified when `type` is 'Pod'")
			}
		}
		// Each pair's first may not be above its second.
		c.ordered(&here, "min", item.Min, "max", item.Max)
		c.ordered(&here, "defaultRequest", item.DefaultRequest, "max", item.Max)
		c.ordered(&here, "defaultRequest", item.DefaultRequest, "default", item.Default)
		c.ordered(&here, "default", item.Default, "max", item.Max)
		c.ordered(&here, "min", item.Min, "default", item.Default)
		c.ordered(&here, "min", item.Min, "defaultRequest", item.DefaultRequest)
	}
}

func (c *check) ordered(at *loc, lowName string, low corev1.ResourceList, highName string, high corev1.ResourceList) {
	words := map[string]string{"default": "default", "defaultRequest": "default request", "min": "min", "max": "max"}
	for _, name := range sortedKeys(low) {
		l := low[name]
		h, ok := high[name]
		if ok && l.Cmp(h) > 0 {
			here := at.at(lowName, string(name))
			c.invalid(&here, "", l.String(), fmt.Sprintf("%s value %s is greater than %s value %s", words[lowName], l.String(), words[highName], h.String()))
		}
	}
}

// Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
func (c *check) rules(root *loc, rules []rbacv1.PolicyRule, namespaced bool) {
	for i := range rules {
		r := &rules[i]
		here := root.index("rules", i)
		if len(r.Verbs) == 0 {
			c.required(&here, "verbs", "verbs must contain at least one value")
		}
		if len(r.NonResourceURLs) > 0 {
			if namespaced {
				c.invalid(&here, "nonResourceURLs", r.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs")
			}
			if len(r.APIGroups) > 0 || len(r.Resources) > 0 || len(r.ResourceNames) > 0 {
				c.invalid(&here, "nonResourceURLs", r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs")
			}
			continue
		}
		if len(r.APIGroups) == 0 {
			c.required(&here, "apiGroups", "resource rules must supply at least one api group")
		}
		if len(r.Resources) == 0 {
			c.required(&here, "resources", "resource rules must supply at least one resource")
		}
	}
}

func (c *check) clusterRole(root *loc, r *rbacv1.ClusterRole) {
	c.rules(root, r.Rules, false)
	if r.AggregationRule == nil {
		return
	}
	here := root.dot("aggregationRule")
	if len(r.AggregationRule.ClusterRoleSelectors) == 0 {
		c.required(&here, "clusterRoleSelectors", "at least one clusterRoleSelector required if aggregationRule is non-nil")
	}
	for i := range r.AggregationRule.ClusterRoleSelectors {
		place := here.index("clusterRoleSelectors", i)
		c.selector(&place, "", &r.AggregationRule.ClusterRoleSelectors[i])
	}
}

func (c *check) binding(root *loc, ref *rbacv1.RoleRef, subjects []rbacv1.Subject, roles ...string) {
	here := root.dot("roleRef")
	oneOf(c, &here, "apiGroup", ref.APIGroup, rbacv1.GroupName)
	oneOf(c, &here, "kind", ref.Kind, roles...)
	if ref.Name == "" {
		c.required(&here, "name", "")
	}
	for i := range subjects {
		s := &subjects[i]
		place := root.index("subjects", i)
		if s.Name == "" {
			c.required(&place, "name", "")
		}
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			if s.Name != "" {
				c.subdomain(&place, "name", s.Name)
			}
			if s.APIGroup != "" {
				c.notSupported(&place, "apiGroup", s.APIGroup, []string{""})
			}
			if s.Namespace == "" {
				c.required(&place, "namespace", "")
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			oneOf(c, &place, "apiGroup", s.APIGroup, rbacv1.GroupName)
		default:
			oneOf(c, &place, "kind", s.Kind, rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind)
		}
	}
}
