package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Mode is how packets get from host to host.
type Mode string

// Modes. Direct needs all hosts on one link; VXLAN needs UDP between them.
const (
	Direct Mode = "direct"
	VXLAN  Mode = "vxlan"
)

// Defaults and limits.
const (
	DefaultBridge    = "seatrial0"
	defaultMTU       = 1500
	vxlanBytes       = 50 // what VXLAN adds to a packet over IPv4
	vxlanPort        = 4789
	vxlanID          = 83
	mtuMin, mtuMax   = 576, 65535
	bitsMin, bitsMax = 8, 29 // of a host's range
	routesMax        = 10_000
)

// Host says what the network of this host is to be.
type Host struct {
	PodCIDR netip.Prefix // the host's range; its first address is the gateway's
	NodeIP  netip.Addr   // the host's address, by which the others reach it; needed for VXLAN
	Dir     string       // folder for what must survive a restart
	// NetnsDir is where the pods' namespaces are bound; /run/seatrial/netns if "".
	NetnsDir string
	Bridge   string // its name; DefaultBridge if ""
	MTU      int    // of the pods; 0 is that of the host's device, less what VXLAN adds
	Mode     Mode   // Direct if ""
	// ClusterCIDRs hold all pods' addresses, which are not masqueraded.
	ClusterCIDRs []netip.Prefix
}

func (h *Host) complete() error {
	if h.Bridge == "" {
		h.Bridge = DefaultBridge
	}
	if h.Mode == "" {
		h.Mode = Direct
	}
	if h.NetnsDir == "" {
		h.NetnsDir = "/run/seatrial/netns"
	}
	switch {
	case !h.PodCIDR.IsValid() || !h.PodCIDR.Addr().Is4() || h.PodCIDR.Bits() < bitsMin || h.PodCIDR.Bits() > bitsMax:
		return fmt.Errorf("pod CIDR %q: want an IPv4 range from /%d to /%d, such as 10.244.1.0/24", h.PodCIDR, bitsMin, bitsMax)
	case h.Mode != Direct && h.Mode != VXLAN:
		return fmt.Errorf("mode %q: want direct or vxlan", h.Mode)
	case h.Mode == VXLAN && !h.NodeIP.Is4():
		return fmt.Errorf("node IP %q: VXLAN wants the host's IPv4 address", h.NodeIP)
	case h.MTU != 0 && (h.MTU < mtuMin || h.MTU > mtuMax):
		return fmt.Errorf("MTU %d: want %d to %d, or 0 for the device's", h.MTU, mtuMin, mtuMax)
	case len(h.Bridge) >= unix.IFNAMSIZ || h.Bridge == "" || !uidPattern.MatchString(h.Bridge):
		return fmt.Errorf("bridge %q: want a name of up to %d letters, digits and '-'", h.Bridge, unix.IFNAMSIZ-1)
	case h.Dir == "":
		return errors.New("dir: there is none; want a folder that survives a restart")
	}
	h.PodCIDR = h.PodCIDR.Masked()
	return nil
}

// Network is the pod network of one host. Its methods may be called from several
// goroutines.
type Network struct {
	host   Host
	handle *netlink.Handle // in the host's namespace
	bridge netlink.Link
	vxlan  netlink.Link // nil unless the mode is VXLAN

	warnings []string

	mu    sync.Mutex
	addrs *addresses
}

// Masquerade is the rule that pods' packets to the outside need: those from Source,
// except to ExceptTo, leave with the host's address. (Source -s, each of ExceptTo ! -d.)
type Masquerade struct {
	Source   netip.Prefix
	ExceptTo []netip.Prefix
}

