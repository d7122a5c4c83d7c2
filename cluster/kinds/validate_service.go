package kinds

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxClientIPSeconds is a day, the longest that a client is kept with an endpoint.
const maxClientIPSeconds = 86400

// Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
func (c *check) service(root *loc, svc *corev1.Service) {
	s := &svc.Spec
	at := root.dot("spec")
	if len(s.Ports) == 0 && s.ClusterIP != corev1.ClusterIPNone && s.Type != corev1.ServiceTypeExternalName {
		c.required(&at, "ports", "")
	}
	c.serviceType(&at, s)
	for i := range s.Ports {
		c.servicePort(&at, s, i)
	}
	c.labels(&at, "selector", s.Selector)
	oneOf(c, &at, "sessionAffinity", s.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	if s.SessionAffinity == corev1.ServiceAffinityClientIP {
		c.clientIP(&at, s.SessionAffinityConfig)
	} else if s.SessionAffinityConfig != nil {
		c.forbidden(&at, "sessionAffinityConfig", "must not be set when session affinity is None")
	}
	c.clusterIPs(&at, s)
	for i, ip := range s.ExternalIPs {
		here := at.index("externalIPs", i)
		c.outsideIP(&here, "", ip)
	}
	c.trafficPolicies(&at, s)
	c.balancer(&at, s)
}

func (c *check) serviceType(at *loc, s *corev1.ServiceSpec) {
	oneOf(c, at, "type", s.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	first := at.index("clusterIPs", 0)
	switch s.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if s.ClusterIP == corev1.ClusterIPNone {
			c.invalid(&first, "", s.ClusterIP, "may not be set to 'None' for "+string(s.Type)+" services")
		}
	case corev1.ServiceTypeExternalName:
		if s.ClusterIP != "" || len(s.ClusterIPs) > 0 {
			c.forbidden(at, "clusterIPs", "may not be set for ExternalName services")
		}
		if s.ExternalName == "" {
			c.required(at, "externalName", "")
		} else {
			c.subdomain(at, "externalName", trimDot(s.ExternalName))
		}
	}
}

// trimDot takes the dot off the end of a full domain name.
func trimDot(name string) string {
	if n := len(name); n > 0 && name[n-1] == '.' {
		return name[:n-1]
	}
	return name
}

func (c *check) servicePort(at *loc, s *corev1.ServiceSpec, i int) {
	p := &s.Ports[i]
	here := at.index("ports", i)
	if p.Name != "" {
		c.label(&here, "name", p.Name)
	} else if len(s.Ports) > 1 {
		c.required(&here, "name", "")
	}
	c.port(&here, "port", p.Port)
	c.protocol(&here, p.Protocol)
	if p.TargetPort != intstr.FromInt32(0) || s.ClusterIP != corev1.ClusterIPNone {
		c.portOrName(&here, "targetPort", p.TargetPort)
	}
	if p.AppProtocol != nil {
		c.qualified(&here, "appProtocol", *p.AppProtocol)
	}
	if p.NodePort != 0 && s.Type == corev1.ServiceTypeClusterIP {
		c.forbidden(&here, "nodePort", "may not be used when `type` is 'ClusterIP'")
	} else if p.NodePort != 0 {
		c.port(&here, "nodePort", p.NodePort)
	}
	for j := range i {
		q := &s.Ports[j]
		if q.Name == p.Name && p.Name != "" {
			c.duplicate(&here, "name", p.Name)
		}
		if q.Protocol == p.Protocol && q.Port == p.Port {
			c.duplicate(&here, "", corev1.ServicePort{Protocol: p.Protocol, Port: p.Port})
		}
		if q.Protocol == p.Protocol && q.NodePort == p.NodePort && p.NodePort != 0 {
			c.duplicate(&here, "nodePort", p.NodePort)
		}
	}
}

func (c *check) clientIP(at *loc, config *corev1.SessionAffinityConfig) {
	here := at.dot("sessionAffinityConfig")
	place := here.dot("clientIP")
	if config == nil || config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil {
		c.required(&place, "timeoutSeconds", "")
		return
	}
	if t := *config.ClientIP.TimeoutSeconds; t <= 0 || t > maxClientIPSeconds {
		c.invalid(&place, "timeoutSeconds", t, "must be greater than 0 and less than 86400")
	}
}

func (c *check) clusterIPs(at *loc, s *corev1.ServiceSpec) {
	if s.Type == corev1.ServiceTypeExternalName {
		return
	}
	ips := s.ClusterIPs
	if len(ips) == 0 && s.ClusterIP != "" {
		ips = []string{s.ClusterIP}
	}
	if len(ips) > 0 && ips[0] != s.ClusterIP {
		c.invalid(at, "clusterIPs", s.ClusterIPs, "first value must match `clusterIP`")
	}
	for i, ip := range ips {
		here := at.index("clusterIPs", i)
		if ip == corev1.ClusterIPNone {
			if len(ips) > 1 {
				c.invalid(&here, "", ip, "'None' must be the first and only value")
			}
			continue
		}
		c.ip(&here, "", ip)
	}
	if len(ips) > 2 {
		c.invalid(at, "clusterIPs", ips, "may only hold up to 2 values")
	}
	for i, f := range s.IPFamilies {
		here := at.index("ipFamilies", i)
		oneOf(c, &here, "", f, corev1.IPv4Protocol, corev1.IPv6Protocol)
		if slices.Contains(s.IPFamilies[:i], f) {
			c.duplicate(&here, "", f)
		}
	}
	oneOfPtr(c, at, "ipFamilyPolicy", s.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)
}

// outsideIP: an address that packets to a service can come in at, so neither
// this host's own nor one of a single link.
func (c *check) outsideIP(at *loc, name, value string) {
	c.ip(at, name, value)
	ip, err := netip.ParseAddr(value)
	if err != nil {
		return
	}
	switch {
	case ip.IsUnspecified():
		c.invalid(at, name, value, "may not be unspecified ("+value+")")
	case ip.IsLoopback():
		c.invalid(at, name, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)")
	case ip.IsLinkLocalUnicast():
		c.invalid(at, name, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
	case ip.IsLinkLocalMulticast():
		c.invalid(at, name, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
	}
}

func (c *check) trafficPolicies(at *loc, s *corev1.ServiceSpec) {
	outside := s.Type == corev1.ServiceTypeNodePort || s.Type == corev1.ServiceTypeLoadBalancer ||
		s.Type == corev1.ServiceTypeClusterIP && len(s.ExternalIPs) > 0
	if outside {
		oneOf(c, at, "externalTrafficPolicy", s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	} else if s.ExternalTrafficPolicy != "" {
		c.invalid(at, "externalTrafficPolicy", s.ExternalTrafficPolicy, "may only be set for externally-accessible services")
	}
	if s.Type != corev1.ServiceTypeExternalName {
		if s.InternalTrafficPolicy == nil {
			c.required(at, "internalTrafficPolicy", "")
		}
		oneOfPtr(c, at, "internalTrafficPolicy", s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	}
	local := s.Type == corev1.ServiceTypeLoadBalancer && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	if s.HealthCheckNodePort != 0 && !local {
		c.invalid(at, "healthCheckNodePort", s.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
	}
	if s.HealthCheckNodePort < 0 {
		c.invalids(at, "healthCheckNodePort", s.HealthCheckNodePort, validation.IsValidPortNum(int(s.HealthCheckNodePort)))
	}
}

func (c *check) balancer(at *loc, s *corev1.ServiceSpec) {
	const why = "may only be used when `type` is 'LoadBalancer'"
	if s.Type == corev1.ServiceTypeLoadBalancer {
		for i, r := range s.LoadBalancerSourceRanges {
			here := at.index("loadBalancerSourceRanges", i)
			c.cidr(&here, "", r)
		}
		if s.AllocateLoadBalancerNodePorts == nil {
			c.required(at, "allocateLoadBalancerNodePorts", "")
		}
		if s.LoadBalancerClass != nil {
			c.qualified(at, "loadBalancerClass", *s.LoadBalancerClass)
		}
		return
	}
	if len(s.LoadBalancerSourceRanges) > 0 {
		c.forbidden(at, "loadBalancerSourceRanges", why)
	}
	if s.AllocateLoadBalancerNodePorts != nil {
		c.forbidden(at, "allocateLoadBalancerNodePorts", why)
	}
	if s.LoadBalancerClass != nil {
		c.forbidden(at, "loadBalancerClass", why)
	}
}
