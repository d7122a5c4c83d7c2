package network

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Limits of what a pod's resolver is given (k8s.io/kubernetes, validation of dnsConfig).
const (
	nameserversMax  = 3
	searchesMax     = 32
	searchBytesMax  = 2048
	hostnameMax     = 63
	resolvBytesMax  = 64 << 10 // of the host's resolv.conf that is looked at
	clusterNdots    = "ndots:5"
	hostsHeader     = "# Kubernetes-managed hosts file.\n"
	hostNetsHeader  = "# Kubernetes-managed hosts file (host network).\n"
	aliasesHeader   = "\n# Entries added by HostAliases.\n"
	clusterDomainOf = "svc"
)

// ClusterDNS is what pods of the cluster are given.
type ClusterDNS struct {
	Servers []string // addresses of the cluster's DNS
	Domain  string   // cluster.local
}

// Hostname is a pod's name to itself, and its fully qualified name if it is in a
// subdomain, else "". Long names of pods are cut, as a host's name is short.
func Hostname(pod *corev1.Pod, domain string) (name, fqdn string) {
	name = pod.Spec.Hostname
	if name == "" {
		name = pod.Name
		if len(name) > hostnameMax {
			name = strings.TrimRight(name[:hostnameMax], "-.")
		}
	}
	if pod.Spec.HostnameOverride != nil && *pod.Spec.HostnameOverride != "" {
		return *pod.Spec.HostnameOverride, ""
	}
	if pod.Spec.Subdomain != "" {
		fqdn = strings.Join([]string{name, pod.Spec.Subdomain, pod.Namespace, clusterDomainOf, domain}, ".")
	}
	if fqdn != "" && pod.Spec.SetHostnameAsFQDN != nil && *pod.Spec.SetHostnameAsFQDN {
		name = fqdn
	}
	return name, fqdn
}

// Hosts is a pod's /etc/hosts. A pod on the host's network gets the host's file, which is
// hostFile; others their own addresses. The pod's host aliases come last.
func Hosts(pod *corev1.Pod, ips []string, domain, hostFile string) string {
	var b strings.Builder
	if pod.Spec.HostNetwork {
		b.WriteString(hostNetsHeader + hostFile)
	} else {
		b.WriteString(hostsHeader)
		for _, line := range []string{
			"127.0.0.1\tlocalhost",
			"::1\tlocalhost ip6-localhost ip6-loopback",
			"fe00::0\tip6-localnet",
			"fe00::0\tip6-mcastprefix",
			"fe00::1\tip6-allnodes",
			"fe00::2\tip6-allrouters",
		} {
			b.WriteString(line + "\n")
		}
		name, fqdn := Hostname(pod, domain)
		name, _, _ = strings.Cut(name, ".")
		for _, ip := range ips {
			if fqdn != "" {
				fmt.Fprintf(&b, "%s\t%s\t%s\n", ip, fqdn, name)
			} else {
				fmt.Fprintf(&b, "%s\t%s\n", ip, name)
			}
		}
	}
	if len(pod.Spec.HostAliases) > 0 {
		b.WriteString(aliasesHeader)
		for _, a := range pod.Spec.HostAliases {
			b.WriteString(a.IP + "\t" + strings.Join(a.Hostnames, "\t") + "\n")
		}
	}
	return b.String()
}

// resolver is the content of a resolv.conf.
type resolver struct {
	servers, searches, options []string
}

// Resolv is a pod's /etc/resolv.conf by its dnsPolicy and dnsConfig. hostFile is the
// host's. What exceeds a limit is left out, and warnings say so, in words for an event.
func Resolv(pod *corev1.Pod, dns ClusterDNS, hostFile string) (content string, warnings []string) {
	host := parseResolv(hostFile)
	var r resolver
	policy := pod.Spec.DNSPolicy
	switch {
	case policy == corev1.DNSNone:
	case policy == corev1.DNSDefault, policy != corev1.DNSClusterFirstWithHostNet && pod.Spec.HostNetwork:
		r = host
	case len(dns.Servers) == 0:
		warnings = append(warnings, fmt.Sprintf("the cluster has no DNS, so the pod gets dnsPolicy Default instead of %s", corev1.DNSClusterFirst))
		r = host
	default:
		r.servers = slices.Clone(dns.Servers)
		if dns.Domain != "" {
			in := clusterDomainOf + "." + dns.Domain
			r.searches = []string{pod.Namespace + "." + in, in, dns.Domain}
		}
		r.searches = append(r.searches, host.searches...)
		r.options = []string{clusterNdots}
	}
	if c := pod.Spec.DNSConfig; c != nil {
		r.servers = append(r.servers, c.Nameservers...)
		r.searches = append(r.searches, c.Searches...)
		r.options = mergeOptions(r.options, c.Options)
	}
	r.servers, r.searches = unique(r.servers), unique(r.searches)
	return r.write(&warnings), warnings
}

// parseResolv reads a resolv.conf as resolvers do: the last search or domain counts.
func parseResolv(text string) (r resolver) {
	if len(text) > resolvBytesMax {
		text = text[:resolvBytesMax]
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(f[0], "#") || strings.HasPrefix(f[0], ";") {
			continue
		}
		switch f[0] {
		case "nameserver":
			r.servers = append(r.servers, f[1])
		case "search", "domain":
			r.searches = r.searches[:0]
			for _, s := range f[1:] {
				if s != "." {
					s = strings.TrimSuffix(s, ".")
				}
				r.searches = append(r.searches, s)
			}
		case "options":
			r.options = append(r.options, f[1:]...)
		}
	}
	return r
}

// mergeOptions lets the pod's options take the place of those of the same name.
func mergeOptions(have []string, own []corev1.PodDNSConfigOption) []string {
	name := func(o string) string {
		n, _, _ := strings.Cut(o, ":")
		return n
	}
	out := slices.Clone(have)
	for _, o := range own {
		text := o.Name
		if o.Value != nil && *o.Value != "" {
			text += ":" + *o.Value
		}
		if i := slices.IndexFunc(out, func(h string) bool { return name(h) == o.Name }); i >= 0 {
			out[i] = text
			continue
		}
		out = append(out, text)
	}
	return out
}

func unique(list []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (r resolver) write(warnings *[]string) string {
	if len(r.servers) > nameserversMax {
		*warnings = append(*warnings, fmt.Sprintf("Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: %s", strings.Join(r.servers[:nameserversMax], " ")))
		r.servers = r.servers[:nameserversMax]
	}
	n := min(len(r.searches), searchesMax)
	for len(strings.Join(r.searches[:n], " ")) > searchBytesMax {
		n--
	}
	if n < len(r.searches) {
		r.searches = r.searches[:n]
		*warnings = append(*warnings, fmt.Sprintf("Search Line limits were exceeded, some search paths have been omitted, the applied search line is: %s", strings.Join(r.searches, " ")))
	}
	var b strings.Builder
	if len(r.searches) > 0 {
		b.WriteString("search " + strings.Join(r.searches, " ") + "\n")
	}
	for _, s := range r.servers {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(r.options) > 0 {
		b.WriteString("options " + strings.Join(r.options, " ") + "\n")
	}
	return b.String()
}
