package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"seatrial.dev/seatrial/live/network"
)

const (
	DefaultName = "lab"
	DefaultDir  = "/var/lib/seatrial/lab"

	// BinDir is where a host sees the folder of the lab's binary, read-only.
	BinDir = "/run/seatrial/bin"
	// DataDir is where a host sees its own data folder, which outlives a crash.
	DataDir = "/var/lib/seatrial"
	// HostVerb is the argument with which the binary is started again to be a host.
	HostVerb = "lab-host"
)

// DefaultSubnet is of the lab's network.
var DefaultSubnet = netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 30, 83, 0}), 24)

// Limits.
const (
	hostsMax      = 64
	servicesMax   = 8  // of a host
	bindsMax      = 16 // of a host
	nameMax       = 8  // of a lab, for the sake of its link's name
	hostNameMax   = 63
	serversMax    = 10 // have addresses before the nodes'
	startMax      = 20 * time.Second
	stopMax       = 20 * time.Second
	lockMax       = 60 * time.Second
	orderMax      = 10 * time.Second
	execMax       = 60 * time.Second
	outputMax     = 1 << 20 // of a command run in a host
	stateBytesMax = 4 << 20
	logBytesMax   = 64 << 20 // of a service; a longer one is set aside at the next start
)

// Config is what a lab is made from.
type Config struct {
	Name   string       // DefaultName; part of all names the lab gives
	Dir    string       // DefaultDir; everything of the lab is there, Down removes it
	Subnet netip.Prefix // DefaultSubnet; at least a /24
	Binary string       // to be the hosts; this program
	Hosts  []Host
	// Shared are folders of Dir that are made for hosts to bind.
	Shared []string
}

// makeShared makes the folders that hosts share.
func (c *Config) makeShared() error {
	for _, name := range c.Shared {
		if !filepath.IsLocal(name) || filepath.Base(name) != name {
			return fmt.Errorf("lab: shared folder %q: want a name", name)
		}
		if err := os.Mkdir(filepath.Join(c.Dir, name), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("lab: %w", err)
		}
	}
	return nil
}

// Host is one to be made.
type Host struct {
	Name     string
	Addr     netip.Addr // ServerAddr or NodeAddr of the subnet
	Services []Service
	Binds    []Bind

	CPUMilli    int64 // limit for all of the host; 0: none
	MemoryBytes int64
}

// Service is a process that a host starts first of all.
type Service struct {
	Name string
	Argv []string // [0] is looked up in the host
	Env  []string // added to that of the lab
	// Restart starts it again a second after it ended by itself; KillService and
	// StopService are orders, and it stays down.
	Restart bool
}

// Bind shows a file or folder of this machine in the host, at a path below /run, /tmp
// or DataDir.
type Bind struct {
	From, To string
	Write    bool
}

// ServerAddr is the address of the i-th server, from 0.
func ServerAddr(subnet netip.Prefix, i int) netip.Addr { return offset(subnet, 10+i) }

// NodeAddr is the address of the i-th node, from 0.
func NodeAddr(subnet netip.Prefix, i int) netip.Addr { return offset(subnet, 20+i) }

// MachineAddr is this machine's own in the lab.
func MachineAddr(subnet netip.Prefix) netip.Addr { return offset(subnet, 1) }

func gateway(subnet netip.Prefix) netip.Addr { return offset(subnet, 254) }

func offset(subnet netip.Prefix, n int) netip.Addr {
	b := subnet.Masked().Addr().As4()
	b[2] += byte(n / 256)
	b[3] += byte(n % 256)
	return netip.AddrFrom4(b)
}

var (
	labName  = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
)

func (c *Config) complete() error {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.Dir == "" {
		c.Dir = DefaultDir
	}
	if !c.Subnet.IsValid() {
		c.Subnet = DefaultSubnet
	}
	if c.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("lab: the file of this program: %w", err)
		}
		c.Binary = self
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	c.Subnet = c.Subnet.Masked()
	return c.validate()
}

// Check refuses a name or a subnet that no lab can have.
func Check(name string, subnet netip.Prefix) error {
	switch {
	case len(name) > nameMax || !labName.MatchString(name):
		return fmt.Errorf("lab: name %q: want 1 to %d of a-z and 0-9, a letter first", name, nameMax)
	case !subnet.Addr().Is4() || subnet.Bits() > 24 || subnet.Bits() < 8:
		return fmt.Errorf("lab: subnet %s: want an IPv4 one of /8 to /24, like %s", subnet, DefaultSubnet)
	}
	return nil
}

