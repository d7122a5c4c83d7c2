package draw

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (c *Cluster) nodeAffinity(s *corev1.PodSpec) {
	if c.chance(35) {
		s.NodeSelector = map[string]string{}
		key := pick(c, "disk", "rack", corev1.LabelTopologyZone)
		s.NodeSelector[key] = c.nodeValue(key)
	}
	if c.chance(35) {
		return
	}
	a := &corev1.NodeAffinity{}
	if c.chance(60) {
		a.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{}
		for range c.between(1, 2) {
			terms := &a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
			*terms = append(*terms, c.nodeTerm(true))
		}
	}
	for range c.between(0, 3) {
		a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.PreferredSchedulingTerm{Weight: int32(c.between(1, 100)), Preference: c.nodeTerm(false)})
	}
	s.Affinity = &corev1.Affinity{NodeAffinity: a}
}

func (c *Cluster) nodeValue(key string) string {
	switch key {
	case "disk":
		return pick(c, "ssd", "hdd")
	case "rack":
		return pick(c, "a", "b", "c")
	case "gen":
		return pick(c, "1", "2", "5", "10")
	default:
		return pick(c, zoneA, zoneB, zoneC)
	}
}

func (c *Cluster) nodeTerm(fields bool) (t corev1.NodeSelectorTerm) {
	for range c.between(0, 2) {
		key := pick(c, "disk", "rack", "gen", corev1.LabelTopologyZone)
		t.MatchExpressions = append(t.MatchExpressions, c.requirement(key))
	}
	if fields && c.chance(20) {
		t.MatchFields = []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField,
			Operator: pick(c, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn),
			Values:   []string{pick(c, append(c.nodeNames(), "gone")...)}}}
	}
	return t
}

func (c *Cluster) nodeNames() []string {
	out := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		out[i] = n.Name
	}
	return out
}

func (c *Cluster) requirement(key string) corev1.NodeSelectorRequirement {
	r := corev1.NodeSelectorRequirement{Key: key, Operator: pick(c, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn,
		corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist)}
	if key == "gen" {
		r.Operator = pick(c, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt)
	}
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		for range c.between(1, 2) {
			r.Values = append(r.Values, c.nodeValue(key))
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		r.Values = []string{c.nodeValue(key)}
	}
	return r
}

func (c *Cluster) podAffinity(pod *corev1.Pod) {
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	a := pod.Spec.Affinity
	if c.chance(55) {
		a.PodAffinity = &corev1.PodAffinity{}
		a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = c.podTerms(pod)
	}
	if c.chance(55) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{}
		a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = c.podTerms(pod)
	}
}

func (c *Cluster) podTerms(pod *corev1.Pod) (must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm) {
	if c.chance(50) {
		for range c.between(1, 2) {
			must = append(must, c.podTerm(pod))
		}
	}
	if c.chance(60) {
		for range c.between(1, 3) {
			should = append(should, corev1.WeightedPodAffinityTerm{Weight: int32(c.between(1, 100)), PodAffinityTerm: c.podTerm(pod)})
		}
	}
	return must, should
}

func (c *Cluster) topology() string {
	return pick(c, corev1.LabelHostname, corev1.LabelHostname, corev1.LabelTopologyZone, corev1.LabelTopologyZone, corev1.LabelTopologyRegion, "rack")
}

func (c *Cluster) podTerm(pod *corev1.Pod) corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{TopologyKey: c.topology(), LabelSelector: c.selector()}
	switch c.between(0, 9) {
	case 0, 1:
		t.Namespaces = []string{c.namespace()}
	case 2:
		t.Namespaces = []string{c.namespace(), "gone"}
		t.NamespaceSelector = c.namespaceSelector()
	case 3, 4:
		t.NamespaceSelector = c.namespaceSelector()
	}
	if t.LabelSelector != nil && c.chance(15) {
		t.MatchLabelKeys = []string{"pod-template-hash"}
	}
	if t.LabelSelector != nil && c.chance(10) {
		t.MismatchLabelKeys = []string{"tier"}
	}
	return t
}