// Setup makes the bridge, and the VXLAN device if it is asked for, in the namespace of
// the calling thread, or takes over what is there.
func Setup(host Host) (*Network, error) {
	if err := host.complete(); err != nil {
		return nil, fmt.Errorf("pod network: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("pod network: open netlink: %w", err)
	}
	n := &Network{host: host, handle: h}
	if err := n.setup(); err != nil {
		h.Close()
		return nil, fmt.Errorf("pod network: %w", err)
	}
	return n, nil
}

func (n *Network) setup() (err error) {
	if n.addrs, err = openAddresses(filepath.Join(n.host.Dir, "addresses"), n.host.PodCIDR); err != nil {
		return err
	}
	if err := os.MkdirAll(n.host.NetnsDir, 0o755); err != nil {
		return err
	}
	uplink, err := n.uplink()
	if err != nil {
		return err
	}
	if n.host.MTU == 0 {
		n.host.MTU = defaultMTU
		if uplink != nil {
			n.host.MTU = uplink.Attrs().MTU
		}
		if n.host.Mode == VXLAN {
			n.host.MTU -= vxlanBytes
		}
	}
	if err := n.setupBridge(); err != nil {
		return fmt.Errorf("bridge %s: %w", n.host.Bridge, err)
	}
	if err := n.setupVXLAN(uplink); err != nil {
		return fmt.Errorf("VXLAN device %s: %w", n.vxlanName(), err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("let the host forward: %w", err)
	}
	err = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644)
	if errors.Is(err, os.ErrNotExist) {
		n.warnings = append(n.warnings, "the kernel has no br_netfilter (modprobe br_netfilter), so a service does not lead to a pod on the same host as the one that asks")
		return nil
	}
	return err
}

// Warnings say what does not work on this host, for people.
func (n *Network) Warnings() []string { return n.warnings }

// uplink is the device that has the node's address; nil if that is not known.
func (n *Network) uplink() (netlink.Link, error) {
	if !n.host.NodeIP.IsValid() {
		return nil, nil
	}
	list, err := n.handle.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		if a.IP.Equal(n.host.NodeIP.AsSlice()) {
			return n.handle.LinkByIndex(a.LinkIndex)
		}
	}
	return nil, fmt.Errorf("node IP %s: no device of this host has it", n.host.NodeIP)
}

func (n *Network) setupBridge() error {
	l, err := n.handle.LinkByName(n.host.Bridge)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		b := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
		b.Name, b.MTU = n.host.Bridge, n.host.MTU
		b.HardwareAddr = macOf(gateway(n.host.PodCIDR))
		if err := n.handle.LinkAdd(b); err != nil {
			return err
		}
		l, err = n.handle.LinkByName(n.host.Bridge)
	}
	if err != nil {
		return err
	}
	if l.Type() != "bridge" {
		return fmt.Errorf("there is a device of that name, of kind %s", l.Type())
	}
	n.bridge = l
	if err := withoutIPv6(l.Attrs().Name); err != nil {
		return err
	}
	if err := n.setAddress(l, netip.PrefixFrom(gateway(n.host.PodCIDR), n.host.PodCIDR.Bits())); err != nil {
		return err
	}
	return n.handle.LinkSetUp(l)
}

// withoutIPv6 keeps the host from listening to what pods say of IPv6 on a device: their
// router advertisements would lead the host's own packets to them (CVE-2020-10749).
func withoutIPv6(device string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+device+"/disable_ipv6", []byte("1"), 0o644)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the kernel has none
	}
	return err
}

// setAddress gives the device this address and no other.
func (n *Network) setAddress(l netlink.Link, want netip.Prefix) error {
	list, err := n.handle.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	there := false
	for _, a := range list {
		if a.IPNet.String() == want.String() {
			there = true
			continue
		}
		if err := n.handle.AddrDel(l, &a); err != nil {
			return err
		}
	}
	if there {
		return nil
	}
	return n.handle.AddrAdd(l, &netlink.Addr{IPNet: ipNet(want)})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// macOf is a hardware address that follows from an IP address, so that a new pod with an
// old address is found at once, and hosts need not tell each other theirs.
func macOf(ip netip.Addr) net.HardwareAddr {
	b := ip.As4()
	return net.HardwareAddr{0x0a, 0x53, b[0], b[1], b[2], b[3]}
}

// Masquerade says which packets leave with the host's address.
func (n *Network) Masquerade() Masquerade {
	return Masquerade{Source: n.host.PodCIDR, ExceptTo: append([]netip.Prefix{n.host.PodCIDR}, n.host.ClusterCIDRs...)}
}

// Gateway is the bridge's address: pods reach the host by it.
func (n *Network) Gateway() netip.Addr { return gateway(n.host.PodCIDR) }

// MTU is that of the pods.
func (n *Network) MTU() int { return n.host.MTU }

// Close lets go of the kernel; the network stays.
func (n *Network) Close() { n.handle.Close() }

// Remove takes the whole network away, pods included, and closes it.
func (n *Network) Remove() error {
	if err := n.Sweep(nil); err != nil {
		return err
	}
	if err := n.SetRoutes(nil); err != nil {
		return err
	}
	for _, l := range []netlink.Link{n.vxlan, n.bridge} {
		if l == nil {
			continue
		}
		if err := n.handle.LinkDel(l); err != nil {
			return fmt.Errorf("pod network: remove device %s: %w", l.Attrs().Name, err)
		}
	}
	n.handle.Close()
	return nil
}

var uidPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,99}$`)
