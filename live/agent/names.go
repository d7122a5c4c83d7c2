package agent

import (
	"net"
	"net/netip"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/live/dns"
	names "seatrial.dev/seatrial/nodeagent/dns"
)

// hostResolv is where the host's own resolvers are told.
const hostResolv = "/etc/resolv.conf"

const dnsPort = "53"

// nameServer answers pods' questions for names, at the address of the cluster's DNS.
type nameServer struct {
	server *dns.Server
	zone   *names.Zone
	off    bool // the cluster has no DNS of its own
}

// open puts the address on this host and listens.
func (n *nameServer) open(a *Agent) error {
	if n.server != nil || n.off {
		return nil
	}
	at, err := netip.ParseAddr(a.member.ClusterDNS)
	if err != nil {
		n.off = true
		return nil
	}
	if err := dns.Bind(at); err != nil {
		return err
	}
	own := []netip.Addr{at}
	upstreams, err := dns.Upstreams(hostResolv, own)
	if err != nil {
		a.log("names outside the cluster: %v", err)
	}
	n.server, err = dns.Start(dns.Config{Listen: []string{net.JoinHostPort(at.String(), dnsPort)}, Upstreams: upstreams,
		Report: func(err error) { a.log("%v", err) }})
	return err
}

func (n *nameServer) close() {
	if n.server != nil {
		n.server.Close()
	}
}

// apply makes names mean what the view says; of these services it has changed.
func (n *nameServer) apply(a *Agent, v *view.View, keys []kinds.Key) (err error) {
	if err := n.open(a); err != nil || n.off {
		return err
	}
	if n.zone != nil {
		n.zone = n.zone.Update(v, keys...)
	} else if n.zone, err = names.Compile(names.Config{Domain: a.member.ClusterDomain, Networks: []netip.Prefix{a.member.ServiceCIDR, a.member.PodCIDR}}, v); err != nil {
		return err
	}
	n.server.SetZone(n.zone)
	return nil
}
