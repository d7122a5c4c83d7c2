package proxy

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// EndpointsMax is how many endpoints of one pool are used, in the order of their
// addresses; Port.Unused counts the others.
const EndpointsMax = 10_000

// Config is what the rules of a node depend on beside the cluster's services.
type Config struct {
	Node string // its name: endpoints on it are local
	Zone string // its label topology.kubernetes.io/zone, for hints; may be empty
	// Addresses are the node's own: node ports are served on them.
	Addresses []netip.Addr
	// PodCIDR is the node's share of the pod network. Without one, whatever comes to a
	// cluster IP keeps its source.
	PodCIDR netip.Prefix
	// ClusterCIDR is the pod network of all nodes. Traffic of this node's pods to
	// elsewhere is masqueraded; without it, none is.
	ClusterCIDR netip.Prefix
	// IPv6 compiles the rules of that family; those of a RuleSet are all of one.
	IPv6 bool
}

// RuleSet is the rules of a node. It is immutable.
type RuleSet struct {
	Config   Config
	services *btree.BTreeG[*Service]
	fronts   *btree.BTreeG[frontOf]
}

// Service is the compiled part of one service. It is immutable, and the same pointer
// as long as nothing about it changes.
type Service struct {
	Key   kinds.Key
	Ports []Port
}

// Port is one port of a service.
type Port struct {
	Name     string // of the port in the spec; may be empty
	Protocol corev1.Protocol
	Fronts   []Front
	// Cluster and Local are the endpoints of each traffic policy; the second is nil
	// unless some front uses it.
	Cluster, Local []Endpoint
	// Anywhere says that the service has a usable endpoint on some node.
	Anywhere bool
	// Affinity is for how long a client stays with an endpoint; 0 is not at all.
	Affinity time.Duration
	// Serving are all endpoints of a UDP port that may still answer: flows to others
	// are stale. Nil for other protocols.
	Serving []netip.AddrPort
	Unused  int // endpoints beyond EndpointsMax
}

// Endpoint is where packets are sent to.
type Endpoint struct {
	Addr  netip.AddrPort
	Local bool // on this node
	// Elsewhere is true if it is known to be on another node. Where nothing is known,
	// neither is true.
	Elsewhere bool
}

// FrontKind is the kind of address at which a port is reached.
type FrontKind int8

// The kinds, in the order in which a port's fronts are listed.
const (
	ClusterIP FrontKind = iota
	ExternalIP
	LoadBalancer
	NodePort
)

// Front is one address and port at which a port of a service is reached.
type Front struct {
	Kind FrontKind
	Addr netip.Addr // not valid for NodePort: every address of the node
	Port uint16
	// Policy Local sends to endpoints on this node only.
	Policy Policy
	// Sources are the only clients of a LoadBalancer front; all when nil.
	Sources []netip.Prefix
}

// Policy is a traffic policy.
type Policy int8

// The policies.
const (
	Cluster Policy = iota
	Local
)

// Missing is what becomes of packets to a front whose pool is empty.
type Missing int8

// Reject answers that nobody is there; Drop says nothing, since there is somebody on
// another node.
const (
	Present Missing = iota
	Reject
	Drop
)

// Pool is the endpoints of a policy.
func (p *Port) Pool(of Policy) []Endpoint {
	if of == Local {
		return p.Local
	}
	return p.Cluster
}

// Missing says whether a front has endpoints, and what to do if not.
func (p *Port) Missing(f *Front) Missing {
	switch {
	case !p.Anywhere:
		return Reject
	case len(p.Pool(f.Policy)) == 0:
		return Drop
	}
	return Present
}

// External says whether a front is an address for clients outside of the cluster.
func (f *Front) External() bool { return f.Kind != ClusterIP }

// frontOf is the entry of a front in the index that Pick looks in.
type frontOf struct {
	addr     netip.Addr // the zero Addr for node ports
	port     uint16
	protocol corev1.Protocol
	service  *Service
	at, i    int // Ports[at].Fronts[i]
}

func (f frontOf) parts() (*Port, *Front) {
	p := &f.service.Ports[f.at]
	return p, &p.Fronts[f.i]
}

