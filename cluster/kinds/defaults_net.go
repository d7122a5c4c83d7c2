package kinds

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// clientIPTimeoutSeconds is how long a client stays with its endpoint (3 hours).
const clientIPTimeoutSeconds = 10800

// Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
func defaultService(s *corev1.Service) {
	setIfEmpty(&s.Spec.SessionAffinity, corev1.ServiceAffinityNone)
	setIfEmpty(&s.Spec.Type, corev1.ServiceTypeClusterIP)
	if s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		if s.Spec.SessionAffinityConfig == nil {
			s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{}
		}
		c := s.Spec.SessionAffinityConfig
		if c.ClientIP == nil {
			c.ClientIP = &corev1.ClientIPConfig{}
		}
		setDefault(&c.ClientIP.TimeoutSeconds, clientIPTimeoutSeconds)
	} else {
		s.Spec.SessionAffinityConfig = nil
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		setIfEmpty(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	outside := s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
	if outside || (s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Spec.ExternalIPs) > 0) {
		setIfEmpty(&s.Spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if s.Spec.Type != corev1.ServiceTypeExternalName {
		setDefault(&s.Spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
		defaultFamilies(s)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		setDefault(&s.Spec.AllocateLoadBalancerNodePorts, true)
	}
}

// defaultFamilies: one family, that of the cluster IP if it is given. A
// headless service without selector may list any addresses, so it has both.
// Source: https://kubernetes.io/docs/concepts/services-networking/dual-stack/
func defaultFamilies(s *corev1.Service) {
	if len(s.Spec.ClusterIPs) == 0 && s.Spec.ClusterIP != "" {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	if s.Spec.ClusterIP == "" && len(s.Spec.ClusterIPs) > 0 {
		s.Spec.ClusterIP = s.Spec.ClusterIPs[0]
	}
	anyAddress := s.Spec.ClusterIP == corev1.ClusterIPNone && len(s.Spec.Selector) == 0
	if s.Spec.IPFamilyPolicy == nil {
		policy := corev1.IPFamilyPolicySingleStack
		if anyAddress {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		if len(s.Spec.IPFamilies) > 1 || len(s.Spec.ClusterIPs) > 1 {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		s.Spec.IPFamilyPolicy = &policy
	}
	if len(s.Spec.IPFamilies) > 0 {
		return
	}
	first, second := corev1.IPv4Protocol, corev1.IPv6Protocol
	if strings.Contains(s.Spec.ClusterIP, ":") {
		first, second = second, first
	}
	s.Spec.IPFamilies = []corev1.IPFamily{first}
	if (anyAddress && *s.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack) || len(s.Spec.ClusterIPs) > 1 {
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, second)
	}
}

func defaultEndpoints(e *corev1.Endpoints) {
	for i := range e.Subsets {
		for j := range e.Subsets[i].Ports {
			setIfEmpty(&e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
		}
	}
}

// defaultNetworkPolicy: a policy always speaks of what comes in, and of what
// goes out if it has rules for that.
// Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
func defaultNetworkPolicy(p *networkingv1.NetworkPolicy) {
	for i := range p.Spec.Ingress {
		defaultPolicyPorts(p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		defaultPolicyPorts(p.Spec.Egress[i].Ports)
	}
	if len(p.Spec.PolicyTypes) == 0 {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(p.Spec.Egress) > 0 {
			p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
}

func defaultPolicyPorts(ports []networkingv1.NetworkPolicyPort) {
	for i := range ports {
		setDefault(&ports[i].Protocol, corev1.ProtocolTCP)
	}
}
