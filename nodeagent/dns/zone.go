package dns

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// Config is what does not change with services.
type Config struct {
	Domain   string         // the cluster's, like cluster.local
	Networks []netip.Prefix // of services and pods: reverse names in them are the cluster's
	TTLSecs  uint32         // of all answers but the version; 0 for TTLSecs
}

// TTLSecs is how long an answer is believed: short, for endpoints change.
const TTLSecs = 5

// SchemaVersion is that of the specification.
const SchemaVersion = "1.1.0"

const (
	versionTTLSecs = 28800
	nameBytesMax   = 253
)

func (c *Config) complete() error {
	c.Domain = strings.ToLower(strings.Trim(c.Domain, "."))
	if c.Domain == "" || len(c.Domain) > nameBytesMax/2 {
		return fmt.Errorf("cluster domain %q: want a name like cluster.local", c.Domain)
	}
	for _, n := range c.Networks {
		if !n.IsValid() {
			return fmt.Errorf("network %q: want one like 10.96.0.0/12", n)
		}
	}
	if c.TTLSecs == 0 {
		c.TTLSecs = TTLSecs
	}
	return nil
}

// Zone is what the names of a cluster mean at one moment. It is safe for concurrent use.
type Zone struct {
	cfg      Config
	version  uint64                       // of the view it was made from
	services *btree.Map[string, *service] // by NAMESPACE/NAME
	reverse  *btree.BTreeG[pointer]
}

// service is the compiled part of one service.
type service struct {
	name     string       // SERVICE.NS.svc.DOMAIN
	addrs    []netip.Addr // cluster IPs, or those of the endpoints
	alias    string       // of an external service
	headless bool
	ports    []port
	hosts    []host // of a headless service, by label and address
}

// port is a named port; of a headless service one for each endpoint.
type port struct {
	label    string // _http
	protocol string // _tcp
	number   uint16
	target   string // the full name that serves it
	addr     netip.Addr
}

// host is one address of an endpoint.
type host struct {
	label string
	addr  netip.Addr
}

// pointer is what a reverse name leads to.
type pointer struct {
	addr   netip.Addr
	target string
}

func (p pointer) compare(o pointer) int {
	return cmp.Or(p.addr.Compare(o.addr), strings.Compare(p.target, o.target))
}

// Compile makes the zone of all services of a view.
func Compile(c Config, v *view.View) (*Zone, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	z := &Zone{cfg: c, version: v.RV(), services: btree.NewMap[string, *service](0),
		reverse: btree.NewBTreeGOptions(func(a, b pointer) bool { return a.compare(b) < 0 }, btree.Options{NoLocks: true})}
	for s := range view.All[*corev1.Service](v, kinds.Service) {
		key := kinds.KeyOf(s)
		z.put(key, compile(&c, v, key))
	}
	return z, nil
}

// Update returns the zone with the named services compiled anew; z itself if none of
// them has changed. A key without a service takes its names away.
func (z *Zone) Update(v *view.View, keys ...kinds.Key) *Zone {
	next := z
	for _, key := range keys {
		part := compile(&z.cfg, v, key)
		if old, _ := next.services.Get(key.String()); equal(old, part) {
			continue
		}
		if next == z {
			next = &Zone{cfg: z.cfg, version: v.RV(), services: z.services.Copy(), reverse: z.reverse.Copy()}
		}
		next.put(key, part)
	}
	return next
}

// put changes a zone that nobody else has seen.
func (z *Zone) put(key kinds.Key, part *service) {
	if old, ok := z.services.Delete(key.String()); ok {
		old.pointers(func(p pointer) { z.reverse.Delete(p) })
	}
	if part != nil {
		z.services.Set(key.String(), part)
		part.pointers(func(p pointer) { z.reverse.Set(p) })
	}
}

// pointers gives the reverse names of a service.
func (s *service) pointers(yield func(pointer)) {
	for _, h := range s.hosts {
		yield(pointer{h.addr, h.label + "." + s.name})
	}
	if !s.headless {
		for _, a := range s.addrs {
			yield(pointer{a, s.name})
		}
	}
}

