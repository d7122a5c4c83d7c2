package endpointslice

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/backend"
)

// want is what the slices of one service, family and set of ports should hold
// together.
type want struct {
	family    discoveryv1.AddressType
	ports     []discoveryv1.EndpointPort
	portsID   string
	endpoints []discoveryv1.Endpoint // in the order of the pods' names
	at        map[types.UID]int      // by the pod's UID, in endpoints
}

// wants are the groups of a service's endpoints, in the order in which their first
// pods come; every family of the service has at least one group, if an empty one.
func wants(v *view.View, s *corev1.Service) []*want {
	var list []*want
	families := familiesOf(v, s)
	named := slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.TargetPort.Type == intstr.String })
	var ports []discoveryv1.EndpointPort
	var id string
	for pod := range backend.Pods(v, s) {
		if !backend.Counts(pod, true) {
			continue
		}
		zone, known := zoneOf(v, pod)
		if !known && !s.Spec.PublishNotReadyAddresses {
			continue // its node is gone, and so will it be
		}
		if ports == nil || named {
			ports, id = portsOf(pod, s)
		}
		for _, family := range families {
			if e, ok := endpointOf(pod, s, family, zone); ok {
				list = groupOf(list, family, ports, id).with(e)
			}
		}
	}
	for _, family := range families {
		if !slices.ContainsFunc(list, func(w *want) bool { return w.family == family }) {
			list = append(list, &want{family: family, at: map[types.UID]int{}})
		}
	}
	return list
}

// group is a list of wants while it is being filled.
type group struct {
	list []*want
	in   *want
}

func groupOf(list []*want, family discoveryv1.AddressType, ports []discoveryv1.EndpointPort, id string) group {
	for _, w := range list {
		if w.family == family && w.portsID == id {
			return group{list, w}
		}
	}
	w := &want{family: family, ports: ports, portsID: id, at: map[types.UID]int{}}
	return group{append(list, w), w}
}

func (g group) with(e discoveryv1.Endpoint) []*want {
	g.in.at[e.TargetRef.UID] = len(g.in.endpoints)
	g.in.endpoints = append(g.in.endpoints, e)
	return g.list
}

// familiesOf are the service's address families; a headless one from before
// families takes those of its pods.
func familiesOf(v *view.View, s *corev1.Service) []discoveryv1.AddressType {
	v4, v6 := false, false
	for _, f := range s.Spec.IPFamilies {
		v4, v6 = v4 || f == corev1.IPv4Protocol, v6 || f == corev1.IPv6Protocol
	}
	switch {
	case len(s.Spec.IPFamilies) > 0:
	case !backend.Headless(s):
		v6 = strings.Contains(s.Spec.ClusterIP, ":")
		v4 = !v6
	default:
		for pod := range backend.Pods(v, s) {
			if ip := pod.Status.PodIP; ip != "" {
				v6 = strings.Contains(ip, ":")
				break
			}
		}
		v4 = !v6
	}
	var out []discoveryv1.AddressType
	if v4 {
		out = append(out, discoveryv1.AddressTypeIPv4)
	}
	if v6 {
		out = append(out, discoveryv1.AddressTypeIPv6)
	}
	return out
}

// zoneOf is the zone of the pod's node; known is false if the node is gone.
func zoneOf(v *view.View, pod *corev1.Pod) (zone string, known bool) {
	if pod.Spec.NodeName == "" {
		return "", true
	}
	n := v.Node(pod.Spec.NodeName)
	if n == nil {
		return "", false
	}
	return n.Labels[corev1.LabelTopologyZone], true
}

func endpointOf(pod *corev1.Pod, s *corev1.Service, family discoveryv1.AddressType, zone string) (e discoveryv1.Endpoint, ok bool) {
	take := func(ip string) {
		if strings.Contains(ip, ":") == (family == discoveryv1.AddressTypeIPv6) {
			e.Addresses = append(e.Addresses, ip)
		}
	}
	for _, ip := range pod.Status.PodIPs {
		take(ip.IP)
	}
	if len(pod.Status.PodIPs) == 0 {
		take(pod.Status.PodIP)
	}
	if len(e.Addresses) == 0 {
		return e, false
	}
	serving, terminating := view.Ready(pod), pod.DeletionTimestamp != nil
	// Ready is never true of a pod that is leaving, but where it is published anyway.
	ready := s.Spec.PublishNotReadyAddresses || (serving && !terminating)
	e.Conditions = discoveryv1.EndpointConditions{Ready: pointer(ready), Serving: pointer(serving), Terminating: pointer(terminating)}
	e.TargetRef = backend.Reference(pod)
	if pod.Spec.NodeName != "" {
		e.NodeName = &pod.Spec.NodeName
	}
	if zone != "" {
		e.Zone = &zone
	}
	if name := backend.Hostname(pod, s); name != "" {
		e.Hostname = &name
	}
	return e, true
}

var yes, no = true, false //det:ok constants that pointers can show to; nobody writes to them

func pointer(b bool) *bool {
	if b {
		return &yes
	}
	return &no
}

// portsOf are the service's ports as this pod serves them, sorted, and a text that
// is equal for equal ports.
func portsOf(pod *corev1.Pod, s *corev1.Service) ([]discoveryv1.EndpointPort, string) {
	var out []discoveryv1.EndpointPort
	for i := range s.Spec.Ports {
		sp := &s.Spec.Ports[i]
		if n, ok := backend.Port(pod, sp); ok {
			out = append(out, discoveryv1.EndpointPort{Name: &sp.Name, Port: &n, Protocol: &sp.Protocol, AppProtocol: sp.AppProtocol})
		}
	}
	slices.SortFunc(out, func(a, b discoveryv1.EndpointPort) int {
		return cmp.Or(strings.Compare(*a.Name, *b.Name), cmp.Compare(*a.Port, *b.Port))
	})
	return out, backend.PortsID(out)
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// sameEndpoint says whether an endpoint needs no change.
func sameEndpoint(a, b *discoveryv1.Endpoint) bool {
	return slices.Equal(a.Addresses, b.Addresses) &&
		deref(a.Conditions.Ready) == deref(b.Conditions.Ready) &&
		deref(a.Conditions.Serving) == deref(b.Conditions.Serving) &&
		deref(a.Conditions.Terminating) == deref(b.Conditions.Terminating) &&
		deref(a.NodeName) == deref(b.NodeName) && deref(a.Zone) == deref(b.Zone) && deref(a.Hostname) == deref(b.Hostname) &&
		deref(a.TargetRef) == deref(b.TargetRef)
}
