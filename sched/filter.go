package sched

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/placement"
)

// The reasons for which a filter rejects a node, in kube-scheduler's words.
const (
	reasonUnschedulable = "node(s) were unschedulable"
	reasonNodeName      = "node(s) didn't match the requested node name"
	reasonAffinity      = "node(s) didn't match Pod's node affinity/selector"
	reasonPorts         = "node(s) didn't have free ports for the requested pod ports"
	reasonPods          = "Too many pods"
)

// filter says why node i cannot take the pod, nil if it can. hopeless means that
// no preemption on the node would help. The first filter that rejects a node ends
// the walk, in the order of kube-scheduler's default profile.
func (s *Snapshot) filter(i int, w *wish) (why []string, hopeless bool) {
	n := s.nodes[i]
	spec := &w.pod.Spec
	if n.Spec.Unschedulable && !toleratesUnschedulable(spec.Tolerations) {
		return []string{reasonUnschedulable}, true
	}
	if spec.NodeName != "" && spec.NodeName != n.Name {
		return []string{reasonNodeName}, true
	}
	if len(n.Spec.Taints) > 0 {
		if t := untolerated(n.Spec.Taints, spec.Tolerations); t != nil {
			return []string{fmt.Sprintf("node(s) had untolerated taint {%s: %s}", t.Key, t.Value)}, true
		}
	}
	if w.selector != nil && !w.selector.matches(n) {
		return []string{reasonAffinity}, true
	}
	if len(w.ports) > 0 && s.portsTaken(i, w.ports) {
		return []string{reasonPorts}, false
	}
	return s.fit(i, w)
}

// fit is NodeResourcesFit: every resource that is short is a reason of its own.
func (s *Snapshot) fit(i int, w *wish) (why []string, hopeless bool) {
	a, u := &s.alloc[i], &s.used[i]
	if u.pods+1 > a.pods {
		why = append(why, reasonPods)
	}
	short := func(name corev1.ResourceName, want, used, has int64) {
		if want > 0 && want > has-used {
			why = append(why, "Insufficient "+string(name))
			hopeless = hopeless || want > has
		}
	}
	short(corev1.ResourceCPU, w.req.cpuMilli, u.cpuMilli, a.cpuMilli)
	short(corev1.ResourceMemory, w.req.memBytes, u.memBytes, a.memBytes)
	short(corev1.ResourceEphemeralStorage, w.req.diskBytes, u.diskBytes, a.diskBytes)
	if w.req.other != nil {
		names := make([]corev1.ResourceName, 0, len(w.req.other))
		for name := range w.req.other {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			short(name, w.req.other[name], u.other[name], a.other[name])
		}
	}
	return why, hopeless
}

func (s *Snapshot) portsTaken(i int, want []hostPort) bool {
	for _, p := range want {
		for q := range s.ports[i] { //det:ok asks whether any conflicts
			if p.port == q.port && p.proto == q.proto && (wild(p.ip) || wild(q.ip) || p.ip == q.ip) {
				return true
			}
		}
	}
	return false
}

func wild(ip string) bool { return ip == "" || ip == "0.0.0.0" }

func toleratesUnschedulable(list []corev1.Toleration) bool {
	t := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	return placement.Tolerated(&t, list)
}

// untolerated returns the first taint that keeps the pod away, or nil.
func untolerated(taints []corev1.Taint, list []corev1.Toleration) *corev1.Taint {
	for i := range taints {
		t := &taints[i]
		if t.Effect != corev1.TaintEffectPreferNoSchedule && !placement.Tolerated(t, list) {
			return t
		}
	}
	return nil
}
