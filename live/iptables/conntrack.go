package iptables

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/nodeagent/proxy"
)

const protocolUDP = 17

// stale finds connections of UDP that go to an endpoint which does not serve any more.
// A TCP client notices; one of UDP would send there as long as the kernel remembers
// the flow, which each packet renews.
type stale struct {
	addresses []netip.Addr // of the node
	// serving are the endpoints that flows may go to, by address and port of a
	// service; node ports are under the zero address.
	serving map[netip.AddrPort]map[netip.AddrPort]bool
}

// staleFlows is nil if by the changes no port of UDP has lost an endpoint, or got its
// first.
func staleFlows(changes []proxy.Change, to *proxy.RuleSet) *stale {
	s := &stale{addresses: to.Config.Addresses, serving: map[netip.AddrPort]map[netip.AddrPort]bool{}}
	for _, c := range changes {
		if c.New != nil {
			s.add(c.New, c.Old)
		} else {
			s.addGone(c.Old)
		}
	}
	if len(s.serving) == 0 {
		return nil
	}
	return s
}

func (s *stale) add(now, old *proxy.Service) {
	for i := range now.Ports {
		p := &now.Ports[i]
		if p.Protocol != corev1.ProtocolUDP {
			continue
		}
		set := map[netip.AddrPort]bool{}
		for _, e := range p.Serving {
			set[e] = true
		}
		if lost(old, p, set) {
			for j := range p.Fronts {
				s.serving[netip.AddrPortFrom(p.Fronts[j].Addr, p.Fronts[j].Port)] = set
			}
		}
	}
}

// lost says whether flows of a port may go where they should not: an endpoint is gone,
// or there was none, so that flows stand that were not translated.
func lost(old *proxy.Service, p *proxy.Port, now map[netip.AddrPort]bool) bool {
	if old == nil {
		return true
	}
	for i := range old.Ports {
		was := &old.Ports[i]
		if was.Name != p.Name || was.Protocol != p.Protocol {
			continue
		}
		for _, e := range was.Serving {
			if !now[e] {
				return true
			}
		}
		return len(was.Serving) == 0 && len(now) > 0
	}
	return true
}

func (s *stale) addGone(old *proxy.Service) {
	for i := range old.Ports {
		p := &old.Ports[i]
		for j := range p.Fronts {
			if at := netip.AddrPortFrom(p.Fronts[j].Addr, p.Fronts[j].Port); p.Protocol == corev1.ProtocolUDP && s.serving[at] == nil {
				s.serving[at] = map[netip.AddrPort]bool{}
			}
		}
	}
}

// MatchConntrackFlow says whether a flow is to be forgotten.
func (s *stale) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	if f.Forward.Protocol != protocolUDP {
		return false
	}
	to := addrPort(f.Forward.DstIP, f.Forward.DstPort)
	by := addrPort(f.Reverse.SrcIP, f.Reverse.SrcPort)
	if serving, ok := s.serving[to]; ok {
		return !serving[by]
	}
	for _, a := range s.addresses {
		if serving, ok := s.serving[netip.AddrPortFrom(netip.Addr{}, to.Port())]; ok && a == to.Addr() {
			return !serving[by]
		}
	}
	return false
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a.Unmap(), port)
}

// forget deletes the flows and says how many there were.
func (s *stale) forget(c Config) (n int, err error) {
	family := netlink.InetFamily(netlink.FAMILY_V4)
	if c.IPv6 {
		family = netlink.FAMILY_V6
	}
	err = inNetns(c.Netns, func() error {
		deleted, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, s)
		if n = int(deleted); err != nil {
			return fmt.Errorf("forget flows to endpoints that are gone: %w", err)
		}
		return nil
	})
	return n, err
}
