package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// Upstreams reads the resolvers of a resolv.conf, without those at addresses of one's
// own. There may be none.
func Upstreams(path string, own []netip.Addr) ([]string, error) {
	c, err := dns.ClientConfigFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("cluster DNS: read the host's resolvers: %w", err)
	}
	var out []string
	for _, text := range c.Servers {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s: nameserver %q: want an address: %w", path, text, err)
		}
		if !slices.Contains(own, a.Unmap().WithZone("")) && len(out) < UpstreamsMax {
			out = append(out, net.JoinHostPort(text, c.Port))
		}
	}
	return out, nil
}

// foreign answers for a name that is not the cluster's.
func (s *Server) foreign(q, m *dns.Msg, tcp bool) *dns.Msg {
	if !q.RecursionDesired || s.isProbe(q.Question[0].Name) {
		m.Rcode = dns.RcodeRefused
		return m
	}
	got := s.forward(q, tcp)
	if got == nil {
		m.Rcode = dns.RcodeServerFailure
		return m
	}
	got.Id, got.Response, got.Authoritative, got.RecursionAvailable = q.Id, true, false, true
	got.Question = q.Question
	return got
}

// outside adds to an alias what its target means.
func (s *Server) outside(q, m *dns.Msg, target string, tcp bool) {
	if _, ok := dns.IsDomainName(target); !ok {
		return
	}
	further := q.Copy()
	further.Question[0].Name = dns.Fqdn(target)
	got := s.forward(further, tcp)
	if got == nil {
		m.Rcode = dns.RcodeServerFailure
		return
	}
	m.Answer = append(m.Answer, got.Answer...)
	m.Rcode, m.Truncated = got.Rcode, got.Truncated
	m.Authoritative = false
}

// forward asks the upstreams one after the other; nil if none can say.
func (s *Server) forward(q *dns.Msg, tcp bool) *dns.Msg {
	select {
	case s.forwards <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-s.forwards }()
	ctx, cancel := context.WithTimeout(s.ctx, forwardMax)
	defer cancel()
	var last *dns.Msg
	for _, u := range s.upstreams {
		if u.loops.Load() || ctx.Err() != nil {
			continue
		}
		got, err := ask(ctx, u.addr, q, tcp)
		if err != nil {
			continue
		}
		if got.Rcode != dns.RcodeServerFailure && got.Rcode != dns.RcodeRefused {
			return got
		}
		last = got
	}
	return last
}

// ask asks one resolver. What it gives belongs to the question, or is an error.
func ask(ctx context.Context, addr string, q *dns.Msg, tcp bool) (*dns.Msg, error) {
	out := new(dns.Msg)
	out.SetQuestion(q.Question[0].Name, q.Question[0].Qtype)
	out.CheckingDisabled, out.AuthenticatedData = q.CheckingDisabled, q.AuthenticatedData
	do := false
	if opt := q.IsEdns0(); opt != nil {
		do = opt.Do()
	}
	out.SetEdns0(UDPBytesMax, do)
	c := dns.Client{Net: "udp", Timeout: tryMax}
	if tcp {
		c.Net = "tcp"
	}
	got, _, err := c.ExchangeContext(ctx, out, addr)
	if err != nil {
		return nil, err
	}
	if !got.Response || len(got.Question) != 1 || got.Question[0] != out.Question[0] {
		return nil, fmt.Errorf("%s answered another question", addr)
	}
	return got, nil
}

// probe finds out whether an upstream asks this server.
func (s *Server) probe(u *upstream) {
	ctx, cancel := context.WithTimeout(s.ctx, forwardMax)
	defer cancel()
	q := new(dns.Msg)
	q.SetQuestion(u.probe, dns.TypeA)
	_, _ = ask(ctx, u.addr, q, false) // if it comes back, foreign sees it
}
