package backend

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Selects says whether a service has endpoints that a controller makes: it has a
// selector, and is no alias for a name outside.
func Selects(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.Selector != nil
}

// Headless says whether a service has no address of its own.
func Headless(s *corev1.Service) bool {
	return s.Spec.ClusterIP == corev1.ClusterIPNone || s.Spec.ClusterIP == ""
}

// Pods walks the pods that a service selects, in the order of their names.
func Pods(v *view.View, s *corev1.Service) func(func(*corev1.Pod) bool) {
	if len(s.Spec.Selector) == 0 {
		return view.In[*corev1.Pod](v, kinds.Pod, s.Namespace) // an empty selector, unlike none, selects all
	}
	return v.PodsSelected(s.Namespace, s.Spec.Selector)
}

// Counts says whether a pod has a place among the endpoints: it runs or is about
// to, and has an address; one that is being deleted only where leaving is set.
func Counts(p *corev1.Pod, leaving bool) bool {
	if view.Finished(p) || (p.Status.PodIP == "" && len(p.Status.PodIPs) == 0) {
		return false
	}
	return leaving || p.DeletionTimestamp == nil
}

// Hostname is the name under which a service's DNS knows the pod, "" for none.
func Hostname(p *corev1.Pod, s *corev1.Service) string {
	if p.Spec.Hostname != "" && p.Spec.Subdomain == s.Name && s.Namespace == p.Namespace {
		return p.Spec.Hostname
	}
	return ""
}

// Port is the number of the pod's port that a service port means; ok is false when
// the pod has no container port of that name.
func Port(p *corev1.Pod, s *corev1.ServicePort) (port int32, ok bool) {
	if s.TargetPort.Type == intstr.Int {
		if n := s.TargetPort.IntVal; n != 0 {
			return n, true
		}
		return s.Port, true
	}
	for i := range p.Spec.Containers {
		if n, ok := namedPort(&p.Spec.Containers[i], s); ok {
			return n, true
		}
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue // only sidecars serve
		}
		if n, ok := namedPort(c, s); ok {
			return n, true
		}
	}
	return 0, false
}

func namedPort(c *corev1.Container, s *corev1.ServicePort) (int32, bool) {
	for _, port := range c.Ports {
		if port.Name == s.TargetPort.StrVal && port.Protocol == s.Protocol {
			return port.ContainerPort, true
		}
	}
	return 0, false
}

// Reference is how endpoints name the pod behind them.
func Reference(p *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID}
}

// Concerned asks for the services that a pod's change concerns: all that select it
// when its address, node, phase, readiness or deletion changed, and when its
// labels did, those that select it before but not after or the other way round.
func Concerned(v *view.View, e store.Event, add func(kinds.Ref)) {
	var old, now *corev1.Pod
	if e.Old != nil {
		old = e.Old.(*corev1.Pod)
	}
	if e.Type != store.Deleted {
		now = e.Object.(*corev1.Pod)
	}
	if old != nil && now != nil && maps.Equal(old.Labels, now.Labels) {
		if changed(old, now) {
			ask(v.ServicesOf(now.Namespace, now.Labels), add)
		}
		return
	}
	for _, p := range []*corev1.Pod{old, now} {
		if p != nil && Counts(p, true) {
			ask(v.ServicesOf(p.Namespace, p.Labels), add)
		}
	}
}

func ask(services []*corev1.Service, add func(kinds.Ref)) {
	for _, s := range services {
		if Selects(s) {
			add(kinds.RefOf(s))
		}
	}
}

func changed(old, now *corev1.Pod) bool {
	was, is := Counts(old, true), Counts(now, true)
	if was != is {
		return true
	}
	return is && (view.Ready(old) != view.Ready(now) ||
		(old.DeletionTimestamp == nil) != (now.DeletionTimestamp == nil) ||
		old.Status.PodIP != now.Status.PodIP || old.Spec.NodeName != now.Spec.NodeName ||
		!slices.Equal(old.Status.PodIPs, now.Status.PodIPs))
}
