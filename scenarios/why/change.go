package why

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Describe says in words what a write changed.
func Describe(e store.Event) string {
	switch e.Type {
	case store.Added:
		return "created" + tail(state(e.Object))
	case store.Deleted:
		return "deleted"
	}
	parts := differences(e.Old, e.Object)
	if e.Old.GetDeletionTimestamp() == nil && e.Object.GetDeletionTimestamp() != nil {
		parts = append([]string{"marked for deletion"}, parts...)
	}
	return strings.Join(parts, ", ")
}

func tail(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

// differences names what changed of the things a person asks about.
func differences(old, now kinds.Object) []string {
	was, is := aspects(old), aspects(now)
	var out []string
	for i := range is {
		switch {
		case i >= len(was) || was[i].value == is[i].value:
		case was[i].value == "":
			out = append(out, is[i].name+is[i].verb()+is[i].value)
		case is[i].value == "":
			out = append(out, is[i].name+is[i].verb()+"no longer "+was[i].value)
		default:
			out = append(out, fmt.Sprintf("%s%sfrom %s to %s", is[i].name, map[bool]string{false: " goes ", true: " go "}[is[i].plural()], was[i].value, is[i].value))
		}
	}
	return out
}

// state is an object's aspects in one line.
func state(o kinds.Object) string {
	var parts []string
	for _, a := range aspects(o) {
		if a.value != "" {
			parts = append(parts, a.name+" "+a.value)
		}
	}
	return strings.Join(parts, ", ")
}

type aspect struct{ name, value string }

// plural says whether the aspect's name is a plural, and verb is "is" or "are".
func (a aspect) plural() bool { return strings.HasSuffix(a.name, "s") }

func (a aspect) verb() string {
	if a.plural() {
		return " are "
	}
	return " is "
}

// aspects are what of an object its history is told by, the same list for every
// object of a kind.
func aspects(o kinds.Object) []aspect {
	switch o := o.(type) {
	case *corev1.Pod:
		return podAspects(o)
	case *corev1.Node:
		ready, schedulable := "", ""
		for _, c := range o.Status.Conditions {
			if c.Type == corev1.NodeReady {
				ready = string(c.Status)
			}
		}
		if o.Spec.Unschedulable {
			schedulable = "set"
		}
		return []aspect{{"Ready", ready}, {"unschedulable", schedulable}, {"taints", taints(o)}, {"pod network", o.Spec.PodCIDR}}
	case *appsv1.Deployment:
		return []aspect{{"replicas", count(o.Spec.Replicas)}, {"image", images(&o.Spec.Template.Spec)},
			{"updated", num(o.Status.UpdatedReplicas)}, {"available", num(o.Status.AvailableReplicas)}}
	case *appsv1.ReplicaSet:
		return []aspect{{"replicas", count(o.Spec.Replicas)}, {"pods", num(o.Status.Replicas)}, {"available", num(o.Status.AvailableReplicas)}}
	case *corev1.ReplicationController:
		return []aspect{{"replicas", count(o.Spec.Replicas)}, {"pods", num(o.Status.Replicas)}, {"available", num(o.Status.AvailableReplicas)}}
	case *corev1.Service:
		return []aspect{{"cluster IP", o.Spec.ClusterIP}}
	case *corev1.Namespace:
		return []aspect{{"phase", string(o.Status.Phase)}}
	case *discoveryv1.EndpointSlice:
		ready := 0
		for _, e := range o.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready++
			}
		}
		return []aspect{{"ready endpoints", fmt.Sprint(ready)}}
	case *corev1.Endpoints:
		ready := 0
		for _, s := range o.Subsets {
			ready += len(s.Addresses)
		}
		return []aspect{{"ready addresses", fmt.Sprint(ready)}}
	}
	return nil
}

func podAspects(p *corev1.Pod) []aspect {
	ready, waiting, unschedulable := "", "", ""
	if c := view.Condition(p, corev1.PodReady); c != nil {
		ready = string(c.Status)
	}
	if c := view.Condition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		unschedulable = c.Message
	}
	restarts := int32(0)
	for _, list := range [2][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			restarts += c.RestartCount
			if c.State.Waiting != nil && c.State.Waiting.Reason != "ContainerCreating" && c.State.Waiting.Reason != "PodInitializing" {
				waiting = c.State.Waiting.Reason
			}
		}
	}
	restarted := ""
	if restarts > 0 {
		restarted = num(restarts)
	}
	return []aspect{{"node", p.Spec.NodeName}, {"phase", string(p.Status.Phase)}, {"Ready", ready},
		{"reason", p.Status.Reason}, {"waiting", waiting}, {"restarts", restarted}, {"unschedulable", unschedulable}}
}

func taints(n *corev1.Node) string {
	var keys []string
	for _, t := range n.Spec.Taints {
		keys = append(keys, strings.TrimPrefix(t.Key, "node.kubernetes.io/")+":"+string(t.Effect))
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

func images(spec *corev1.PodSpec) string {
	var out []string
	for _, c := range spec.Containers {
		out = append(out, c.Image)
	}
	return strings.Join(out, " ")
}

func count(n *int32) string {
	if n == nil {
		return "1"
	}
	return num(*n)
}

func num(n int32) string { return fmt.Sprint(n) }