func (c *Cluster) namespaceSelector() *metav1.LabelSelector {
	if c.chance(30) {
		return &metav1.LabelSelector{}
	}
	if c.chance(30) {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team",
			Operator: pick(c, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{pick(c, "team", "env"): pick(c, "a", "b", "prod", "dev")}}
}

func (c *Cluster) selector() *metav1.LabelSelector {
	switch c.between(0, 19) {
	case 0:
		return nil
	case 1:
		return &metav1.LabelSelector{}
	case 2, 3, 4:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: pick(c, "app", "tier"),
			Operator: pick(c, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}}}
	case 5, 6, 7:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app",
			Operator: pick(c, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn), Values: []string{"a", pick(c, "b", "c")}}}}
	case 8, 9:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": pick(c, "x", "y")}}
	default:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": pick(c, "a", "b", "c")}}
	}
}

func (c *Cluster) spread() (out []corev1.TopologySpreadConstraint) {
	for range c.between(1, 3) {
		t := corev1.TopologySpreadConstraint{MaxSkew: int32(pick(c, 1, 1, 2, 5)), TopologyKey: c.topology(),
			WhenUnsatisfiable: pick(c, corev1.DoNotSchedule, corev1.ScheduleAnyway), LabelSelector: c.selector()}
		if t.WhenUnsatisfiable == corev1.DoNotSchedule && c.chance(25) {
			t.MinDomains = ptr(int32(c.between(1, 4)))
		}
		if c.chance(30) {
			t.NodeAffinityPolicy = ptr(pick(c, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
		}
		if c.chance(30) {
			t.NodeTaintsPolicy = ptr(pick(c, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore))
		}
		if t.LabelSelector != nil && c.chance(20) {
			t.MatchLabelKeys = []string{"pod-template-hash"}
		}
		out = append(out, t)
	}
	return out
}

// mergeLabelKeys does what an API server does to the terms of a pod that is created:
// the values of its own labels go into the selectors. Those of spread constraints
// are left alone half of the time, as by servers before 1.34.
func (c *Cluster) mergeLabelKeys(pod *corev1.Pod) {
	for i := range pod.Spec.TopologySpreadConstraints {
		t := &pod.Spec.TopologySpreadConstraints[i]
		if len(t.MatchLabelKeys) > 0 && c.chance(50) {
			mergeKey(t.LabelSelector, pod, t.MatchLabelKeys[0], metav1.LabelSelectorOpIn)
		}
	}
	a := pod.Spec.Affinity
	if a == nil {
		return
	}
	var terms []*corev1.PodAffinityTerm
	if a.PodAffinity != nil {
		terms = append(terms, termsOf(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)...)
	}
	if a.PodAntiAffinity != nil {
		terms = append(terms, termsOf(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)...)
	}
	for _, t := range terms {
		for _, key := range t.MatchLabelKeys {
			mergeKey(t.LabelSelector, pod, key, metav1.LabelSelectorOpIn)
		}
		for _, key := range t.MismatchLabelKeys {
			mergeKey(t.LabelSelector, pod, key, metav1.LabelSelectorOpNotIn)
		}
	}
}

func termsOf(must []corev1.PodAffinityTerm, should []corev1.WeightedPodAffinityTerm) (out []*corev1.PodAffinityTerm) {
	for i := range must {
		out = append(out, &must[i])
	}
	for i := range should {
		out = append(out, &should[i].PodAffinityTerm)
	}
	return out
}

func mergeKey(sel *metav1.LabelSelector, pod *corev1.Pod, key string, op metav1.LabelSelectorOperator) {
	if v, ok := pod.Labels[key]; ok {
		sel.MatchExpressions = append(sel.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: op, Values: []string{v}})
	}
}
