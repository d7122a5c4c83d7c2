package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProtocol marks the routes that are ours, so that no other is touched.
const routeProtocol = 83

// NodeRoute says by which host a range of pods is reached.
type NodeRoute struct {
	PodCIDR netip.Prefix
	NodeIP  netip.Addr
}

func (n *Network) vxlanName() string { return fmt.Sprintf("stx%d", vxlanID) }

// setupVXLAN makes the device, whose hardware address follows from the node's. Nothing
// is learnt from packets: SetRoutes says where each host is.
func (n *Network) setupVXLAN(uplink netlink.Link) error {
	l, err := n.handle.LinkByName(n.vxlanName())
	var missing netlink.LinkNotFoundError
	if err != nil && !errors.As(err, &missing) {
		return err
	}
	if err == nil && (n.host.Mode != VXLAN || !n.fits(l, uplink)) {
		if err := n.handle.LinkDel(l); err != nil {
			return err
		}
		l = nil
	}
	if n.host.Mode != VXLAN {
		return nil
	}
	if err != nil || l == nil {
		v := &netlink.Vxlan{LinkAttrs: netlink.NewLinkAttrs(), VxlanId: vxlanID, VtepDevIndex: uplink.Attrs().Index, SrcAddr: n.host.NodeIP.AsSlice(), Port: vxlanPort}
		v.Name, v.MTU, v.HardwareAddr = n.vxlanName(), n.host.MTU, macOf(n.host.NodeIP)
		if err := n.handle.LinkAdd(v); err != nil {
			return err
		}
		if l, err = n.handle.LinkByName(n.vxlanName()); err != nil {
			return err
		}
	}
	n.vxlan = l
	if err := withoutIPv6(l.Attrs().Name); err != nil {
		return err
	}
	if err := n.setAddress(l, netip.PrefixFrom(n.host.PodCIDR.Addr(), 32)); err != nil {
		return err
	}
	return n.handle.LinkSetUp(l)
}

// fits says whether the device that is there is the one wanted.
func (n *Network) fits(l, uplink netlink.Link) bool {
	v, ok := l.(*netlink.Vxlan)
	return ok && uplink != nil && v.VxlanId == vxlanID && v.VtepDevIndex == uplink.Attrs().Index && v.SrcAddr.Equal(n.host.NodeIP.AsSlice()) &&
		v.Port == vxlanPort && v.MTU == n.host.MTU && v.HardwareAddr.String() == macOf(n.host.NodeIP).String()
}

// SetRoutes makes the ways to the other hosts' ranges those given, and no others. What is
// there already stays untouched; this host's own range is left out.
func (n *Network) SetRoutes(routes []NodeRoute) error {
	if len(routes) > routesMax {
		return fmt.Errorf("pod network: %d routes: want at most %d (limit routesMax)", len(routes), routesMax)
	}
	want := map[string]NodeRoute{}
	for _, r := range routes {
		if !r.PodCIDR.IsValid() || !r.PodCIDR.Addr().Is4() || !r.NodeIP.Is4() {
			return fmt.Errorf("pod network: route to %s by %s: want an IPv4 range and address", r.PodCIDR, r.NodeIP)
		}
		r.PodCIDR = r.PodCIDR.Masked()
		if r.PodCIDR != n.host.PodCIDR {
			want[r.PodCIDR.String()] = r
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.vxlan != nil {
		if err := n.setPeers(want); err != nil {
			return fmt.Errorf("pod network: VXLAN: %w", err)
		}
	}
	if err := n.setRoutes(want); err != nil {
		return fmt.Errorf("pod network: %w", err)
	}
	return nil
}

func (n *Network) setRoutes(want map[string]NodeRoute) error {
	there, err := n.handle.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return err
	}
	missing := map[string]NodeRoute{}
	for k, r := range want {
		missing[k] = r
	}
	for _, r := range there {
		if w, ok := want[r.Dst.String()]; ok && n.sameRoute(r, w) {
			delete(missing, r.Dst.String())
			continue
		}
		if err := n.handle.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove the route to %s: %w", r.Dst, err)
		}
	}
	var problems []error // a node with a bad address does not keep the others from theirs
	for _, w := range missing {
		if err := n.handle.RouteReplace(n.route(w)); err != nil {
			hint := ""
			if n.vxlan == nil && (errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH)) {
				hint = " (it is not on a link of this host: mode vxlan does not need that)"
			}
			problems = append(problems, fmt.Errorf("route to %s by %s%s: %w", w.PodCIDR, w.NodeIP, hint, err))
		}
	}
	return errors.Join(problems...)
}

// route goes by the node's address, or by the address of the node's VXLAN device, which
// is the first of its range and on no link but by its entry in the neighbours' table.
func (n *Network) route(w NodeRoute) *netlink.Route {
	if n.vxlan == nil {
		return &netlink.Route{Dst: ipNet(w.PodCIDR), Gw: w.NodeIP.AsSlice(), Protocol: routeProtocol}
	}
	return &netlink.Route{Dst: ipNet(w.PodCIDR), Gw: w.PodCIDR.Addr().AsSlice(), Protocol: routeProtocol,
		LinkIndex: n.vxlan.Attrs().Index, Flags: int(netlink.FLAG_ONLINK)}
}

func (n *Network) sameRoute(r netlink.Route, w NodeRoute) bool {
	as := n.route(w)
	return r.Gw.Equal(as.Gw) && (n.vxlan == nil || r.LinkIndex == as.LinkIndex)
}

// peer is what the VXLAN device must know of another host: who answers to its device's
// address, and where packets for that hardware address go.
type peer struct {
	ip  netip.Addr
	mac string
}

func (n *Network) setPeers(want map[string]NodeRoute) error {
	index := n.vxlan.Attrs().Index
	arp, fdb := map[peer]bool{}, map[peer]bool{}
	for _, r := range want {
		mac := macOf(r.NodeIP).String()
		arp[peer{r.PodCIDR.Addr(), mac}] = true
		fdb[peer{r.NodeIP, mac}] = true
	}
	for _, table := range []struct {
		family int
		flags  int
		want   map[peer]bool
	}{
		{unix.AF_BRIDGE, netlink.NTF_SELF, fdb},
		{netlink.FAMILY_V4, 0, arp},
	} {
		there, err := n.handle.NeighList(index, table.family)
		if err != nil {
			return err
		}
		for _, e := range there {
			ip, ok := netip.AddrFromSlice(e.IP)
			p := peer{ip.Unmap(), e.HardwareAddr.String()}
			if !ok || e.State&netlink.NUD_PERMANENT == 0 {
				continue // the kernel's own
			}
			if table.want[p] {
				delete(table.want, p)
				continue
			}
			if err := n.handle.NeighDel(&e); err != nil && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("forget %s at %s: %w", p.mac, p.ip, err)
			}
		}
		for p := range table.want {
			mac, err := net.ParseMAC(p.mac)
			if err != nil {
				return err
			}
			e := &netlink.Neigh{LinkIndex: index, Family: table.family, Flags: table.flags, State: netlink.NUD_PERMANENT, IP: p.ip.AsSlice(), HardwareAddr: mac}
			if err := n.handle.NeighSet(e); err != nil {
				return fmt.Errorf("know %s at %s: %w", p.mac, p.ip, err)
			}
		}
	}
	return nil
}
