package endpoint

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/backend"
)

// addressesMax is how many addresses one Endpoints object holds.
const addressesMax = 1000

// subsets are the addresses behind a service, grouped by the ports that they serve
// on, repacked as Kubernetes does it: one subset per distinct set of ports.
func subsets(v *view.View, s *corev1.Service) []corev1.EndpointSubset {
	var groups []*corev1.EndpointSubset // few: as many as sets of named ports differ
	named := slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.TargetPort.Type == intstr.String })
	var ports []corev1.EndpointPort // the same for every pod, but where they are named
	for pod := range backend.Pods(v, s) {
		if !backend.Counts(pod, s.Spec.PublishNotReadyAddresses) {
			continue
		}
		address, ok := addressOf(pod, s)
		if !ok {
			continue
		}
		if ports == nil || named {
			ports = portsOf(pod, s)
		}
		if len(ports) == 0 && (len(s.Spec.Ports) > 0 || s.Spec.ClusterIP != corev1.ClusterIPNone) {
			continue // without ports only a headless service has endpoints
		}
		g := groupOf(&groups, ports)
		if s.Spec.PublishNotReadyAddresses || view.Ready(pod) {
			g.Addresses = append(g.Addresses, address)
		} else {
			g.NotReadyAddresses = append(g.NotReadyAddresses, address)
		}
	}
	out := make([]corev1.EndpointSubset, 0, len(groups))
	for _, g := range groups {
		slices.SortFunc(g.Addresses, compareAddresses)
		slices.SortFunc(g.NotReadyAddresses, compareAddresses)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b corev1.EndpointSubset) int { return slices.CompareFunc(a.Ports, b.Ports, comparePorts) })
	return out
}

func groupOf(groups *[]*corev1.EndpointSubset, ports []corev1.EndpointPort) *corev1.EndpointSubset {
	for _, g := range *groups {
		if slices.EqualFunc(g.Ports, ports, func(a, b corev1.EndpointPort) bool { return comparePorts(a, b) == 0 }) {
			return g
		}
	}
	g := &corev1.EndpointSubset{Ports: ports}
	*groups = append(*groups, g)
	return g
}

func compareAddresses(a, b corev1.EndpointAddress) int {
	return cmp.Or(strings.Compare(a.IP, b.IP), strings.Compare(string(a.TargetRef.UID), string(b.TargetRef.UID)))
}

func comparePorts(a, b corev1.EndpointPort) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
		strings.Compare(protocolOf(a), protocolOf(b)))
}

func protocolOf(p corev1.EndpointPort) string {
	if p.AppProtocol == nil {
		return ""
	}
	return *p.AppProtocol
}

// portsOf are the ports that the pod serves of the service's, sorted. A port whose
// name the pod does not have is left out.
func portsOf(pod *corev1.Pod, s *corev1.Service) []corev1.EndpointPort {
	var out []corev1.EndpointPort
	for i := range s.Spec.Ports {
		sp := &s.Spec.Ports[i]
		if n, ok := backend.Port(pod, sp); ok {
			out = append(out, corev1.EndpointPort{Name: sp.Name, Port: n, Protocol: sp.Protocol, AppProtocol: sp.AppProtocol})
		}
	}
	slices.SortFunc(out, comparePorts)
	return slices.CompactFunc(out, func(a, b corev1.EndpointPort) bool { return comparePorts(a, b) == 0 })
}

// addressOf is the pod's address of the service's family; ok is false if it has
// none of that family.
func addressOf(pod *corev1.Pod, s *corev1.Service) (a corev1.EndpointAddress, ok bool) {
	ip := pod.Status.PodIP
	if wantV6 := wantsIPv6(s, ip); strings.Contains(ip, ":") != wantV6 {
		i := slices.IndexFunc(pod.Status.PodIPs, func(x corev1.PodIP) bool { return strings.Contains(x.IP, ":") == wantV6 })
		if i < 0 {
			return a, false
		}
		ip = pod.Status.PodIPs[i].IP
	}
	a = corev1.EndpointAddress{IP: ip, Hostname: backend.Hostname(pod, s), TargetRef: backend.Reference(pod)}
	if pod.Spec.NodeName != "" {
		a.NodeName = &pod.Spec.NodeName
	}
	return a, true
}

// wantsIPv6 is the service's first family; where it has none (headless, from
// before families), that of the address at hand.
func wantsIPv6(s *corev1.Service, podIP string) bool {
	switch {
	case len(s.Spec.IPFamilies) > 0:
		return s.Spec.IPFamilies[0] == corev1.IPv6Protocol
	case !backend.Headless(s):
		return strings.Contains(s.Spec.ClusterIP, ":")
	}
	return strings.Contains(podIP, ":")
}

// truncate keeps at most addressesMax addresses: of the ready ones, or else all of
// them and of the others; each subset in proportion, rounded up, the last gets
// what is left (Kubernetes' truncateEndpoints). It says whether it cut anything.
func truncate(list []corev1.EndpointSubset) bool {
	ready, others := 0, 0
	for i := range list {
		ready += len(list[i].Addresses)
		others += len(list[i].NotReadyAddresses)
	}
	if ready+others <= addressesMax {
		return false
	}
	cutReady := ready > addressesMax
	room, total := addressesMax-ready, others
	if cutReady {
		room, total = addressesMax, ready
	}
	left := room
	for i := range list {
		s := &list[i]
		if cutReady {
			n := min(left, (len(s.Addresses)*room+total-1)/total)
			s.Addresses, s.NotReadyAddresses = s.Addresses[:n], nil
			left -= n
		} else {
			n := min(left, (len(s.NotReadyAddresses)*room+total-1)/total)
			s.NotReadyAddresses = s.NotReadyAddresses[:n]
			left -= n
		}
	}
	return true
}

// sameSubsets compares subsets in their order; it is the whole of a quiet turn.
func sameSubsets(a, b []corev1.EndpointSubset) bool {
	return slices.EqualFunc(a, b, func(x, y corev1.EndpointSubset) bool {
		return slices.EqualFunc(x.Ports, y.Ports, func(p, q corev1.EndpointPort) bool { return comparePorts(p, q) == 0 }) &&
			slices.EqualFunc(x.Addresses, y.Addresses, sameAddress) &&
			slices.EqualFunc(x.NotReadyAddresses, y.NotReadyAddresses, sameAddress)
	})
}

func sameAddress(a, b corev1.EndpointAddress) bool {
	if a.IP != b.IP || a.Hostname != b.Hostname || (a.NodeName == nil) != (b.NodeName == nil) || (a.TargetRef == nil) != (b.TargetRef == nil) {
		return false
	}
	return (a.NodeName == nil || *a.NodeName == *b.NodeName) && (a.TargetRef == nil || *a.TargetRef == *b.TargetRef)
}
