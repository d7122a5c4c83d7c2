package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bind puts an address on the loopback device of the calling thread's network namespace,
// unless it is there. It stays until Unbind, so that an agent that starts again finds it
// and no packet goes astray meanwhile.
func Bind(addr netip.Addr) error {
	err := onLoopback(addr, func(h *netlink.Handle, lo netlink.Link, a *netlink.Addr) error { return h.AddrAdd(lo, a) })
	if errors.Is(err, unix.EEXIST) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("cluster DNS: put %s on the loopback device: %w", addr, err)
	}
	return nil
}

// Unbind takes an address from the loopback device; one that is not there is no error.
func Unbind(addr netip.Addr) error {
	err := onLoopback(addr, func(h *netlink.Handle, lo netlink.Link, a *netlink.Addr) error { return h.AddrDel(lo, a) })
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("cluster DNS: take %s from the loopback device: %w", addr, err)
	}
	return nil
}

func onLoopback(addr netip.Addr, do func(*netlink.Handle, netlink.Link, *netlink.Addr) error) error {
	if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
		return fmt.Errorf("address %q: want one such as 10.96.0.10", addr)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := h.LinkSetUp(lo); err != nil {
		return err
	}
	a, err := netlink.ParseAddr(netip.PrefixFrom(addr, addr.BitLen()).String())
	if err != nil {
		return err
	}
	return do(h, lo, a)
}
