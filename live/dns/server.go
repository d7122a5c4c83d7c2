package dns

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	names "seatrial.dev/seatrial/nodeagent/dns"
)

// Limits of a server.
const (
	UDPBytesMax    = 1232             // of an answer over UDP, whatever the client can take (DNS flag day 2020)
	ForwardsMax    = 1000             // questions to others at a time: SERVFAIL beyond
	ConnectionsMax = 1000             // over TCP at a time for each address: closed beyond
	QueriesMax     = 128              // on one connection
	UpstreamsMax   = 3                // of resolv.conf, as in resolv.conf(5)
	tryMax         = 2 * time.Second  // for one upstream
	forwardMax     = 5 * time.Second  // for all of them
	connIdle       = 10 * time.Second // between the questions of one connection
	stopMax        = 3 * time.Second
)

// Config says where a server listens and whom it asks.
type Config struct {
	Listen    []string    // addresses with ports, for UDP and TCP both
	Upstreams []string    // addresses with ports, in order; see Upstreams
	Report    func(error) // hears of what goes wrong besides single questions
}

func (c *Config) validate() error {
	if len(c.Listen) == 0 {
		return errors.New("cluster DNS: Listen: want an address such as 10.96.0.10:53")
	}
	if len(c.Upstreams) > UpstreamsMax {
		return fmt.Errorf("cluster DNS: %d upstreams: want %d at most", len(c.Upstreams), UpstreamsMax)
	}
	for _, a := range c.Upstreams {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("cluster DNS: upstream %q: want an address with a port: %w", a, err)
		}
	}
	if c.Report == nil {
		return errors.New("cluster DNS: Report: want a function")
	}
	return nil
}

// Server answers questions.
type Server struct {
	cfg       Config
	zone      atomic.Pointer[names.Zone]
	upstreams []*upstream
	forwards  chan struct{}
	listening []*dns.Server
	addrs     []net.Addr
	tasks     sync.WaitGroup
	ctx       context.Context
	cancel    context.CancelFunc
}

// upstream is a resolver outside.
type upstream struct {
	addr  string
	probe string      // a name that only it was asked for
	loops atomic.Bool // it sends questions back
}

// Start listens, in the network namespace of the calling thread, and answers until
// Close. Questions before the first SetZone get SERVFAIL.
func Start(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, forwards: make(chan struct{}, ForwardsMax)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, a := range cfg.Upstreams {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return nil, err
		}
		s.upstreams = append(s.upstreams, &upstream{addr: a, probe: hex.EncodeToString(b[:]) + ".loop.seatrial.invalid."})
	}
	for _, a := range cfg.Listen {
		if err := s.listen(a); err != nil {
			return nil, errors.Join(fmt.Errorf("cluster DNS: listen on %s: %w", a, err), s.Close())
		}
	}
	for _, u := range s.upstreams {
		s.tasks.Go(func() { s.probe(u) })
	}
	return s, nil
}

// listen serves one address. Without a port both get the same one.
func (s *Server) listen(addr string) error {
	var at net.ListenConfig
	packets, err := at.ListenPacket(s.ctx, "udp", addr)
	if err != nil {
		return err
	}
	l, err := at.Listen(s.ctx, "tcp", packets.LocalAddr().String())
	if err != nil {
		packets.Close()
		return err
	}
	s.addrs = append(s.addrs, packets.LocalAddr())
	for _, d := range []*dns.Server{{PacketConn: packets}, {Listener: &limited{Listener: l, slots: make(chan struct{}, ConnectionsMax)}}} {
		d.Handler, d.UDPSize, d.MaxTCPQueries = s, dns.DefaultMsgSize, QueriesMax
		d.IdleTimeout = func() time.Duration { return connIdle }
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		failed := make(chan error, 1)
		s.tasks.Go(func() {
			err := d.ActivateAndServe()
			failed <- err
			if err != nil && s.ctx.Err() == nil {
				s.cfg.Report(fmt.Errorf("cluster DNS on %s: %w", addr, err))
			}
		})
		select {
		case <-started:
			s.listening = append(s.listening, d)
		case err := <-failed:
			packets.Close()
			l.Close()
			return err
		}
	}
	return nil
}

// Addrs are where the server listens, in the order of Config.Listen.
func (s *Server) Addrs() []net.Addr { return s.addrs }

// SetZone makes the names of the cluster mean what a zone says.
func (s *Server) SetZone(z *names.Zone) { s.zone.Store(z) }

// Close ends the server.
func (s *Server) Close() error {
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), stopMax)
	defer cancel()
	var err error
	for _, d := range s.listening {
		err = errors.Join(err, d.ShutdownContext(ctx))
	}
	s.tasks.Wait()
	return err
}