func (c *Config) validate() error {
	if err := Check(c.Name, c.Subnet); err != nil {
		return err
	}
	if len(c.Hosts) == 0 || len(c.Hosts) > hostsMax {
		return fmt.Errorf("lab: %d hosts: want 1 to %d", len(c.Hosts), hostsMax)
	}
	names, addrs := map[string]bool{switchName: true}, map[netip.Addr]string{
		MachineAddr(c.Subnet): "this machine", gateway(c.Subnet): "the switch",
	}
	for _, h := range c.Hosts {
		if err := h.validate(c.Subnet); err != nil {
			return fmt.Errorf("lab: host %q: %w", h.Name, err)
		}
		if names[h.Name] {
			return fmt.Errorf("lab: host %q: the name is taken", h.Name)
		}
		if by, taken := addrs[h.Addr]; taken {
			return fmt.Errorf("lab: host %q: address %s is that of %s", h.Name, h.Addr, by)
		}
		names[h.Name], addrs[h.Addr] = true, h.Name
	}
	return nil
}

func (h *Host) validate(subnet netip.Prefix) error {
	switch {
	case len(h.Name) > hostNameMax || !hostName.MatchString(h.Name):
		return fmt.Errorf("want a name of 1 to %d of a-z, 0-9 and - as of a node", hostNameMax)
	case !subnet.Contains(h.Addr):
		return fmt.Errorf("address %s: want one of the lab's subnet %s", h.Addr, subnet)
	case len(h.Services) > servicesMax:
		return fmt.Errorf("%d services: want at most %d", len(h.Services), servicesMax)
	case len(h.Binds) > bindsMax:
		return fmt.Errorf("%d binds: want at most %d", len(h.Binds), bindsMax)
	case h.CPUMilli < 0 || h.MemoryBytes < 0:
		return errors.New("a limit is negative")
	}
	for i, s := range h.Services {
		if err := s.validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(h.Services[:i], func(o Service) bool { return o.Name == s.Name }) {
			return fmt.Errorf("two services are named %q", s.Name)
		}
	}
	for _, b := range h.Binds {
		if err := b.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) validate() error {
	if len(s.Name) > hostNameMax || !hostName.MatchString(s.Name) || s.Name == hostLog {
		return fmt.Errorf("service %q: want a name of 1 to %d of a-z, 0-9 and -, not %q", s.Name, hostNameMax, hostLog)
	}
	if len(s.Argv) == 0 {
		return fmt.Errorf("service %s: no program to run", s.Name)
	}
	return nil
}

func (b *Bind) validate() error {
	if filepath.Clean(b.To) == b.To {
		for _, below := range []string{"/run/", "/tmp/", DataDir + "/"} {
			if strings.HasPrefix(b.To, below) {
				return nil
			}
		}
	}
	return fmt.Errorf("bind to %q: want a clean path below /run, /tmp or %s", b.To, DataDir)
}

// preflight says what the machine lacks, before anything is made.
func (c *Config) preflight() error {
	for _, h := range c.Hosts {
		for _, b := range h.Binds {
			if _, err := os.Stat(b.From); err != nil {
				return fmt.Errorf("lab: host %q: bind: %w", h.Name, err)
			}
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("lab: hosts can be made by root only: run it with sudo")
	}
	var missing []string
	for _, tool := range []struct{ program, pkg string }{{"nft", "nftables"}, {"iptables", "iptables"}} {
		if _, err := exec.LookPath(tool.program); err != nil {
			missing = append(missing, tool.pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("lab: programs are missing; install them: apt-get install %s", strings.Join(missing, " "))
	}
	return nil
}

// routesFree refuses a subnet that the machine has a way to already.
func (c *Config) routesFree() error {
	list, err := network.Routes(netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("lab: listing routes: %w", err)
	}
	for _, r := range list {
		if r.Dst == nil {
			continue
		}
		to, ok := prefixOf(r.Dst)
		if !ok || to.Bits() == 0 || !to.Overlaps(c.Subnet) {
			continue
		}
		dev := "?"
		if l, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			dev = l.Attrs().Name
		}
		return fmt.Errorf("lab: subnet %s overlaps the route to %s by device %s: choose another with --subnet, or end the lab that has it", c.Subnet, to, dev)
	}
	return nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones), ok
}
