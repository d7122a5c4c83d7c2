package apiserver

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// adviseOn warns of what is allowed in an object and hardly meant
// (kubernetes.io/blog/2020/09/03/warnings).
func (c *call) adviseOn(o kinds.Object) {
	if o == nil || c.sub != "" {
		return
	}
	switch o := o.(type) {
	case *corev1.Endpoints:
		c.warn("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
	case *policyv1.PodDisruptionBudget:
		if s := o.Spec.Selector; s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
			c.warn("spec.selector: an empty selector matches all pods in the namespace")
		}
	case *corev1.Service:
		if len(o.Spec.ExternalIPs) > 0 {
			c.warn("spec.externalIPs: anyone who can write a service can take traffic for these addresses")
		}
	}
	if spec := api.PodSpecOf(o); spec != nil {
		for _, text := range podAdvice(spec, podSpecPath(o)) {
			c.warn(text)
		}
	}
}

func podSpecPath(o kinds.Object) string {
	switch kinds.Of(o) {
	case kinds.Pod:
		return "spec"
	case kinds.PodTemplate:
		return "template.spec"
	case kinds.CronJob:
		return "spec.jobTemplate.spec.template.spec"
	}
	return "spec.template.spec"
}

// oldNodeLabels are the names that well-known labels of nodes had.
var oldNodeLabels = []struct{ old, use, since string }{
	{"beta.kubernetes.io/arch", corev1.LabelArchStable, "v1.14"},
	{"beta.kubernetes.io/os", corev1.LabelOSStable, "v1.14"},
	{"failure-domain.beta.kubernetes.io/region", corev1.LabelTopologyRegion, "v1.17"},
	{"failure-domain.beta.kubernetes.io/zone", corev1.LabelTopologyZone, "v1.17"},
	{"beta.kubernetes.io/instance-type", corev1.LabelInstanceTypeStable, "v1.17"},
}

func podAdvice(spec *corev1.PodSpec, at string) []string {
	var out []string
	for _, l := range oldNodeLabels {
		if _, ok := spec.NodeSelector[l.old]; ok {
			out = append(out, fmt.Sprintf("%s.nodeSelector[%s]: deprecated since %s; use %q instead", at, l.old, l.since, l.use))
		}
	}
	aliases := map[string]int{}
	for i, a := range spec.HostAliases {
		if j, ok := aliases[a.IP]; ok {
			out = append(out, fmt.Sprintf("%s.hostAliases[%d].ip: duplicate ip %q with hostAliases[%d]", at, i, a.IP, j))
		}
		aliases[a.IP] = i
	}
	for name, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			where := fmt.Sprintf("%s.%s[%d]", at, [...]string{"initContainers", "containers"}[name], i)
			out = append(out, containerAdvice(&list[i], where)...)
		}
	}
	if s := spec.TerminationGracePeriodSeconds; s != nil && *s < 0 {
		out = append(out, at+".terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1")
	}
	return out
}

func containerAdvice(c *corev1.Container, at string) []string {
	var out []string
	seen := map[string]bool{}
	for i, e := range c.Env {
		if seen[e.Name] {
			out = append(out, fmt.Sprintf("%s.env[%d]: hides previous definition of %q, which may be dropped when using apply", at, i, e.Name))
		}
		seen[e.Name] = true
	}
	ports := map[corev1.ContainerPort]int{}
	for i, p := range c.Ports {
		p.Name = ""
		if j, ok := ports[p]; ok {
			out = append(out, fmt.Sprintf("%s.ports[%d]: duplicate port definition with %s.ports[%d]", at, i, at, j))
		}
		ports[p] = i
	}
	for _, r := range []struct {
		name string
		list corev1.ResourceList
	}{{"limits", c.Resources.Limits}, {"requests", c.Resources.Requests}} {
		if q, ok := r.list[corev1.ResourceMemory]; ok && q.MilliValue()%1000 != 0 {
			out = append(out, fmt.Sprintf("%s.resources.%s[memory]: fractional byte value %q is invalid, must be an integer", at, r.name, q.String()))
		}
	}
	return out
}