// limited closes connections that are too many.
type limited struct {
	net.Listener
	slots chan struct{}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &limitedConn{Conn: conn, free: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			conn.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.free()
	return c.Conn.Close()
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	defer func() { // a question must not end the agent
		if p := recover(); p != nil {
			s.cfg.Report(fmt.Errorf("cluster DNS: panic at %v: %v", q.Question, p))
		}
	}()
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	m := s.respond(q, tcp)
	size := dns.MaxMsgSize
	if !tcp {
		size = dns.MinMsgSize
	}
	if opt := q.IsEdns0(); opt != nil {
		if !tcp {
			size = min(max(int(opt.UDPSize()), dns.MinMsgSize), UDPBytesMax)
		}
		m.Extra = withoutOPT(m.Extra)
		m.SetEdns0(UDPBytesMax, opt.Do())
		if opt.Version() != 0 {
			m.Answer, m.Ns, m.Rcode = nil, nil, dns.RcodeBadVers
		}
	} else {
		m.Extra = withoutOPT(m.Extra)
	}
	m.Compress = true
	m.Truncate(size)
	_ = w.WriteMsg(m) // the client has gone
}

func withoutOPT(list []dns.RR) []dns.RR {
	out := list[:0:0]
	for _, r := range list {
		if r.Header().Rrtype != dns.TypeOPT {
			out = append(out, r)
		}
	}
	return out
}

// respond makes the answer to a question.
func (s *Server) respond(q *dns.Msg, tcp bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	switch {
	case q.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
		return m
	case len(q.Question) != 1:
		m.Rcode = dns.RcodeFormatError
		return m
	case q.Question[0].Qclass != dns.ClassINET || isTransfer(q.Question[0].Qtype):
		m.Rcode = dns.RcodeRefused
		return m
	}
	ask := q.Question[0]
	zone := s.zone.Load()
	if zone == nil {
		s.isProbe(ask.Name)
		m.Rcode = dns.RcodeServerFailure
		return m
	}
	a := zone.Answer(ask.Name, names.Type(ask.Qtype))
	if !a.Ours {
		return s.foreign(q, m, tcp)
	}
	m.Authoritative = true
	if !a.Exists && a.Outside == "" {
		m.Rcode = dns.RcodeNameError
	}
	m.Answer = append(m.Answer, convert(turned(a.Records))...)
	m.Extra = convert(a.Additional)
	m.Ns = convert(a.Authority)
	if a.Outside != "" && q.RecursionDesired {
		s.outside(q, m, a.Outside, tcp)
	}
	return m
}

func isTransfer(t uint16) bool { return t == dns.TypeAXFR || t == dns.TypeIXFR }

// turned begins the addresses of an answer at any of them, so that clients that take
// the first spread over all.
func turned(list []names.Record) []names.Record {
	from := 0
	for from < len(list) && list[from].Type != names.A && list[from].Type != names.AAAA {
		from++
	}
	addrs := list[from:]
	if len(addrs) < 2 {
		return list
	}
	k := mathrand.IntN(len(addrs))
	return append(append(append(make([]names.Record, 0, len(list)), list[:from]...), addrs[k:]...), addrs[:k]...)
}

// SOA timers of a zone that has no secondary servers.
const (
	soaRefreshSecs = 7200
	soaRetrySecs   = 1800
	soaExpireSecs  = 86400
)

func convert(list []names.Record) []dns.RR {
	out := make([]dns.RR, 0, len(list))
	for _, r := range list {
		h := dns.RR_Header{Name: r.Name + ".", Rrtype: uint16(r.Type), Class: dns.ClassINET, Ttl: r.TTLSecs}
		switch r.Type {
		case names.A:
			out = append(out, &dns.A{Hdr: h, A: r.Addr.AsSlice()})
		case names.AAAA:
			out = append(out, &dns.AAAA{Hdr: h, AAAA: r.Addr.AsSlice()})
		case names.CNAME:
			out = append(out, &dns.CNAME{Hdr: h, Target: r.Target + "."})
		case names.PTR:
			out = append(out, &dns.PTR{Hdr: h, Ptr: r.Target + "."})
		case names.SRV:
			out = append(out, &dns.SRV{Hdr: h, Weight: r.Weight, Port: r.Port, Target: r.Target + "."})
		case names.TXT:
			out = append(out, &dns.TXT{Hdr: h, Txt: []string{r.Text}})
		case names.SOA:
			out = append(out, &dns.SOA{Hdr: h, Ns: "ns.dns." + h.Name, Mbox: "hostmaster." + h.Name, Serial: r.Serial,
				Refresh: soaRefreshSecs, Retry: soaRetrySecs, Expire: soaExpireSecs, Minttl: r.TTLSecs})
		default:
			panic(fmt.Sprintf("dns: a record of type %d", r.Type))
		}
	}
	return out
}

// isProbe says whether a name is one by which a loop is found.
func (s *Server) isProbe(name string) bool {
	for _, u := range s.upstreams {
		if strings.EqualFold(name, u.probe) {
			if !u.loops.Swap(true) {
				s.cfg.Report(fmt.Errorf("cluster DNS: upstream %s sends questions back here: it is not asked any more", u.addr))
			}
			return true
		}
	}
	return false
}
