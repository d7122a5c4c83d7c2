package api

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/kinds"
)

// addresses hands out cluster IPs: the lowest free address, after the first,
// which belongs to the API's own service.
type addresses struct {
	cidr  netip.Prefix
	taken map[uint32]bool // offset in cidr
	next  uint32          // no offset below is free
	size  uint32
}

func newAddresses(cidr string) (*addresses, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !p.Addr().Is4() || p.Bits() > 30 {
		return nil, fmt.Errorf("service network %q: want an IPv4 network of 4 addresses or more, such as 10.96.0.0/12", cidr)
	}
	return &addresses{cidr: p.Masked(), taken: map[uint32]bool{}, next: 1, size: 1<<(32-p.Bits()) - 1}, nil
}

func (a *addresses) offset(ip string) (uint32, bool) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !a.cidr.Contains(addr) {
		return 0, false
	}
	b, base := addr.As4(), a.cidr.Addr().As4()
	return binary.BigEndian.Uint32(b[:]) - binary.BigEndian.Uint32(base[:]), true
}

func (a *addresses) at(offset uint32) string {
	b := a.cidr.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+offset)
	return netip.AddrFrom4(b).String()
}

func (a *addresses) take() (string, bool) {
	for ; a.next < a.size; a.next++ {
		if !a.taken[a.next] {
			a.taken[a.next] = true
			return a.at(a.next), true
		}
	}
	return "", false
}

func (a *addresses) reserve(svc *corev1.Service) {
	if o, ok := a.offset(svc.Spec.ClusterIP); ok {
		a.taken[o] = true
	}
}

func (a *addresses) release(svc *corev1.Service) {
	if o, ok := a.offset(svc.Spec.ClusterIP); ok && a.taken[o] {
		delete(a.taken, o)
		a.next = min(a.next, o)
	}
}

// ports hands out node ports. A port may serve TCP, UDP and SCTP of one service.
type ports struct {
	min, max int32
	next     int32
	taken    map[portKey]kinds.Key
	byPort   map[int32]int
}

type portKey struct {
	port  int32
	proto corev1.Protocol
}

func newPorts(min, max int32) *ports {
	return &ports{min: min, max: max, next: min, taken: map[portKey]kinds.Key{}, byPort: map[int32]int{}}
}

func (p *ports) take() (int32, bool) {
	for ; p.next <= p.max; p.next++ {
		if p.byPort[p.next] == 0 {
			return p.next, true
		}
	}
	return 0, false
}

func (p *ports) hold(k portKey, svc kinds.Key) {
	if _, ok := p.taken[k]; !ok {
		p.taken[k] = svc
		p.byPort[k.port]++
	}
}

func (p *ports) free(k portKey, svc kinds.Key) {
	if p.taken[k] == svc {
		delete(p.taken, k)
		if p.byPort[k.port]--; p.byPort[k.port] == 0 {
			delete(p.byPort, k.port)
			p.next = min(p.next, max(k.port, p.min))
		}
	}
}

func (p *ports) reserve(svc *corev1.Service) {
	for _, sp := range svc.Spec.Ports {
		if sp.NodePort != 0 {
			p.hold(portKey{sp.NodePort, sp.Protocol}, kinds.KeyOf(svc))
		}
	}
}

func (p *ports) release(svc *corev1.Service) {
	for _, sp := range svc.Spec.Ports {
		p.free(portKey{sp.NodePort, sp.Protocol}, kinds.KeyOf(svc))
	}
}

func wantsClusterIP(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != corev1.ClusterIPNone
}

func wantsNodePorts(s *corev1.Service) bool {
	switch s.Spec.Type {
	case corev1.ServiceTypeNodePort:
		return true
	case corev1.ServiceTypeLoadBalancer:
		return s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts
	}
	return false
}

// inheritAddresses lets an update that does not name them keep the cluster IP and
// the node ports, as the API server does for a client that writes back a manifest.
func inheritAddresses(svc, old *corev1.Service) {
	if wantsClusterIP(svc) && wantsClusterIP(old) {
		if svc.Spec.ClusterIP == "" {
			svc.Spec.ClusterIP = old.Spec.ClusterIP
		}
		if len(svc.Spec.ClusterIPs) == 0 {
			svc.Spec.ClusterIPs = old.Spec.ClusterIPs
		}
	}
	dropUnwanted(svc, old)
	if !wantsNodePorts(svc) || !wantsNodePorts(old) {
		return
	}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		for _, was := range old.Spec.Ports {
			if p.NodePort == 0 && p.Port == was.Port && p.Protocol == was.Protocol {
				p.NodePort = was.NodePort
			}
		}
	}
}

