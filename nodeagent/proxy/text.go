package proxy

import (
	"fmt"
	"net/netip"
	"strings"
)

// String is the rules as text, for people and for golden files.
func (r *RuleSet) String() string {
	var b strings.Builder
	c := &r.Config
	if c.ClusterCIDR.IsValid() {
		fmt.Fprintf(&b, "from %s to outside of %s: masquerade\n", c.PodCIDR, c.ClusterCIDR)
	}
	for s := range r.Services() {
		for i := range s.Ports {
			s.Ports[i].write(&b, c, s)
		}
	}
	return b.String()
}

// PortName is how a port of a service is called in comments and texts:
// "namespace/name:port", or without ":port" if it has no name.
func (s *Service) PortName(p *Port) string {
	if p.Name == "" {
		return s.Key.String()
	}
	return s.Key.String() + ":" + p.Name
}

func (p *Port) write(b *strings.Builder, c *Config, s *Service) {
	fmt.Fprintf(b, "%s %s", s.PortName(p), p.Protocol)
	if p.Affinity > 0 {
		fmt.Fprintf(b, ", a client stays for %s", p.Affinity)
	}
	b.WriteByte('\n')
	for i := range p.Fronts {
		p.writeFront(b, c, &p.Fronts[i])
	}
	writePool(b, "cluster", p.Cluster)
	writePool(b, "local", p.Local)
	if p.Unused > 0 {
		fmt.Fprintf(b, "  unused: %d endpoints\n", p.Unused)
	}
}

func (p *Port) writeFront(b *strings.Builder, c *Config, f *Front) {
	fmt.Fprintf(b, "  %s -> %s", f, p.target(f))
	switch missing := p.Missing(f); {
	case missing == Reject:
	case !f.External() && missing == Present && c.PodCIDR.IsValid():
		fmt.Fprintf(b, ", masquerade unless from %s", c.PodCIDR)
	case f.External() && f.Policy == Cluster:
		b.WriteString(", masquerade")
	case f.External():
		b.WriteString(", from this node and its pods -> cluster")
	}
	if f.Sources != nil {
		fmt.Fprintf(b, ", only from %s", join(f.Sources))
	}
	b.WriteByte('\n')
}

func (p *Port) target(f *Front) string {
	switch p.Missing(f) {
	case Reject:
		return "reject"
	case Drop:
		return "drop"
	}
	if f.Policy == Local {
		return "local"
	}
	return "cluster"
}

// String is the front as text: its kind, address and port.
func (f *Front) String() string {
	kind := [...]string{"cluster IP", "external IP", "load balancer", "node port"}[f.Kind]
	if f.Kind == NodePort {
		return fmt.Sprintf("%s %d", kind, f.Port)
	}
	return fmt.Sprintf("%s %s", kind, netip.AddrPortFrom(f.Addr, f.Port))
}

func writePool(b *strings.Builder, name string, pool []Endpoint) {
	if len(pool) == 0 {
		return
	}
	fmt.Fprintf(b, "  %s:", name)
	for _, e := range pool {
		fmt.Fprintf(b, " %s", e.Addr)
		if e.Local {
			b.WriteString(" (here)")
		}
	}
	b.WriteByte('\n')
}

func join(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}

// String is the verdict as text.
func (v Verdict) String() string {
	out := [...]string{"pass", "forward", "refuse", "discard"}[v.Action]
	if v.Action == Forward {
		out += " to " + v.Endpoint.String()
	}
	if v.Action != Pass {
		out += " for " + v.Service.String()
	}
	if v.Masquerade {
		out += ", masquerade"
	}
	return out
}
