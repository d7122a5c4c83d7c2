package kinds

import (
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func (c *check) pod(root *loc, pod *corev1.Pod) {
	spec := root.dot("spec")
	c.podSpec(&spec, &pod.Spec)
	if len(pod.Spec.SchedulingGates) > 0 && pod.Spec.NodeName != "" {
		c.forbidden(&spec, "nodeName", "cannot be set until all schedulingGates have been cleared")
	}
	c.hostPorts(&spec, &pod.Spec)
}

// podSpec checks a pod or a pod template.
// Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
func (c *check) podSpec(at *loc, s *corev1.PodSpec) {
	for i := range s.Volumes {
		c.volume(at, s, i)
	}
	if len(s.Containers) == 0 {
		c.required(at, "containers", "")
	}
	for i := range s.Containers {
		here := at.index("containers", i)
		c.appContainer(&here, s, i)
	}
	for i := range s.InitContainers {
		here := at.index("initContainers", i)
		c.initContainer(&here, s, i)
	}
	for i := range s.EphemeralContainers {
		here := at.index("ephemeralContainers", i)
		c.ephemeralContainer(&here, s, i)
	}
	oneOf(c, at, "restartPolicy", s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)
	oneOf(c, at, "dnsPolicy", s.DNSPolicy, corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault, corev1.DNSNone)
	c.labels(at, "nodeSelector", s.NodeSelector)
	c.podIdentity(at, s)
	c.podSecurity(at, s)
	c.placement(at, s)
	if s.DNSConfig != nil || s.DNSPolicy == corev1.DNSNone {
		c.dnsConfig(at, s)
	}
	if d := s.ActiveDeadlineSeconds; d != nil && (*d < 1 || *d > math.MaxInt32) {
		c.invalid(at, "activeDeadlineSeconds", *d, validation.InclusiveRangeError(1, math.MaxInt32))
	}
	if g := s.TerminationGracePeriodSeconds; g != nil {
		c.notNegative(at, "terminationGracePeriodSeconds", *g)
	}
	for i := range s.ReadinessGates {
		if t := string(s.ReadinessGates[i].ConditionType); !isQualified(t) {
			here := at.index("readinessGates", i)
			c.qualified(&here, "conditionType", t)
		}
	}
	if s.Resources != nil {
		here := at.dot("resources")
		c.resources(&here, s.Resources, podResources)
	}
}

// podIdentity checks the names that a pod bears or refers to.
func (c *check) podIdentity(at *loc, s *corev1.PodSpec) {
	if s.ServiceAccountName != "" {
		c.subdomain(at, "serviceAccountName", s.ServiceAccountName)
	}
	if s.NodeName != "" {
		c.subdomain(at, "nodeName", s.NodeName)
	}
	if s.Hostname != "" {
		c.label(at, "hostname", s.Hostname)
	}
	if s.Subdomain != "" {
		c.label(at, "subdomain", s.Subdomain)
	}
	if s.PriorityClassName != "" {
		c.subdomain(at, "priorityClassName", s.PriorityClassName)
	}
	if s.RuntimeClassName != nil {
		c.subdomain(at, "runtimeClassName", *s.RuntimeClassName)
	}
	oneOfPtr(c, at, "preemptionPolicy", s.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
	for i := range s.ImagePullSecrets {
		if s.ImagePullSecrets[i].Name == "" {
			here := at.index("imagePullSecrets", i)
			c.required(&here, "name", "")
		}
	}
	for i := range s.HostAliases {
		here := at.index("hostAliases", i)
		c.ip(&here, "ip", s.HostAliases[i].IP)
		for _, name := range s.HostAliases[i].Hostnames {
			c.subdomain(&here, "hostnames", name)
		}
	}
	if s.OS != nil {
		here := at.dot("os")
		oneOf(c, &here, "name", s.OS.Name, corev1.Linux, corev1.Windows)
	}
}

func (c *check) podSecurity(at *loc, s *corev1.PodSpec) {
	if s.ShareProcessNamespace != nil && *s.ShareProcessNamespace && s.HostPID {
		c.invalid(at, "shareProcessNamespace", true, "ShareProcessNamespace and HostPID cannot both be enabled")
	}
	sc := s.SecurityContext
	if sc == nil {
		return
	}
	here := at.dot("securityContext")
	c.id(&here, "runAsUser", sc.RunAsUser)
	c.id(&here, "runAsGroup", sc.RunAsGroup)
	c.id(&here, "fsGroup", sc.FSGroup)
	for i := range sc.SupplementalGroups {
		g := here.index("supplementalGroups", i)
		c.id(&g, "", &sc.SupplementalGroups[i])
	}
	oneOfPtr(c, &here, "fsGroupChangePolicy", sc.FSGroupChangePolicy, corev1.FSGroupChangeOnRootMismatch, corev1.FSGroupChangeAlways)
	for i := range sc.Sysctls {
		g := here.index("sysctls", i)
		name := sc.Sysctls[i].Name
		switch {
		case name == "":
			c.required(&g, "name", "")
		case !isSysctl(name):
			c.invalid(&g, "name", name, sysctlRule)
		}
		for j := range i {
			if sc.Sysctls[j].Name == name {
				c.duplicate(&g, "name", name)
				break
			}
		}
	}
}

// id checks a user or group number.
func (c *check) id(at *loc, name string, id *int64) {
	if id != nil && (*id < 0 || *id > math.MaxInt32) {
		c.invalid(at, name, *id, validation.InclusiveRangeError(0, math.MaxInt32))
	}
}

func (c *check) ip(at *loc, name, value string) {
	if errs := validation.IsValidIP(nil, value); len(errs) > 0 {
		c.invalid(at, name, value, errs[0].Detail)
	}
}

// hostPorts: on the host's network a container's port is the host's, and two
// containers cannot have the same port of the host.
func (c *check) hostPorts(at *loc, s *corev1.PodSpec) {
	used := false
	for i := range s.Containers {
		for j := range s.Containers[i].Ports {
			p := &s.Containers[i].Ports[j]
			used = used || p.HostPort != 0
			if s.HostNetwork && p.HostPort != p.ContainerPort {
				here := at.index("containers", i)
				port := here.index("ports", j)
				c.invalid(&port, "containerPort", p.ContainerPort, "must match `hostPort` when `hostNetwork` is true")
			}
		}
	}
	if !used {
		return
	}
	type place struct {
		protocol corev1.Protocol
		ip       string
		port     int32
	}
	seen := map[place]bool{}
	for i := range s.Containers {
		for j := range s.Containers[i].Ports {
			p := &s.Containers[i].Ports[j]
			key := place{p.Protocol, p.HostIP, p.HostPort}
			if p.HostPort != 0 && seen[key] {
				here := at.index("containers", i)
				port := here.index("ports", j)
				c.duplicate(&port, "hostPort", string(p.Protocol)+"/"+p.HostIP+"/"+strconv.Itoa(int(p.HostPort)))
			}
			seen[key] = true
		}
	}
}

// Limits of resolv.conf. Source:
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
const (
	maxNameservers = 3
	maxSearches    = 32
)

func (c *check) dnsConfig(at *loc, s *corev1.PodSpec) {
	here := at.dot("dnsConfig")
	d := s.DNSConfig
	if d == nil {
		c.required(&here, "nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
		return
	}
	if s.DNSPolicy == corev1.DNSNone && len(d.Nameservers) == 0 {
		c.required(&here, "nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
	}
	if len(d.Nameservers) > maxNameservers {
		c.invalid(&here, "nameservers", d.Nameservers, "must not have more than 3 nameservers")
	}
	for i, ns := range d.Nameservers {
		g := here.index("nameservers", i)
		c.ip(&g, "", ns)
	}
	if len(d.Searches) > maxSearches {
		c.invalid(&here, "searches", d.Searches, "must not have more than 32 search paths")
	}
	for i, search := range d.Searches {
		g := here.index("searches", i)
		if name := strings.TrimSuffix(search, "."); name != "" {
			c.subdomain(&g, "", name)
		}
	}
	for i := range d.Options {
		if d.Options[i].Name == "" {
			g := here.index("options", i)
			c.required(&g, "", "must not be empty")
		}
	}
}
