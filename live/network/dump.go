package network

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries is how often a list of the kernel's is read that changes all the while.
const dumpTries = 20

// dump reads a list of the kernel's, of links or routes. One that changed while it was
// read may lack what was there all the time, so it is read again.
func dump[T any](list func() ([]T, error)) (out []T, err error) {
	for range dumpTries {
		if out, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return out, err
}

// Links are the links of the calling thread's network.
func Links() ([]netlink.Link, error) { return dump(netlink.LinkList) }

// Routes are the routes of the calling thread's network, of a family (netlink.FAMILY_V4).
func Routes(family int) ([]netlink.Route, error) {
	return dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, family) })
}
