package kinds

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoints-v1/
func (c *check) endpoints(root *loc, e *corev1.Endpoints) {
	for i := range e.Subsets {
		s := &e.Subsets[i]
		at := root.index("subsets", i)
		if len(s.Addresses) == 0 && len(s.NotReadyAddresses) == 0 {
			c.required(&at, "", "must specify `addresses` or `notReadyAddresses`")
		}
		for j := range s.Addresses {
			here := at.index("addresses", j)
			c.endpointAddress(&here, &s.Addresses[j])
		}
		for j := range s.NotReadyAddresses {
			here := at.index("notReadyAddresses", j)
			c.endpointAddress(&here, &s.NotReadyAddresses[j])
		}
		for j := range s.Ports {
			p := &s.Ports[j]
			here := at.index("ports", j)
			if p.Name != "" {
				c.label(&here, "name", p.Name)
			} else if len(s.Ports) > 1 {
				c.required(&here, "name", "")
			}
			c.port(&here, "port", p.Port)
			c.protocol(&here, p.Protocol)
		}
	}
}

func (c *check) endpointAddress(at *loc, a *corev1.EndpointAddress) {
	c.outsideIP(at, "ip", a.IP)
	if a.Hostname != "" {
		c.label(at, "hostname", a.Hostname)
	}
	if a.NodeName != nil {
		c.subdomain(at, "nodeName", *a.NodeName)
	}
}

// Limits of an EndpointSlice. Source:
// https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
const (
	maxSliceEndpoints = 1000
	maxSliceAddresses = 100
	maxSlicePorts     = 20000
)

