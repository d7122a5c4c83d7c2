// Package placement says what a node's labels and taints mean to a pod: the rules
// that the scheduler, the DaemonSet controller and the eviction by taint share. They
// are pure functions of the API's own types.
package placement

import (
	"cmp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AnyTermMatches says whether one of a node selector's terms matches the node; no
// term matches none
// (kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#node-affinity).
func AnyTermMatches(terms []corev1.NodeSelectorTerm, n *corev1.Node) bool {
	for i := range terms {
		if TermMatches(&terms[i], n) {
			return true
		}
	}
	return false
}

// TermMatches says whether all of a term's requirements hold; a term without any
// matches no node.
func TermMatches(t *corev1.NodeSelectorTerm, n *corev1.Node) bool {
	if len(t.MatchExpressions) == 0 && len(t.MatchFields) == 0 {
		return false
	}
	for i := range t.MatchExpressions {
		value, has := n.Labels[t.MatchExpressions[i].Key]
		if !holds(&t.MatchExpressions[i], value, has) {
			return false
		}
	}
	for i := range t.MatchFields {
		if f := &t.MatchFields[i]; f.Key != metav1.ObjectNameField || !holds(f, n.Name, true) {
			return false
		}
	}
	return true
}

func holds(r *corev1.NodeSelectorRequirement, value string, has bool) bool {
	switch r.Operator {
	case corev1.NodeSelectorOpIn:
		return has && slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpNotIn:
		return !has || !slices.Contains(r.Values, value)
	case corev1.NodeSelectorOpExists:
		return has
	case corev1.NodeSelectorOpDoesNotExist:
		return !has
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if !has || len(r.Values) != 1 {
			return false
		}
		a, errA := strconv.ParseInt(value, 10, 64)
		b, errB := strconv.ParseInt(r.Values[0], 10, 64)
		if errA != nil || errB != nil {
			return false
		}
		return r.Operator == corev1.NodeSelectorOpGt && a > b || r.Operator == corev1.NodeSelectorOpLt && a < b
	}
	return false
}

// Tolerated says whether one of the tolerations bears the taint.
func Tolerated(t *corev1.Taint, list []corev1.Toleration) bool {
	for i := range list {
		if Tolerates(&list[i], t) {
			return true
		}
	}
	return false
}

// Tolerates says whether a toleration bears a taint: an empty effect and an empty key
// stand for any, and Exists for any value
// (kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration).
func Tolerates(l *corev1.Toleration, t *corev1.Taint) bool {
	if l.Effect != "" && l.Effect != t.Effect || l.Key != "" && l.Key != t.Key {
		return false
	}
	switch l.Operator {
	case corev1.TolerationOpExists:
		return true
	case "", corev1.TolerationOpEqual:
		return l.Value == t.Value
	}
	return false
}

// HostPort is a port of its node that a pod asks for.
type HostPort struct {
	IP       string // 0.0.0.0 for every address of the node
	Protocol corev1.Protocol
	Port     int32
}

// everyAddress is the IP of a host port that names none.
const everyAddress = "0.0.0.0"

// Clashes says whether two pods of a node cannot both have their ports.
func (h HostPort) Clashes(o HostPort) bool {
	return h.Port == o.Port && h.Protocol == o.Protocol && (h.IP == o.IP || h.IP == everyAddress || o.IP == everyAddress)
}

// HostPorts are the ports of the node that a pod's containers, sidecars among them,
// ask for. Those of a pod in the host's network are among them, as its defaults say so.
func HostPorts(spec *corev1.PodSpec) (out []HostPort) {
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				out = append(out, HostPort{cmp.Or(p.HostIP, everyAddress), cmp.Or(p.Protocol, corev1.ProtocolTCP), p.HostPort})
			}
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	return out
}
