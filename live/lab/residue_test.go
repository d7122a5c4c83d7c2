package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// upAndWait is the process that TestUpIsKilled kills.
func upAndWait(dir, pid string) error {
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	if _, err := Up(context.Background(), testConfig(dir, n)); err != nil {
		return err
	}
	select {}
}

// TestUpIsKilled kills the one who makes a lab, at many moments, and takes it down.
func TestUpIsKilled(t *testing.T) {
	needRoot(t)
	for _, after := range []time.Duration{0, 3, 8, 12, 16, 20, 25, 30, 40, 50, 60, 80, 100, 150} {
		dir := filepath.Join(t.TempDir(), "lab")
		c := testConfig(dir, os.Getpid())
		before := residue(c).Picture(t)
		up := exec.Command(os.Args[0], "up", dir, strconv.Itoa(os.Getpid()))
		up.Stdout, up.Stderr = os.Stderr, os.Stderr
		require.NoError(t, up.Start())
		eventually(t, "it begins", func() error {
			_, err := os.Stat(filepath.Join(dir, "state.json"))
			return err
		})
		<-time.After(after * time.Millisecond) // the fault's own time: any will do
		require.NoError(t, up.Process.Kill())
		up.Wait()
		l, err := Open(dir)
		require.NoError(t, err)
		t.Cleanup(func() { l.Down(context.Background()) }) // if it fails below
		s, err := l.Status(context.Background())
		require.NoError(t, err)
		t.Logf("killed after %v ms: %s", int(after), s.Phase)
		_, err = Up(context.Background(), c)
		require.ErrorContains(t, err, "seatrial lab down")
		begin := time.Now()
		require.NoError(t, l.Down(context.Background()))
		t.Logf("down in %v", time.Since(begin).Round(time.Millisecond))
		residue(c).Same(t, before, eventMax)
		_, err = Open(dir)
		require.ErrorContains(t, err, "no lab is up in "+dir)
	}
}

// TestRefusals leave nothing behind either.
func TestRefusals(t *testing.T) {
	needRoot(t)
	one := newLab(t, nil)
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"folder": {func(c *Config) { *c = one.config }, "is up in " + one.config.Dir + " already"},
		"subnet": {func(c *Config) { c.Name += "x" }, fmt.Sprintf("subnet %s overlaps the route to %s by device %s: choose another", one.config.Subnet, one.config.Subnet, linkName(one.config.Name))},
		"name":   {func(c *Config) { c.move(netip.MustParsePrefix("172.29.250.0/24")) }, "is up already, in another folder"},
		"twice":  {func(c *Config) { c.Hosts[1].Name = "node-1" }, `host "node-1": the name is taken`},
		"switch": {func(c *Config) { c.Hosts[1].Name = "switch" }, `host "switch": the name is taken`},
		"addr":   {func(c *Config) { c.Hosts[1].Addr = MachineAddr(c.Subnet) }, "is that of this machine"},
		"out":    {func(c *Config) { c.Hosts[1].Addr = netip.MustParseAddr("10.0.0.1") }, "want one of the lab's subnet"},
		"bind":   {func(c *Config) { c.Hosts[0].Binds = []Bind{{From: "/etc", To: "/etc/x"}} }, `bind to "/etc/x": want a clean path below /run, /tmp or /var/lib/seatrial`},
		"absent": {func(c *Config) { c.Hosts[0].Binds = []Bind{{From: "/nowhere", To: "/run/x"}} }, "/nowhere: no such file"},
		"long":   {func(c *Config) { c.Name = "averylongname" }, `name "averylongname": want 1 to 8 of a-z and 0-9`},
		"program": {func(c *Config) {
			c.move(netip.MustParsePrefix("172.29.251.0/24"))
			c.Name += "x"
			c.Hosts[1].Services = []Service{{Name: "bad", Argv: []string{"/run/nothing"}}}
		}, "host node-0: service bad: "},
	} {
		dir := filepath.Join(t.TempDir(), "lab")
		config := testConfig(dir, os.Getpid())
		c.change(&config)
		before := residue(config).Picture(t)
		_, err := Up(context.Background(), config)
		require.ErrorContains(t, err, c.want, name)
		residue(config).Same(t, before, eventMax)
	}
}

func (c *Config) move(to netip.Prefix) {
	c.Subnet = to
	for i := range c.Hosts {
		c.Hosts[i].Addr = NodeAddr(to, i)
	}
}

// TestTwoLabs have nothing to do with each other.
func TestTwoLabs(t *testing.T) {
	one := newLab(t, nil)
	two := newLab(t, func(c *Config) {
		c.move(netip.MustParsePrefix("172.29.252.0/24"))
		c.Name += "y"
	})
	one.answers("", "node-0", 1)
	two.answers("", "node-0", 1)
	two.answers("node-1", "node-0", 1)
	_, err := one.Exec(context.Background(), "node-0", []string{BinDir + "/" + filepath.Base(os.Args[0]), "ask", two.addr("node-0")})
	require.NoError(t, err)
	require.NoError(t, two.Down(context.Background()))
	one.answers("node-1", "node-0", 1)
}

func TestLimits(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Hosts[1].MemoryBytes, c.Hosts[1].CPUMilli = 256<<20, 500 })
	group := Cgroup(l.config.Name, "node-0")
	for _, f := range []struct{ file, want string }{
		{"/sys/fs/cgroup/memory" + group + "/memory.limit_in_bytes", "268435456"},
		{"/sys/fs/cgroup/cpu" + group + "/cpu.cfs_quota_us", "50000"},
		{"/sys/fs/cgroup" + group + "/memory.max", "268435456"},
		{"/sys/fs/cgroup" + group + "/cpu.max", "50000 100000"},
	} {
		if data, err := os.ReadFile(f.file); err == nil {
			require.Equal(t, f.want+"\n", string(data))
		}
	}
	require.Error(t, (&Config{Name: "a", Subnet: DefaultSubnet, Hosts: make([]Host, hostsMax+1)}).validate())
	s := make([]Service, servicesMax+1)
	require.ErrorContains(t, (&Host{Name: "a", Addr: NodeAddr(DefaultSubnet, 0), Services: s}).validate(DefaultSubnet), "9 services: want at most 8")
}

// TestOrdersAreForRoot: the socket takes commands for root, whatever umask the lab is made
// with.
func TestOrdersAreForRoot(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	dir := t.TempDir()
	f, err := listen(dir)
	require.NoError(t, err)
	defer f.Close()
	info, err := os.Stat(filepath.Join(dir, ordersName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
