package nodeagent

import (
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/placement"
)

// resources are amounts that pods ask for and a node has.
type resources struct {
	cpuMilli, memBytes, diskBytes int64
	pods                          int64
}

func (r *resources) add(o resources, sign int64) {
	r.cpuMilli += sign * o.cpuMilli
	r.memBytes += sign * o.memBytes
	r.diskBytes += sign * o.diskBytes
	r.pods += sign * o.pods
}

func (r *resources) raise(o resources) {
	r.cpuMilli = max(r.cpuMilli, o.cpuMilli)
	r.memBytes = max(r.memBytes, o.memBytes)
	r.diskBytes = max(r.diskBytes, o.diskBytes)
}

func listed(l corev1.ResourceList) resources {
	var r resources
	if q, ok := l[corev1.ResourceCPU]; ok {
		r.cpuMilli = q.MilliValue()
	}
	if q, ok := l[corev1.ResourceMemory]; ok {
		r.memBytes = q.Value()
	}
	if q, ok := l[corev1.ResourceEphemeralStorage]; ok {
		r.diskBytes = q.Value()
	}
	return r
}

// podRequests is what a pod asks for: its app containers and sidecars together,
// or the most that an init container needs beside the sidecars before it, and the
// overhead; what the pod itself names goes before its containers. (KEP-753,
// KEP-2837.)
func podRequests(p *corev1.Pod) resources {
	var sum, sidecars, most resources
	for i := range p.Spec.Containers {
		sum.add(listed(p.Spec.Containers[i].Resources.Requests), 1)
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		r := listed(c.Resources.Requests)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sum.add(r, 1)
			sidecars.add(r, 1)
			r = sidecars
		} else {
			r.add(sidecars, 1)
		}
		most.raise(r)
	}
	sum.raise(most)
	if own := p.Spec.Resources; own != nil {
		r := listed(own.Requests)
		if r.cpuMilli > 0 {
			sum.cpuMilli = r.cpuMilli
		}
		if r.memBytes > 0 {
			sum.memBytes = r.memBytes
		}
	}
	sum.add(listed(p.Spec.Overhead), 1)
	sum.pods = 1
	return sum
}

// refuses says why a pod must not run on the node, whoever has assigned it: the
// kubelet's reason and message; empty if it may. What is looked at, and in this order,
// is what the kubelet looks at (pkg/kubelet/lifecycle): resources, the node's labels,
// host ports, taints with the effect NoExecute.
func (a *Agent) refuses(p *pod) (reason, message string) {
	if reason, message = a.lacks(p); reason != "" {
		return reason, message
	}
	node := a.node.seen
	if node == nil {
		node = a.nodeObject(a.node.template)
	}
	switch {
	case !selects(&p.api.Spec, node):
		reason, message = "NodeAffinity", "node(s) didn't match Pod's node affinity/selector"
	case a.portTaken(p):
		reason, message = "NodePorts", "node(s) didn't have free ports for the requested pod ports"
	case slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && !placement.Tolerated(&t, p.api.Spec.Tolerations)
	}):
		reason, message = "TaintToleration", "node(s) had taints that the pod didn't tolerate"
	default:
		return "", ""
	}
	return reason, "Predicate " + reason + " failed: " + message
}

// selects says whether a pod's node selector and required node affinity hold.
func selects(s *corev1.PodSpec, node *corev1.Node) bool {
	for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		if value, has := node.Labels[key]; !has || value != s.NodeSelector[key] {
			return false
		}
	}
	if s.Affinity == nil || s.Affinity.NodeAffinity == nil {
		return true
	}
	must := s.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	return must == nil || placement.AnyTermMatches(must.NodeSelectorTerms, node)
}

// portTaken says whether a pod that has not ended has a host port that this one wants.
func (a *Agent) portTaken(p *pod) bool {
	want := placement.HostPorts(&p.api.Spec)
	if len(want) == 0 {
		return false
	}
	for _, o := range a.pods { //det:ok says only whether there is one
		if o.holds && slices.ContainsFunc(placement.HostPorts(&o.api.Spec), func(h placement.HostPort) bool { return slices.ContainsFunc(want, h.Clashes) }) {
			return true
		}
	}
	return false
}

// lacks says of which resource there is not enough. One that the node does not name is
// not checked.
func (a *Agent) lacks(p *pod) (reason, message string) {
	have, want, used := &a.node.allocatable, &p.requests, &a.used
	for _, r := range [...]struct {
		name             corev1.ResourceName
		have, want, used int64
	}{
		{corev1.ResourcePods, have.pods, 1, used.pods},
		{corev1.ResourceCPU, have.cpuMilli, want.cpuMilli, used.cpuMilli},
		{corev1.ResourceMemory, have.memBytes, want.memBytes, used.memBytes},
		{corev1.ResourceEphemeralStorage, have.diskBytes, want.diskBytes, used.diskBytes},
	} {
		if r.have == 0 || r.want == 0 || r.used+r.want <= r.have {
			continue
		}
		num := func(n int64) string { return strconv.FormatInt(n, 10) }
		return "OutOf" + string(r.name), "Node didn't have enough resource: " + string(r.name) +
			", requested: " + num(r.want) + ", used: " + num(r.used) + ", capacity: " + num(r.have)
	}
	return "", ""
}

// refuse fails a pod at admission.
func (a *Agent) refuse(p *pod, reason, message string) {
	a.sayWarning(p, nil, reason, message)
	qos := p.api.Status.QOSClass
	if qos == "" {
		qos = qosClass(p.api)
	}
	p.stage = stageEnd
	p.status = &corev1.PodStatus{ObservedGeneration: p.api.Generation, Phase: corev1.PodFailed, Reason: reason,
		Message: "Pod was rejected: " + message, QOSClass: qos, StartTime: p.api.Status.StartTime}
	if p.status.StartTime == nil {
		t := a.stamp()
		p.status.StartTime = &t
	}
	for _, c := range p.api.Status.Conditions {
		if owned(c.Type) {
			p.status.Conditions = append(p.status.Conditions, c)
		}
	}
	a.sync(p)
}
