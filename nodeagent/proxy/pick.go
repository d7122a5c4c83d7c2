package proxy

import (
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Packet is the first packet of a connection as it comes to the node's rules: from a
// pod or a process of the node, or from outside.
type Packet struct {
	Src, Dst netip.Addr
	Port     uint16 // at Dst
	Protocol corev1.Protocol
	// Draw decides between endpoints: those of a pool have equal shares of all draws.
	// A random number, a counter or a hash of the flow will do.
	Draw uint64
	Now  time.Time
}

// Action is what becomes of a packet.
type Action int8

// Pass is for packets that are for no service; Forward sends the packet to Endpoint;
// Refuse and Discard are the two ends of packets for which there is no endpoint.
const (
	Pass Action = iota
	Forward
	Refuse
	Discard
)

// Verdict is what the rules say of a packet.
type Verdict struct {
	Action   Action
	Service  kinds.Key // not for Pass
	Port     string    // name of its port
	Endpoint netip.AddrPort
	// Masquerade: the packet goes on with the node's address as its source.
	Masquerade bool
}

// Pick looks a packet up. A nil Affinity remembers nobody.
//
// It does what the rendered rules do, in their order: what translates addresses comes
// before what rejects, so that of two services with one address the first that has an
// endpoint gets the packet.
func (r *RuleSet) Pick(p Packet, a *Affinity) Verdict {
	fronts := r.frontsAt(p.Dst, p.Port, p.Protocol)
	if r.mine(p.Dst) && !p.Dst.IsLoopback() {
		fronts = append(fronts, r.frontsAt(netip.Addr{}, p.Port, p.Protocol)...)
	}
	for _, f := range fronts {
		if v, ok := r.translate(&p, f, a); ok {
			return v
		}
	}
	for _, f := range fronts {
		if v, ok := r.refuse(&p, f); ok {
			return v
		}
	}
	return Verdict{Masquerade: r.leaves(&p)}
}

func (r *RuleSet) frontsAt(addr netip.Addr, port uint16, protocol corev1.Protocol) (out []frontOf) {
	from := frontOf{addr: addr, port: port, protocol: protocol}
	r.fronts.Ascend(from, func(f frontOf) bool {
		if f.compareAddress(from) != 0 {
			return false
		}
		out = append(out, f)
		return true
	})
	return out
}

func (r *RuleSet) mine(a netip.Addr) bool {
	return a.IsLoopback() || slices.Contains(r.Config.Addresses, a)
}

func (r *RuleSet) fromPod(p *Packet) bool { return r.Config.PodCIDR.Contains(p.Src) }

// leaves says whether a packet goes from a pod of this node out of the cluster.
func (r *RuleSet) leaves(p *Packet) bool {
	c := &r.Config
	return r.fromPod(p) && c.ClusterCIDR.IsValid() && !c.ClusterCIDR.Contains(p.Dst) && !p.Dst.IsMulticast() && !r.mine(p.Dst)
}

// translate sends the packet to an endpoint, if a front has one for it.
func (r *RuleSet) translate(p *Packet, at frontOf, a *Affinity) (Verdict, bool) {
	port, f := at.parts()
	if !port.Anywhere || !r.accepts(f, p.Src) {
		return Verdict{}, false
	}
	policy, masquerade := f.Policy, false
	switch {
	case !f.External():
		masquerade = r.Config.PodCIDR.IsValid() && !r.fromPod(p)
	case f.Policy == Cluster:
		masquerade = true
	case r.fromPod(p):
		policy = Cluster
	case r.mine(p.Src):
		policy, masquerade = Cluster, true
	}
	pool := port.Pool(policy)
	if len(pool) == 0 {
		return Verdict{}, false
	}
	to := pool[p.Draw%uint64(len(pool))].Addr
	if port.Affinity > 0 && a != nil {
		to = a.stay(at.service.Key, port, pool, to, p)
	}
	return Verdict{
		Action: Forward, Service: at.service.Key, Port: port.Name, Endpoint: to,
		Masquerade: masquerade || to.Addr() == p.Src || r.leaves(&Packet{Src: p.Src, Dst: to.Addr()}),
	}, true
}

// accepts says whether a front takes a client. A node that is among the clients of a
// load balancer's address may also come from that address.
func (r *RuleSet) accepts(f *Front, src netip.Addr) bool {
	if f.Sources == nil || within(f.Sources, src) {
		return true
	}
	return src == f.Addr && r.Config.AmongSources(f)
}

// AmongSources says whether the node itself is among the clients that a front takes.
func (c *Config) AmongSources(f *Front) bool {
	return slices.ContainsFunc(c.Addresses, func(a netip.Addr) bool { return within(f.Sources, a) })
}

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (r *RuleSet) refuse(p *Packet, at frontOf) (Verdict, bool) {
	port, f := at.parts()
	v := Verdict{Service: at.service.Key, Port: port.Name}
	switch missing := port.Missing(f); {
	case missing == Reject:
		v.Action = Refuse
	case missing == Drop, !r.accepts(f, p.Src):
		v.Action = Discard
	default:
		return Verdict{}, false
	}
	return v, true
}