func equal(a, b *service) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.name == b.name && a.alias == b.alias && a.headless == b.headless && slices.Equal(a.addrs, b.addrs) &&
		slices.Equal(a.ports, b.ports) && slices.Equal(a.hosts, b.hosts)
}

// compile makes the part of one service; nil if it has none.
func compile(c *Config, v *view.View, key kinds.Key) *service {
	svc := v.Service(key)
	if svc == nil {
		return nil
	}
	s := &service{name: strings.ToLower(key.Name + "." + key.Namespace + ".svc." + c.Domain)}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		if s.alias = strings.ToLower(strings.TrimSuffix(svc.Spec.ExternalName, ".")); s.alias == "" || len(s.alias) > nameBytesMax {
			return nil
		}
	case svc.Spec.ClusterIP == corev1.ClusterIPNone:
		s.headless = true
		s.endpoints(v, svc)
	default:
		s.cluster(svc)
		if len(s.addrs) == 0 {
			return nil
		}
	}
	return s
}

// cluster fills in what a service with cluster IPs has.
func (s *service) cluster(svc *corev1.Service) {
	ips := svc.Spec.ClusterIPs
	if len(ips) == 0 {
		ips = []string{svc.Spec.ClusterIP}
	}
	for _, text := range ips {
		if a, err := netip.ParseAddr(text); err == nil {
			s.addrs = append(s.addrs, a)
		}
	}
	for _, p := range svc.Spec.Ports {
		if p.Name != "" {
			s.ports = append(s.ports, port{label: "_" + p.Name, protocol: protocolLabel(p.Protocol), number: uint16(p.Port), target: s.name})
		}
	}
	s.sort()
}

// endpoints fills in what a headless service has.
func (s *service) endpoints(v *view.View, svc *corev1.Service) {
	for slice := range v.SlicesOf(kinds.KeyOf(svc)) {
		for _, e := range slice.Endpoints {
			if ready := e.Conditions.Ready; ready != nil && !*ready && !svc.Spec.PublishNotReadyAddresses {
				continue
			}
			for _, text := range e.Addresses {
				if a, err := netip.ParseAddr(text); err == nil {
					s.endpoint(slice, &e, a)
				}
			}
		}
	}
	s.sort()
}

func (s *service) endpoint(slice *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint, a netip.Addr) {
	label := dashed(a)
	if e.Hostname != nil && *e.Hostname != "" {
		label = strings.ToLower(*e.Hostname)
	}
	s.addrs = append(s.addrs, a)
	s.hosts = append(s.hosts, host{label, a})
	for _, p := range slice.Ports {
		if p.Name == nil || *p.Name == "" || p.Port == nil {
			continue
		}
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		s.ports = append(s.ports, port{"_" + *p.Name, protocolLabel(protocol), uint16(*p.Port), label + "." + s.name, a})
	}
}

// sort puts all in order, each once: while slices change, an endpoint may be in two.
func (s *service) sort() {
	slices.SortFunc(s.addrs, netip.Addr.Compare)
	s.addrs = slices.Compact(s.addrs)
	slices.SortFunc(s.hosts, func(a, b host) int { return cmp.Or(strings.Compare(a.label, b.label), a.addr.Compare(b.addr)) })
	s.hosts = slices.Compact(s.hosts)
	slices.SortFunc(s.ports, func(a, b port) int {
		return cmp.Or(byLabels(a, b), strings.Compare(a.target, b.target), cmp.Compare(a.number, b.number), a.addr.Compare(b.addr))
	})
	s.ports = slices.Compact(s.ports)
}

// byLabels is the order in which ports are found.
func byLabels(a, b port) int {
	return cmp.Or(strings.Compare(a.protocol, b.protocol), strings.Compare(a.label, b.label))
}

func protocolLabel(p corev1.Protocol) string { return "_" + strings.ToLower(string(p)) }

// dashed is an address as a label.
func dashed(a netip.Addr) string {
	if a.Is4() {
		return strings.ReplaceAll(a.String(), ".", "-")
	}
	return strings.ReplaceAll(a.StringExpanded(), ":", "-")
}