// dropUnwanted takes away what only the old type of a service had, where the
// update leaves it as it was: a change of type needs no more than that.
func dropUnwanted(svc, old *corev1.Service) {
	if wantsNodePorts(old) && !wantsNodePorts(svc) {
		for i := range svc.Spec.Ports {
			if i < len(old.Spec.Ports) && svc.Spec.Ports[i].NodePort == old.Spec.Ports[i].NodePort {
				svc.Spec.Ports[i].NodePort = 0
			}
		}
	}
	external := svc.Spec.Type == corev1.ServiceTypeNodePort || svc.Spec.Type == corev1.ServiceTypeLoadBalancer
	if !external && len(svc.Spec.ExternalIPs) == 0 && svc.Spec.ExternalTrafficPolicy == old.Spec.ExternalTrafficPolicy {
		svc.Spec.ExternalTrafficPolicy = ""
	}
	if wantsClusterIP(old) && !wantsClusterIP(svc) && svc.Spec.ClusterIP == old.Spec.ClusterIP {
		svc.Spec.ClusterIP, svc.Spec.ClusterIPs = "", nil
	}
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer && old.Spec.Type == corev1.ServiceTypeLoadBalancer {
		svc.Spec.AllocateLoadBalancerNodePorts = nil
	}
}

// allocate gives a service what it lacks and holds what it names. old is its state
// before, nil when it is new. undo gives everything back.
func (a *API) allocate(svc, old *corev1.Service) (undo func(), err error) {
	key := kinds.KeyOf(svc)
	if old != nil {
		a.ips.release(old)
		a.ports.release(old)
	}
	undo = func() {
		a.ips.release(svc)
		a.ports.release(svc)
		if old != nil {
			a.ips.reserve(old)
			a.ports.reserve(old)
		}
	}
	errs := a.allocateIP(svc)
	if len(errs) == 0 {
		errs = a.allocatePorts(svc, key)
	}
	if len(errs) > 0 {
		if old != nil {
			a.ips.reserve(old)
			a.ports.reserve(old)
		}
		return nil, apierrors.NewInvalid(kinds.Service.Info().GVK.GroupKind(), svc.Name, errs)
	}
	return undo, nil
}

func (a *API) allocateIP(svc *corev1.Service) field.ErrorList {
	path := field.NewPath("spec", "clusterIP")
	if !wantsClusterIP(svc) {
		if svc.Spec.ClusterIP == corev1.ClusterIPNone {
			svc.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
		}
		return nil
	}
	if svc.Spec.ClusterIP == "" {
		ip, ok := a.ips.take()
		if !ok {
			return field.ErrorList{field.InternalError(path, fmt.Errorf("range %s is full", a.ips.cidr))}
		}
		svc.Spec.ClusterIP = ip
		svc.Spec.ClusterIPs = []string{ip}
		return nil
	}
	o, ok := a.ips.offset(svc.Spec.ClusterIP)
	if !ok {
		return field.ErrorList{field.Invalid(path, svc.Spec.ClusterIP, fmt.Sprintf("the provided IP is not in the valid range %s", a.ips.cidr))}
	}
	if a.ips.taken[o] {
		return field.ErrorList{field.Invalid(path, svc.Spec.ClusterIP, "provided IP is already allocated")}
	}
	a.ips.taken[o] = true
	if len(svc.Spec.ClusterIPs) == 0 {
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	}
	return nil
}

func (a *API) allocatePorts(svc *corev1.Service, key kinds.Key) field.ErrorList {
	var errs field.ErrorList
	if !wantsNodePorts(svc) {
		for i := range svc.Spec.Ports {
			svc.Spec.Ports[i].NodePort = 0
		}
		return nil
	}
	for i := range svc.Spec.Ports { // ports that are named first, so that none of them is handed out
		p := &svc.Spec.Ports[i]
		if p.NodePort == 0 {
			continue
		}
		path := field.NewPath("spec", "ports").Index(i).Child("nodePort")
		k := portKey{p.NodePort, p.Protocol}
		switch owner, taken := a.ports.taken[k]; {
		case p.NodePort < a.ports.min || p.NodePort > a.ports.max:
			errs = append(errs, field.Invalid(path, p.NodePort, fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", a.ports.min, a.ports.max)))
		case taken:
			errs = append(errs, field.Invalid(path, p.NodePort, fmt.Sprintf("provided port is already allocated (by service %s)", owner)))
		default:
			a.ports.hold(k, key)
		}
	}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		if p.NodePort != 0 || len(errs) > 0 {
			continue
		}
		port, ok := a.ports.take()
		if !ok {
			errs = append(errs, field.InternalError(field.NewPath("spec", "ports").Index(i).Child("nodePort"),
				fmt.Errorf("no free node port in %d-%d", a.ports.min, a.ports.max)))
			break
		}
		p.NodePort = port
		a.ports.hold(portKey{port, p.Protocol}, key)
	}
	if len(errs) > 0 {
		a.ports.release(svc)
		a.ips.release(svc)
	}
	return errs
}
