package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Names of what is made for pods: namespaces in NetnsDir, and devices on the bridge.
const (
	netnsPrefix  = "seatrial-"
	devicePrefix = "stp"
	podDevice    = "eth0"
)

// Pod is a pod on the network.
type Pod struct {
	UID   string
	IP    netip.Addr
	Netns string // path of its network namespace
}

func (n *Network) netns(uid string) string { return filepath.Join(n.host.NetnsDir, netnsPrefix+uid) }

// deviceOf is the name of the host's end of a pod's pair: names are short.
func deviceOf(uid string) string {
	sum := sha256.Sum256([]byte(uid))
	return devicePrefix + hex.EncodeToString(sum[:6])
}

// AddPod puts a pod on the network, if it is not: a namespace with lo and eth0, the
// address, and the way out by the bridge. The error wraps ErrRangeUsedUp if there is no
// address left.
func (n *Network) AddPod(uid string) (Pod, error) {
	if !uidPattern.MatchString(uid) {
		return Pod{}, fmt.Errorf("pod UID %q: want up to 100 letters, digits and '-'", uid)
	}
	n.mu.Lock()
	ip, err := n.addrs.take(uid)
	n.mu.Unlock()
	if err != nil {
		return Pod{}, fmt.Errorf("network of pod %s: %w", uid, err)
	}
	p := Pod{UID: uid, IP: ip, Netns: n.netns(uid)}
	if n.whole(p) {
		return p, nil
	}
	// What an earlier attempt left is no help.
	if err := n.removeDevices(uid); err != nil {
		return Pod{}, fmt.Errorf("network of pod %s: %w", uid, err)
	}
	if err := n.makePod(p); err != nil {
		return Pod{}, errors.Join(fmt.Errorf("network of pod %s: %w", uid, err), n.DelPod(uid))
	}
	return p, nil
}

// whole says whether a pod has its namespace and its device, which is the last thing to
// be brought up.
func (n *Network) whole(p Pod) bool {
	l, err := n.handle.LinkByName(deviceOf(p.UID))
	return err == nil && l.Attrs().Flags&net.FlagUp != 0 && isNetns(p.Netns)
}

func isNetns(file string) bool {
	var st unix.Statfs_t
	return unix.Statfs(file, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// makePod works on a thread of its own, which is in the new namespace and ends with it.
func (n *Network) makePod(p Pod) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- n.makePodHere(p)
	}()
	return <-done
}

func (n *Network) makePodHere(p Pod) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	f, err := os.OpenFile(p.Netns, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount("/proc/thread-self/ns/net", p.Netns, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind the network namespace to %s: %w", p.Netns, err)
	}
	ns, err := unix.Open(p.Netns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(ns)
	in, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := n.makePair(p, ns)
	if err != nil {
		return err
	}
	if err := n.setupInside(in, p); err != nil {
		return err
	}
	if err := n.handle.LinkSetHairpin(out, true); err != nil {
		return fmt.Errorf("hairpin of device %s: %w", out.Attrs().Name, err)
	}
	return n.handle.LinkSetUp(out)
}

// makePair makes the pair of devices, one end here on the bridge, the other in the pod.
func (n *Network) makePair(p Pod, ns int) (netlink.Link, error) {
	v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: podDevice, PeerNamespace: netlink.NsFd(ns), PeerHardwareAddr: macOf(p.IP)}
	v.Name, v.MTU, v.MasterIndex = deviceOf(p.UID), n.host.MTU, n.bridge.Attrs().Index
	if err := n.handle.LinkAdd(v); err != nil {
		return nil, fmt.Errorf("make the pair of devices %s: %w", v.Name, err)
	}
	return n.handle.LinkByName(v.Name)
}

func (n *Network) setupInside(in *netlink.Handle, p Pod) error {
	lo, err := in.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := in.LinkSetUp(lo); err != nil {
		return err
	}
	l, err := in.LinkByName(podDevice)
	if err != nil {
		return err
	}
	if err := in.AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(p.IP, n.host.PodCIDR.Bits()))}); err != nil {
		return fmt.Errorf("address %s: %w", p.IP, err)
	}
	if err := deafToRouters(podDevice); err != nil {
		return err
	}
	if err := in.LinkSetUp(l); err != nil {
		return err
	}
	if err := in.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: n.Gateway().AsSlice()}); err != nil {
		return fmt.Errorf("default route by %s: %w", n.Gateway(), err)
	}
	return nil
}

// deafToRouters keeps a pod from being led astray by another one's advertisements.
func deafToRouters(device string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+device+"/accept_ra", []byte("0"), 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the kernel has no IPv6
	}
	return err
}

// DelPod takes a pod off the network. It is no error if it is not on it.
func (n *Network) DelPod(uid string) error {
	if !uidPattern.MatchString(uid) {
		return fmt.Errorf("pod UID %q: want up to 100 letters, digits and '-'", uid)
	}
	if err := n.removeDevices(uid); err != nil {
		return fmt.Errorf("take pod %s off the network: %w", uid, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addrs.giveBack(uid)
}

// removeDevices removes a pod's pair and namespace. The pair goes first and by itself:
// a namespace lives as long as any process in it.
func (n *Network) removeDevices(uid string) error {
	l, err := n.handle.LinkByName(deviceOf(uid))
	var missing netlink.LinkNotFoundError
	switch {
	case err == nil:
		err = n.handle.LinkDel(l)
		if errors.Is(err, unix.ENODEV) {
			err = nil
		}
	case errors.As(err, &missing):
		err = nil
	}
	if err != nil {
		return fmt.Errorf("device %s: %w", deviceOf(uid), err)
	}
	return removeNetns(n.netns(uid))
}

func removeNetns(file string) error {
	err := unix.Unmount(file, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", file, err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Pods are those that have an address, sorted by UID. After a crash of the host they
// have nothing else; AddPod makes them whole, under the same address.
func (n *Network) Pods() (out []Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, uid := range n.addrs.pods() {
		out = append(out, Pod{UID: uid, IP: n.addrs.byPod[uid], Netns: n.netns(uid)})
	}
	return out
}

// Sweep takes all pods off the network but those to keep, and removes namespaces and
// devices that belong to none.
func (n *Network) Sweep(keep []string) error {
	var problems []error
	for _, p := range n.Pods() {
		if !slices.Contains(keep, p.UID) {
			problems = append(problems, n.DelPod(p.UID))
		}
	}
	entries, err := os.ReadDir(n.host.NetnsDir)
	problems = append(problems, err)
	for _, e := range entries {
		if uid, ok := strings.CutPrefix(e.Name(), netnsPrefix); ok && !slices.Contains(keep, uid) {
			problems = append(problems, removeNetns(filepath.Join(n.host.NetnsDir, e.Name())))
		}
	}
	devices := map[string]bool{}
	for _, uid := range keep {
		devices[deviceOf(uid)] = true
	}
	links, err := n.handle.LinkList()
	problems = append(problems, err)
	for _, l := range links {
		a := l.Attrs()
		if strings.HasPrefix(a.Name, devicePrefix) && a.MasterIndex == n.bridge.Attrs().Index && !devices[a.Name] {
			problems = append(problems, n.handle.LinkDel(l))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("sweep the pod network: %w", err)
	}
	return nil
}
