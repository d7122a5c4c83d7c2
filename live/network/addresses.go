package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrRangeUsedUp says that every address of the host's range is a pod's.
var ErrRangeUsedUp = errors.New("the host's range of pod addresses is used up")

// addresses hands out the addresses of a range. Each one in use is a file with the pod's
// UID in it, which appears with its content in one step: so two processes never hand out
// the same. A crash of the host may lose files, and with it go the pods. An address that
// was given back is used again as late as possible, as others may still speak to it.
type addresses struct {
	dir   string
	cidr  netip.Prefix
	byPod map[string]netip.Addr
	used  map[netip.Addr]string
	last  netip.Addr
}

// lastFile has the address handed out last.
const lastFile = "last"

func openAddresses(dir string, cidr netip.Prefix) (*addresses, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &addresses{dir: dir, cidr: cidr.Masked(), byPod: map[string]netip.Addr{}, used: map[netip.Addr]string{}}
	if raw, err := os.ReadFile(filepath.Join(dir, lastFile)); err == nil {
		a.last, _ = netip.ParseAddr(string(raw)) // without it the search begins at the start
	}
	return a, a.load()
}

// load reads what is in use, by this process or another.
func (a *addresses) load() error {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return err
	}
	clear(a.byPod)
	clear(a.used)
	for _, e := range entries {
		ip, err := netip.ParseAddr(e.Name())
		if err != nil {
			continue // lastFile, or one being written
		}
		uid, err := os.ReadFile(filepath.Join(a.dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if len(uid) == 0 {
			// The host crashed before its content was on the disk.
			if err := os.Remove(filepath.Join(a.dir, e.Name())); err != nil {
				return err
			}
			continue
		}
		a.used[ip] = string(uid)
		a.byPod[string(uid)] = ip
	}
	return nil
}

// gateway is the range's first address, which the bridge has.
func gateway(cidr netip.Prefix) netip.Addr { return cidr.Masked().Addr().Next() }

// lastOf is the range's last address, that of broadcasts.
func lastOf(cidr netip.Prefix) netip.Addr {
	b := cidr.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | (uint32(1)<<(32-cidr.Bits()) - 1)
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// take gives the pod an address, the one it has if it has one.
func (a *addresses) take(uid string) (netip.Addr, error) {
	if ip, ok := a.byPod[uid]; ok {
		return ip, nil
	}
	first, end := gateway(a.cidr).Next(), lastOf(a.cidr)
	ip := a.last.Next()
	for range 1 << (32 - a.cidr.Bits()) {
		if !a.cidr.Contains(ip) || ip.Compare(first) < 0 || ip.Compare(end) >= 0 {
			ip = first
		}
		if a.used[ip] == "" {
			switch err := a.claim(ip, uid); {
			case err == nil:
				return ip, nil
			case !errors.Is(err, fs.ErrExist):
				return netip.Addr{}, err
			}
			a.used[ip] = "?" // another process has it
		}
		ip = ip.Next()
	}
	return netip.Addr{}, fmt.Errorf("%w: %s has %d pods", ErrRangeUsedUp, a.cidr, len(a.used))
}

func (a *addresses) claim(ip netip.Addr, uid string) error {
	f, err := os.CreateTemp(a.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(uid)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), filepath.Join(a.dir, ip.String())); err != nil {
		return err
	}
	a.used[ip], a.byPod[uid], a.last = uid, ip, ip
	return os.WriteFile(filepath.Join(a.dir, lastFile), []byte(ip.String()), 0o600)
}

// giveBack is no error for a pod without an address.
func (a *addresses) giveBack(uid string) error {
	ip, ok := a.byPod[uid]
	if !ok {
		return nil
	}
	if err := os.Remove(filepath.Join(a.dir, ip.String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(a.byPod, uid)
	delete(a.used, ip)
	return nil
}

func (a *addresses) pods() (uids []string) {
	for uid := range a.byPod {
		uids = append(uids, uid)
	}
	slices.SortFunc(uids, strings.Compare)
	return uids
}
