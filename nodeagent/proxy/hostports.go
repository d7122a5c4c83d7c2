package proxy

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// hostPortsOf begins the namespace under which a pod's host ports are kept among the
// services; no namespace has a colon.
const hostPortsOf = "hostport:"

// HostPort is a port of the node that leads to one of its own pods.
type HostPort struct {
	Pod      kinds.Key
	Protocol corev1.Protocol
	Addr     netip.Addr // of the node; not valid for every one
	Port     uint16
	To       netip.AddrPort
}

func (h HostPort) compare(o HostPort) int {
	return cmp.Or(h.Pod.Compare(o.Pod), cmp.Compare(h.Port, o.Port), cmp.Compare(h.Protocol, o.Protocol), h.Addr.Compare(o.Addr), h.To.Compare(o.To))
}

// Clashes says whether two pods cannot both have their ports.
func (h HostPort) Clashes(o HostPort) bool {
	return h.Port == o.Port && h.Protocol == o.Protocol && (h.Addr == o.Addr || !h.Addr.IsValid() || !o.Addr.IsValid())
}

// WithHostPorts returns the rules with these host ports and no others; r itself if it
// has just them. Who comes keeps its address, as with a service of the policy Local. Of
// ports that clash, that of the first pod holds.
func (r *RuleSet) WithHostPorts(list []HostPort) *RuleSet {
	list = slices.Clone(list)
	slices.SortFunc(list, HostPort.compare)
	parts := map[kinds.Key]*Service{}
	for i, h := range list {
		if h.To.Addr().Is4() == r.Config.IPv6 || slices.ContainsFunc(list[:i], h.Clashes) {
			continue
		}
		key := kinds.Key{Namespace: hostPortsOf + h.Pod.Namespace, Name: h.Pod.Name}
		if parts[key] == nil {
			parts[key] = &Service{Key: key}
		}
		parts[key].Ports = append(parts[key].Ports, h.rules())
	}
	next := r
	change := func(key kinds.Key, part *Service) {
		if next == r {
			next = r.copy()
		}
		next.put(key, part)
	}
	for s := range r.Services() {
		if len(s.Key.Namespace) > len(hostPortsOf) && s.Key.Namespace[:len(hostPortsOf)] == hostPortsOf && parts[s.Key] == nil {
			change(s.Key, nil)
		}
	}
	for _, h := range list {
		key := kinds.Key{Namespace: hostPortsOf + h.Pod.Namespace, Name: h.Pod.Name}
		if part := parts[key]; part != nil && !equalServices(next.Service(key), part) {
			change(key, part)
		}
	}
	return next
}

func (h HostPort) rules() Port {
	to := []Endpoint{{Addr: h.To, Local: true}}
	p := Port{Name: strconv.Itoa(int(h.Port)), Protocol: h.Protocol, Cluster: to, Local: to, Anywhere: true}
	f := Front{Kind: NodePort, Port: h.Port, Policy: Local}
	if h.Addr.IsValid() {
		f.Kind, f.Addr = ExternalIP, h.Addr
		p.Name += "-" + h.Addr.String()
	}
	p.Fronts = []Front{f}
	if h.Protocol == corev1.ProtocolUDP {
		p.Serving = []netip.AddrPort{h.To}
	}
	return p
}
