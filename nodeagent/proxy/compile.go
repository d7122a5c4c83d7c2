package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// affinityDefault is how long a client stays with its endpoint where the service does
// not say.
const affinityDefault = time.Duration(corev1.DefaultClientIPServiceAffinitySeconds) * time.Second

// labelProxyName marks services that another proxy serves.
const labelProxyName = "service.kubernetes.io/service-proxy-name"

// Compile makes the rules of a node from all services of its view.
func Compile(c Config, v *view.View) *RuleSet {
	r := empty(c)
	for s := range view.All[*corev1.Service](v, kinds.Service) {
		key := kinds.KeyOf(s)
		if part := compile(&r.Config, v, key); part != nil {
			r.put(key, part)
		}
	}
	return r
}

// Update returns the rules with the named services compiled anew; r itself if none of
// them has changed. A key without a service takes its part away.
func (r *RuleSet) Update(v *view.View, keys ...kinds.Key) *RuleSet {
	next := r
	for _, key := range keys {
		part := compile(&r.Config, v, key)
		if equalServices(next.Service(key), part) {
			continue
		}
		if next == r {
			next = r.copy()
		}
		next.put(key, part)
	}
	return next
}

// Concerned lists the services that an event of the view concerns: at most two, when a
// slice goes from one to another.
func Concerned(e store.Event) (keys []kinds.Key) {
	switch e.Ref.Kind {
	case kinds.Service:
		keys = append(keys, e.Ref.Key)
	case kinds.EndpointSlice:
		for _, o := range []kinds.Object{e.Old, e.Object} {
			if key := view.ServiceOfSlice(o); key.Name != "" && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// compile makes the part of one service; nil if it has none.
func compile(c *Config, v *view.View, key kinds.Key) *Service {
	svc := v.Service(key)
	if svc == nil || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	if _, other := svc.Labels[labelProxyName]; other {
		return nil
	}
	ip := c.clusterIP(svc)
	if !ip.IsValid() {
		return nil
	}
	part := &Service{Key: key, Ports: make([]Port, 0, len(svc.Spec.Ports))}
	for i := range svc.Spec.Ports {
		part.Ports = append(part.Ports, c.port(v, svc, &svc.Spec.Ports[i], ip))
	}
	return part
}

// clusterIP is the service's address of the rules' family, if it has one.
func (c *Config) clusterIP(svc *corev1.Service) netip.Addr {
	for _, text := range append([]string{svc.Spec.ClusterIP}, svc.Spec.ClusterIPs...) {
		if a := c.address(text); a.IsValid() {
			return a
		}
	}
	return netip.Addr{}
}

// address reads an address of the rules' family; anything else is none.
func (c *Config) address(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() == c.IPv6 || a.Zone() != "" {
		return netip.Addr{}
	}
	return a
}

func (c *Config) port(v *view.View, svc *corev1.Service, sp *corev1.ServicePort, ip netip.Addr) Port {
	p := Port{Name: sp.Name, Protocol: protocolOr(&sp.Protocol), Fronts: c.fronts(svc, sp, ip)}
	if svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		p.Affinity = affinityDefault
		if a := svc.Spec.SessionAffinityConfig; a != nil && a.ClientIP != nil && a.ClientIP.TimeoutSeconds != nil {
			p.Affinity = time.Duration(*a.ClientIP.TimeoutSeconds) * time.Second
		}
	}
	all := c.candidates(v, svc, &p)
	if p.Protocol == corev1.ProtocolUDP {
		for _, e := range all {
			if e.serving {
				p.Serving = append(p.Serving, e.Addr)
			}
		}
	}
	c.pools(&p, all)
	return p
}

func (c *Config) fronts(svc *corev1.Service, sp *corev1.ServicePort, ip netip.Addr) []Front {
	inside, outside := Cluster, Cluster
	if p := svc.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		inside = Local
	}
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		outside = Local
	}
	port := uint16(sp.Port)
	list := []Front{{Kind: ClusterIP, Addr: ip, Port: port, Policy: inside}}
	for _, text := range svc.Spec.ExternalIPs {
		if a := c.address(text); a.IsValid() {
			list = append(list, Front{Kind: ExternalIP, Addr: a, Port: port, Policy: outside})
		}
	}
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		sources := c.sources(svc.Spec.LoadBalancerSourceRanges)
		for _, in := range svc.Status.LoadBalancer.Ingress {
			vip := in.IPMode == nil || *in.IPMode == corev1.LoadBalancerIPModeVIP
			if a := c.address(in.IP); vip && a.IsValid() {
				list = append(list, Front{Kind: LoadBalancer, Addr: a, Port: port, Policy: outside, Sources: sources})
			}
		}
	}
	if sp.NodePort != 0 && svc.Spec.Type != corev1.ServiceTypeClusterIP {
		list = append(list, Front{Kind: NodePort, Port: uint16(sp.NodePort), Policy: outside})
	}
	return list
}

// sources reads the source ranges of the rules' family. One that is everything is the
// same as none.
func (c *Config) sources(ranges []string) (out []netip.Prefix) {
	for _, text := range ranges {
		p, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil || p.Addr().Is4() == c.IPv6 {
			continue
		}
		if p.Bits() == 0 {
			return nil
		}
		out = append(out, p.Masked())
	}
	return out
}

// candidate is an endpoint with what decides whether it is used.
type candidate struct {
	Endpoint
	ready, serving, terminating bool
	hints                       *discoveryv1.EndpointHints
}

// candidates are a port's endpoints in the order of their addresses. One address that
// is in several slices counts once; a terminating endpoint yields to another.
func (c *Config) candidates(v *view.View, svc *corev1.Service, p *Port) []candidate {
	var list []candidate
	for slice := range v.SlicesOf(kinds.KeyOf(svc)) {
		for i := range slice.Ports {
			sp := &slice.Ports[i]
			if sp.Name == nil || *sp.Name != p.Name || sp.Port == nil || *sp.Port == 0 || protocolOr(sp.Protocol) != p.Protocol {
				continue
			}
			for j := range slice.Endpoints {
				if e, ok := c.candidate(&slice.Endpoints[j], uint16(*sp.Port)); ok {
					list = append(list, e)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		if n := a.Addr.Compare(b.Addr); n != 0 {
			return n
		}
		return order(a.terminating) - order(b.terminating)
	})
	return slices.CompactFunc(list, func(a, b candidate) bool { return a.Addr == b.Addr })
}

func order(last bool) int {
	if last {
		return 1
	}
	return 0
}

func (c *Config) candidate(e *discoveryv1.Endpoint, port uint16) (candidate, bool) {
	if len(e.Addresses) == 0 {
		return candidate{}, false
	}
	a := c.address(e.Addresses[0])
	if !a.IsValid() {
		return candidate{}, false
	}
	out := candidate{
		Endpoint:    Endpoint{Addr: netip.AddrPortFrom(a, port)},
		ready:       yes(e.Conditions.Ready, true),
		serving:     yes(e.Conditions.Serving, true),
		terminating: yes(e.Conditions.Terminating, false),
		hints:       e.Hints,
	}
	if e.NodeName != nil && *e.NodeName != "" {
		out.Local = *e.NodeName == c.Node
		out.Elsewhere = !out.Local
	}
	return out, true
}

func yes(b *bool, otherwise bool) bool {
	if b == nil {
		return otherwise
	}
	return *b
}

func protocolOr(p *corev1.Protocol) corev1.Protocol {
	if p == nil || *p == "" {
		return corev1.ProtocolTCP
	}
	return *p
}