func (f frontOf) compareAddress(o frontOf) int {
	if c := f.addr.Compare(o.addr); c != 0 {
		return c
	}
	if c := cmp.Compare(f.port, o.port); c != 0 {
		return c
	}
	return cmp.Compare(f.protocol, o.protocol)
}

func lessFront(f, o frontOf) bool {
	if c := f.compareAddress(o); c != 0 {
		return c < 0
	}
	if f.service == nil || o.service == nil { // what is looked for stands before its finds
		return f.service == nil && o.service != nil
	}
	if c := f.service.Key.Compare(o.service.Key); c != 0 {
		return c < 0
	}
	if f.at != o.at {
		return f.at < o.at
	}
	return f.i < o.i
}

func empty(c Config) *RuleSet {
	options := btree.Options{NoLocks: true}
	return &RuleSet{
		Config:   c,
		services: btree.NewBTreeGOptions(func(a, b *Service) bool { return a.Key.Compare(b.Key) < 0 }, options),
		fronts:   btree.NewBTreeGOptions(lessFront, options),
	}
}

func (r *RuleSet) copy() *RuleSet {
	return &RuleSet{Config: r.Config, services: r.services.Copy(), fronts: r.fronts.Copy()}
}

// put sets or, when s is nil, takes away the part of a service.
func (r *RuleSet) put(key kinds.Key, s *Service) {
	if old := r.Service(key); old != nil {
		r.services.Delete(old)
		old.eachFront(func(f frontOf) { r.fronts.Delete(f) })
	}
	if s != nil {
		r.services.Set(s)
		s.eachFront(func(f frontOf) { r.fronts.Set(f) })
	}
}

func (s *Service) eachFront(do func(frontOf)) {
	for at := range s.Ports {
		p := &s.Ports[at]
		for i := range p.Fronts {
			f := &p.Fronts[i]
			do(frontOf{addr: f.Addr, port: f.Port, protocol: p.Protocol, service: s, at: at, i: i})
		}
	}
}

// Service returns the part of a service, or nil.
func (r *RuleSet) Service(key kinds.Key) *Service {
	s, _ := r.services.Get(&Service{Key: key})
	return s
}

// Services walks the parts in the order of their keys.
func (r *RuleSet) Services() iter.Seq[*Service] {
	return func(yield func(*Service) bool) { r.services.Scan(yield) }
}

// Len is the number of services that have a part.
func (r *RuleSet) Len() int { return r.services.Len() }

// Change is one service whose part differs between two rule sets; nil on the side that
// does not have it.
type Change struct {
	Key      kinds.Key
	Old, New *Service
}

// Diff lists the services whose parts are not the same value, in the order of keys. Old
// may be nil. It costs O(n) comparisons of pointers.
func Diff(old, now *RuleSet) (out []Change) {
	var was []*Service
	if old != nil {
		was = old.services.Items()
	}
	for _, is := range now.services.Items() {
		for len(was) > 0 && was[0].Key.Compare(is.Key) < 0 {
			out, was = append(out, Change{was[0].Key, was[0], nil}), was[1:]
		}
		if len(was) > 0 && was[0].Key == is.Key {
			if was[0] != is {
				out = append(out, Change{is.Key, was[0], is})
			}
			was = was[1:]
			continue
		}
		out = append(out, Change{is.Key, nil, is})
	}
	for _, s := range was {
		out = append(out, Change{s.Key, s, nil})
	}
	return out
}

func equalServices(a, b *Service) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.EqualFunc(a.Ports, b.Ports, equalPorts)
}

func equalPorts(a, b Port) bool {
	return a.Name == b.Name && a.Protocol == b.Protocol && a.Affinity == b.Affinity &&
		a.Anywhere == b.Anywhere && a.Unused == b.Unused &&
		slices.EqualFunc(a.Fronts, b.Fronts, equalFronts) &&
		slices.Equal(a.Cluster, b.Cluster) && slices.Equal(a.Local, b.Local) && slices.Equal(a.Serving, b.Serving)
}

func equalFronts(a, b Front) bool {
	return a.Kind == b.Kind && a.Addr == b.Addr && a.Port == b.Port && a.Policy == b.Policy && slices.Equal(a.Sources, b.Sources)
}
