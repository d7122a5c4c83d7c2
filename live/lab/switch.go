package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

const (
	switchName  = "switch"
	bridgeName  = "sw0"
	machinePort = "machine"
	hostLink    = "eth0"
	mtu         = 1500
)

// linkName is that of this machine's cable to the switch.
func linkName(lab string) string { return "st-" + lab }

// space is the network namespace of a process of the lab.
type space struct {
	ns     netns.NsHandle
	handle *netlink.Handle
}

func spaceOf(p process) (*space, error) {
	ns, err := netns.GetFromPid(p.Pid)
	if err != nil {
		return nil, fmt.Errorf("network of process %d: %w", p.Pid, err)
	}
	if !p.alive() {
		ns.Close()
		return nil, fmt.Errorf("process %d has ended; if nothing else helps: seatrial lab down", p.Pid)
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		ns.Close()
		return nil, err
	}
	return &space{ns, h}, nil
}

func (s *space) close() {
	s.handle.Close()
	s.ns.Close()
}

// run does something on a thread in the namespace. The thread is brought back: it may be
// the process's first, which never ends and by whose namespaces the process is known.
func (s *space) run(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- func() error {
			here, err := netns.Get()
			if err != nil {
				return err
			}
			defer here.Close()
			if err := netns.Set(s.ns); err != nil {
				return err
			}
			err = do()
			if back := netns.Set(here); back != nil {
				return errors.Join(err, back) // never unlocked
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	return <-done
}

func (s *space) up(name string) (netlink.Link, error) {
	l, err := s.handle.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", name, err)
	}
	return l, s.handle.LinkSetUp(l)
}

func (s *space) address(name string, a netip.Addr, subnet netip.Prefix) error {
	l, err := s.up(name)
	if err != nil {
		return err
	}
	mask := net.CIDRMask(subnet.Bits(), 32)
	return s.handle.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: mask}})
}

// macOf follows from the address, so that a restarted host is found at once.
func macOf(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x0a, 0x4c, b[0], b[1], b[2], b[3]}
}

// plug joins a namespace to the switch by a cable.
func (sw *space) plug(port string, to *space, name string, a netip.Addr, subnet netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = port, mtu
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: name, PeerHardwareAddr: macOf(a), PeerNamespace: netlink.NsFd(int(to.ns)), PeerMTU: mtu,
	}
	if err := sw.handle.LinkAdd(veth); err != nil {
		return fmt.Errorf("cable %s: %w", port, err)
	}
	bridge, err := sw.handle.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	l, err := sw.up(port)
	if err != nil {
		return err
	}
	if err := sw.handle.LinkSetMaster(l, bridge); err != nil {
		return err
	}
	return to.address(name, a, subnet)
}

func (sw *space) unplug(port string) error {
	l, err := sw.handle.LinkByName(port)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := sw.handle.LinkDel(l); err != nil && !isMissing(err) {
		return fmt.Errorf("cable %s: %w", port, err)
	}
	return nil
}

func isMissing(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, os.ErrNotExist) || err != nil && strings.Contains(err.Error(), "no such device")
}

// wireSwitch makes the bridge, the way to this machine, and the rules of cuts.
func wireSwitch(s *state) error {
	sw, err := spaceOf(s.Switch)
	if err != nil {
		return err
	}
	defer sw.close()
	c := s.Config
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = bridgeName, mtu, macOf(gateway(c.Subnet))
	if err := sw.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	if _, err := sw.up("lo"); err != nil {
		return err
	}
	if err := sw.address(bridgeName, gateway(c.Subnet), c.Subnet); err != nil {
		return err
	}
	err = sw.run(func() error {
		// What is switched is nobody's to filter or track here. Absent where the kernel cannot.
		err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	here, err := machineSpace()
	if err != nil {
		return err
	}
	defer here.close()
	if err := sw.plug(machinePort, here, linkName(c.Name), MachineAddr(c.Subnet), c.Subnet); err != nil {
		return err
	}
	return sw.nft(cutTable)
}

func machineSpace() (*space, error) {
	ns, err := netns.Get()
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		ns.Close()
		return nil, err
	}
	return &space{ns, h}, nil
}

// wireHost gives a host its cable, address and default route.
func wireHost(s *state, h *hostState) error {
	sw, err := spaceOf(s.Switch)
	if err != nil {
		return fmt.Errorf("the switch: %w", err)
	}
	defer sw.close()
	host, err := spaceOf(h.Process)
	if err != nil {
		return err
	}
	defer host.close()
	if _, err := host.up("lo"); err != nil {
		return err
	}
	if err := sw.unplug(h.Port); err != nil {
		return err
	}
	if err := sw.plug(h.Port, host, hostLink, s.spec(h.Name).Addr, s.Config.Subnet); err != nil {
		return err
	}
	_, all, _ := net.ParseCIDR("0.0.0.0/0")
	if err := host.handle.RouteAdd(&netlink.Route{Dst: all, Gw: gateway(s.Config.Subnet).AsSlice()}); err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

// cutTable drops, whatever the protocol (ARP too), what comes in by one port and would
// leave by the other.
const cutTable = `table bridge lab {
	set cut {
		type ifname . ifname
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		iifname . oifname @cut drop
	}
}
`

// applyCuts makes the set what the state says, at once.
func applyCuts(s *state) error {
	sw, err := spaceOf(s.Switch)
	if err != nil {
		return fmt.Errorf("the switch: %w", err)
	}
	defer sw.close()
	script := "flush set bridge lab cut\n"
	for _, c := range s.Cuts {
		from, err := s.host(c.From)
		if err != nil {
			return err
		}
		to, err := s.host(c.To)
		if err != nil {
			return err
		}
		script += fmt.Sprintf("add element bridge lab cut { %q . %q }\n", from.Port, to.Port)
	}
	return sw.nft(script)
}

func (s *space) nft(script string) error {
	return s.run(func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(script)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("nft: %w: %s", err, strings.TrimSpace(out.String()))
		}
		return nil
	})
}
