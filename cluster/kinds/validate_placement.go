package kinds

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// placement checks what a pod says of the node it wants.
// Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
func (c *check) placement(at *loc, s *corev1.PodSpec) {
	if s.Affinity != nil {
		c.affinity(at, s.Affinity)
	}
	for i := range s.Tolerations {
		here := at.index("tolerations", i)
		c.toleration(&here, &s.Tolerations[i])
	}
	for i := range s.TopologySpreadConstraints {
		c.spread(at, s.TopologySpreadConstraints, i)
	}
	if s.SchedulingGroup != nil {
		c.schedulingGroup(at, s.SchedulingGroup)
	}
	for i := range s.SchedulingGates {
		here := at.index("schedulingGates", i)
		name := s.SchedulingGates[i].Name
		c.qualified(&here, "", name)
		for j := range i {
			if s.SchedulingGates[j].Name == name {
				c.duplicate(&here, "name", name)
				break
			}
		}
	}
}

// Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
func (c *check) toleration(at *loc, t *corev1.Toleration) {
	if t.Key != "" {
		c.qualified(at, "key", t.Key)
	}
	if t.Key == "" && t.Operator != corev1.TolerationOpExists {
		c.invalid(at, "operator", t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		c.invalid(at, "effect", t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
	}
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		if !isLabelValue(t.Value) {
			c.invalid(at, "operator", t.Value, "must be a valid label value")
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			c.invalid(at, "operator", t, "value must be empty when `operator` is 'Exists'")
		}
	default:
		c.notSupported(at, "operator", string(t.Operator), []string{string(corev1.TolerationOpEqual), string(corev1.TolerationOpExists)})
	}
	if t.Effect != "" {
		c.taintEffect(at, t.Effect)
	}
}

func (c *check) taintEffect(at *loc, e corev1.TaintEffect) {
	oneOf(c, at, "effect", e, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}

// Source: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
func (c *check) spread(at *loc, list []corev1.TopologySpreadConstraint, i int) {
	t := &list[i]
	here := at.index("topologySpreadConstraints", i)
	if t.MaxSkew <= 0 {
		c.invalid(&here, "maxSkew", t.MaxSkew, "must be greater than zero")
	}
	if t.TopologyKey == "" {
		c.required(&here, "topologyKey", "can not be empty")
	} else {
		c.qualified(&here, "topologyKey", t.TopologyKey)
	}
	oneOf(c, &here, "whenUnsatisfiable", t.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)
	for j := range i {
		if list[j].TopologyKey == t.TopologyKey && list[j].WhenUnsatisfiable == t.WhenUnsatisfiable {
			c.duplicate(&here, "{topologyKey, whenUnsatisfiable}", "{"+t.TopologyKey+", "+string(t.WhenUnsatisfiable)+"}")
			break
		}
	}
	if m := t.MinDomains; m != nil {
		if *m <= 0 {
			c.invalid(&here, "minDomains", *m, "must be greater than zero")
		}
		if t.WhenUnsatisfiable != corev1.DoNotSchedule {
			c.invalid(&here, "minDomains", *m, "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not "+string(t.WhenUnsatisfiable))
		}
	}
	oneOfPtr(c, &here, "nodeAffinityPolicy", t.NodeAffinityPolicy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	oneOfPtr(c, &here, "nodeTaintsPolicy", t.NodeTaintsPolicy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
	c.selector(&here, "labelSelector", t.LabelSelector)
	if len(t.MatchLabelKeys) > 0 && t.LabelSelector == nil {
		c.forbidden(&here, "matchLabelKeys", "must not be specified when labelSelector is not set")
	}
}

func (c *check) affinity(at *loc, a *corev1.Affinity) {
	here := at.dot("affinity")
	if n := a.NodeAffinity; n != nil {
		c.nodeAffinity(&here, n)
	}
	if p := a.PodAffinity; p != nil {
		place := here.dot("podAffinity")
		c.podAffinity(&place, p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if p := a.PodAntiAffinity; p != nil {
		place := here.dot("podAntiAffinity")
		c.podAffinity(&place, p.RequiredDuringSchedulingIgnoredDuringExecution, p.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

const (
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferred = "preferredDuringSchedulingIgnoredDuringExecution"
)

func (c *check) nodeAffinity(at *loc, n *corev1.NodeAffinity) {
	here := at.dot("nodeAffinity")
	if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		place := here.dot(required)
		c.nodeSelector(&place, r)
	}
	for i := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		p := &n.PreferredDuringSchedulingIgnoredDuringExecution[i]
		place := here.index(preferred, i)
		c.weight(&place, p.Weight)
		term := place.dot("preference")
		c.nodeTerm(&term, &p.Preference)
	}
}

// ValidateNodeAffinity judges a node affinity that stands elsewhere than in a pod, as in
// a scheduler's configuration. The paths of the errors begin with "nodeAffinity".
func ValidateNodeAffinity(a *corev1.NodeAffinity) field.ErrorList {
	c, at := check{}, loc{}
	c.nodeAffinity(&at, a)
	return c.errs
}

func (c *check) nodeSelector(at *loc, s *corev1.NodeSelector) {
	if len(s.NodeSelectorTerms) == 0 {
		c.required(at, "nodeSelectorTerms", "must have at least one node selector term")
	}
	for i := range s.NodeSelectorTerms {
		term := at.index("nodeSelectorTerms", i)
		c.nodeTerm(&term, &s.NodeSelectorTerms[i])
	}
}

func (c *check) weight(at *loc, w int32) {
	if w <= 0 || w > 100 {
		c.invalid(at, "weight", w, "must be in the range 1-100")
	}
}

func (c *check) nodeTerm(at *loc, t *corev1.NodeSelectorTerm) {
	for i := range t.MatchExpressions {
		here := at.index("matchExpressions", i)
		c.nodeRequirement(&here, &t.MatchExpressions[i])
	}
	for i := range t.MatchFields {
		here := at.index("matchFields", i)
		r := &t.MatchFields[i]
		if r.Operator != corev1.NodeSelectorOpIn && r.Operator != corev1.NodeSelectorOpNotIn {
			c.invalid(&here, "operator", r.Operator, "not a valid selector operator")
		} else if len(r.Values) != 1 {
			c.required(&here, "values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
		}
		if r.Key != "metadata.name" {
			c.invalid(&here, "key", r.Key, "not a valid field selector key")
		}
	}
}

func (c *check) nodeRequirement(at *loc, r *corev1.NodeSelectorRequirement) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			c.required(at, "values", "must be specified when `operator` is 'In' or 'NotIn'")
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			c.forbidden(at, "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			c.required(at, "values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
		}
	default:
		c.invalid(at, "operator", r.Operator, "not a valid selector operator")
	}
	c.qualified(at, "key", r.Key)
	for i, v := range r.Values {
		if !isLabelValue(v) {
			here := at.index("values", i)
			c.labelValue(&here, v)
		}
	}
}

func (c *check) podAffinity(at *loc, must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm) {
	for i := range must {
		here := at.index(required, i)
		c.podTerm(&here, &must[i])
	}
	for i := range should {
		here := at.index(preferred, i)
		c.weight(&here, should[i].Weight)
		term := here.dot("podAffinityTerm")
		c.podTerm(&term, &should[i].PodAffinityTerm)
	}
}

func (c *check) podTerm(at *loc, t *corev1.PodAffinityTerm) {
	c.selector(at, "labelSelector", t.LabelSelector)
	c.selector(at, "namespaceSelector", t.NamespaceSelector)
	for i, ns := range t.Namespaces {
		if !isLabel(ns) {
			here := at.index("namespaces", i)
			c.label(&here, "", ns)
		}
	}
	if strings.TrimSpace(t.TopologyKey) == "" {
		c.required(at, "topologyKey", "can not be empty")
	} else {
		c.qualified(at, "topologyKey", t.TopologyKey)
	}
}