func (c *check) endpointSlice(root *loc, s *discoveryv1.EndpointSlice) {
	oneOf(c, root, "addressType", s.AddressType, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
	if len(s.Endpoints) > maxSliceEndpoints {
		c.errs = append(c.errs, field.TooMany(below(root, "endpoints"), len(s.Endpoints), maxSliceEndpoints))
		return
	}
	for i := range s.Endpoints {
		here := root.index("endpoints", i)
		c.endpoint(&here, &s.Endpoints[i], s.AddressType)
	}
	if len(s.Ports) > maxSlicePorts {
		c.errs = append(c.errs, field.TooMany(below(root, "ports"), len(s.Ports), maxSlicePorts))
		return
	}
	seen := make(map[string]bool, len(s.Ports))
	for i := range s.Ports {
		c.slicePort(root, &s.Ports[i], i, seen)
	}
}

func (c *check) slicePort(root *loc, p *discoveryv1.EndpointPort, i int, seen map[string]bool) {
	here := root.index("ports", i)
	name := ""
	if p.Name != nil {
		name = *p.Name
	}
	if name != "" {
		c.label(&here, "name", name)
	}
	if seen[name] {
		c.duplicate(&here, "name", name)
	}
	seen[name] = true
	if p.Protocol == nil {
		c.required(&here, "protocol", "")
	} else {
		c.protocol(&here, *p.Protocol)
	}
	if p.Port != nil {
		c.port(&here, "port", *p.Port)
	}
}

func (c *check) endpoint(at *loc, e *discoveryv1.Endpoint, family discoveryv1.AddressType) {
	if len(e.Addresses) == 0 {
		c.required(at, "addresses", "must contain at least 1 address")
	}
	if len(e.Addresses) > maxSliceAddresses {
		c.errs = append(c.errs, field.TooMany(below(at, "addresses"), len(e.Addresses), maxSliceAddresses))
	}
	for i, a := range e.Addresses {
		here := at.index("addresses", i)
		ip, err := netip.ParseAddr(a)
		switch {
		case family == discoveryv1.AddressTypeFQDN:
			c.subdomain(&here, "", trimDot(a))
		case err == nil && ip.Is4() != (family == discoveryv1.AddressTypeIPv4):
			c.invalid(&here, "", a, "must be an "+string(family)+" address")
		default:
			c.outsideIP(&here, "", a)
		}
	}
	if e.NodeName != nil {
		c.subdomain(at, "nodeName", *e.NodeName)
	}
	if e.Hostname != nil {
		c.label(at, "hostname", *e.Hostname)
	}
}

// Source: https://kubernetes.io/docs/concepts/services-networking/ingress/
func (c *check) ingress(root *loc, ing *networkingv1.Ingress) {
	at := root.dot("spec")
	if len(ing.Spec.Rules) == 0 && ing.Spec.DefaultBackend == nil {
		c.invalid(&at, "", ing.Spec.Rules, "either `defaultBackend` or `rules` must be specified")
	}
	if ing.Spec.DefaultBackend != nil {
		here := at.dot("defaultBackend")
		c.backend(&here, ing.Spec.DefaultBackend)
	}
	if ing.Spec.IngressClassName != nil {
		c.subdomain(&at, "ingressClassName", *ing.Spec.IngressClassName)
	}
	for i := range ing.Spec.Rules {
		here := at.index("rules", i)
		c.ingressRule(&here, &ing.Spec.Rules[i])
	}
	for i := range ing.Spec.TLS {
		here := at.index("tls", i)
		for j, host := range ing.Spec.TLS[i].Hosts {
			place := here.index("hosts", j)
			c.host(&place, "", host)
		}
	}
}

func (c *check) host(at *loc, name, host string) {
	switch {
	case isIP(host):
		c.invalid(at, name, host, "must be a DNS name, not an IP address")
	case strings.HasPrefix(host, "*."):
		c.invalids(at, name, host, validation.IsWildcardDNS1123Subdomain(host))
	default:
		c.subdomain(at, name, host)
	}
}

func isIP(s string) bool { _, err := netip.ParseAddr(s); return err == nil }

func (c *check) ingressRule(at *loc, r *networkingv1.IngressRule) {
	if r.Host != "" {
		c.host(at, "host", r.Host)
	}
	if r.HTTP == nil {
		return
	}
	here := at.dot("http")
	if len(r.HTTP.Paths) == 0 {
		c.required(&here, "paths", "")
	}
	for i := range r.HTTP.Paths {
		p := &r.HTTP.Paths[i]
		place := here.index("paths", i)
		switch {
		case p.PathType == nil:
			c.required(&place, "pathType", "pathType must be specified")
		case *p.PathType == networkingv1.PathTypeExact || *p.PathType == networkingv1.PathTypePrefix:
			c.exactPath(&place, p.Path)
		case *p.PathType == networkingv1.PathTypeImplementationSpecific:
			if p.Path != "" && !strings.HasPrefix(p.Path, "/") {
				c.invalid(&place, "path", p.Path, "must be an absolute path")
			}
		default:
			oneOfPtr(c, &place, "pathType", p.PathType, networkingv1.PathTypeExact, networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific)
		}
		b := place.dot("backend")
		c.backend(&b, &p.Backend)
	}
}

func (c *check) exactPath(at *loc, p string) {
	if !strings.HasPrefix(p, "/") {
		c.invalid(at, "path", p, "must be an absolute path")
	}
	for _, bad := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(p, bad) {
			c.invalid(at, "path", p, "must not contain '"+bad+"'")
		}
	}
	for _, bad := range []string{"/..", "/."} {
		if strings.HasSuffix(p, bad) {
			c.invalid(at, "path", p, "cannot end with '"+bad+"'")
		}
	}
}

func (c *check) backend(at *loc, b *networkingv1.IngressBackend) {
	switch {
	case b.Service == nil && b.Resource == nil:
		c.required(at, "", "a service or a resource must be specified")
		return
	case b.Service != nil && b.Resource != nil:
		c.invalid(at, "", "", "cannot set both resource and service backends")
		return
	case b.Service == nil:
		return
	}
	here := at.dot("service")
	if b.Service.Name == "" {
		c.required(&here, "name", "")
	} else if msgs := validation.IsDNS1035Label(b.Service.Name); len(msgs) > 0 {
		c.invalids(&here, "name", b.Service.Name, msgs)
	}
	port := here.dot("port")
	switch p := b.Service.Port; {
	case p.Name != "" && p.Number != 0:
		c.invalid(at, "", "", "cannot set both port name & port number")
	case p.Name != "":
		c.portOrName(&port, "name", intstr.FromString(p.Name))
	case p.Number != 0:
		c.port(&port, "number", p.Number)
	default:
		c.required(at, "", "port name or number is required")
	}
}

// Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
func (c *check) networkPolicy(root *loc, p *networkingv1.NetworkPolicy) {
	at := root.dot("spec")
	c.selector(&at, "podSelector", &p.Spec.PodSelector)
	for i := range p.Spec.Ingress {
		here := at.index("ingress", i)
		c.policyRule(&here, p.Spec.Ingress[i].Ports, "from", p.Spec.Ingress[i].From)
	}
	for i := range p.Spec.Egress {
		here := at.index("egress", i)
		c.policyRule(&here, p.Spec.Egress[i].Ports, "to", p.Spec.Egress[i].To)
	}
	if len(p.Spec.PolicyTypes) > 2 {
		c.invalid(&at, "policyTypes", p.Spec.PolicyTypes, "may not specify more than two policyTypes")
		return
	}
	for i, t := range p.Spec.PolicyTypes {
		here := at.index("policyTypes", i)
		oneOf(c, &here, "", t, networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress)
	}
}

func (c *check) policyRule(at *loc, ports []networkingv1.NetworkPolicyPort, side string, peers []networkingv1.NetworkPolicyPeer) {
	for i := range ports {
		p := &ports[i]
		here := at.index("ports", i)
		if p.Protocol != nil {
			c.protocol(&here, *p.Protocol)
		}
		if p.Port != nil {
			c.portOrName(&here, "port", *p.Port)
		}
		switch {
		case p.EndPort == nil:
		case p.Port == nil:
			c.invalid(&here, "endPort", *p.EndPort, "may not be specified when `port` is not specified")
		case p.Port.Type == intstr.String:
			c.invalid(&here, "endPort", *p.EndPort, "may not be specified when `port` is non-numeric")
		case *p.EndPort < p.Port.IntVal:
			c.invalid(&here, "endPort", *p.EndPort, "must be greater than or equal to `port`")
		default:
			c.port(&here, "endPort", *p.EndPort)
		}
	}
	for i := range peers {
		here := at.index(side, i)
		c.peer(&here, &peers[i])
	}
}

func (c *check) peer(at *loc, p *networkingv1.NetworkPolicyPeer) {
	c.selector(at, "podSelector", p.PodSelector)
	c.selector(at, "namespaceSelector", p.NamespaceSelector)
	selects := p.PodSelector != nil || p.NamespaceSelector != nil
	switch {
	case p.IPBlock == nil && !selects:
		c.required(at, "", "must specify a peer")
	case p.IPBlock != nil && selects:
		c.forbidden(at, "", "may not specify both ipBlock and another peer")
	case p.IPBlock != nil:
		c.ipBlock(at, p.IPBlock)
	}
}

func (c *check) ipBlock(at *loc, b *networkingv1.IPBlock) {
	here := at.dot("ipBlock")
	if b.CIDR == "" {
		c.required(&here, "cidr", "")
		return
	}
	c.cidr(&here, "cidr", b.CIDR)
	all, err := netip.ParsePrefix(b.CIDR)
	for i, e := range b.Except {
		place := here.index("except", i)
		c.cidr(&place, "", e)
		part, perr := netip.ParsePrefix(e)
		if err == nil && perr == nil && (!all.Contains(part.Addr()) || part.Bits() <= all.Bits()) {
			c.invalid(&place, "", e, "must be a strict subset of `cidr`")
		}
	}
}

func (c *check) serviceCIDR(root *loc, s *networkingv1.ServiceCIDR) {
	at := root.dot("spec")
	if len(s.Spec.CIDRs) == 0 {
		c.required(&at, "cidrs", "at least one CIDR required")
	}
	if len(s.Spec.CIDRs) > 2 {
		c.invalid(&at, "cidrs", s.Spec.CIDRs, "may only hold up to 2 values")
	}
	for i, cidr := range s.Spec.CIDRs {
		here := at.index("cidrs", i)
		c.cidr(&here, "", cidr)
	}
}
