package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime/cgroup"
	"seatrial.dev/seatrial/live/testbed/machine"
)

const (
	eventMax = 20 * time.Second // that a test waits for what must come
	dialMax  = 700 * time.Millisecond
	port     = 7000
)

// TestMain is also the hosts, and what runs on them.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case HostVerb:
		os.Exit(Main())
	case "answer":
		fmt.Println(answerAll())
		os.Exit(1)
	case "ask":
		name, err := dial(os.Args[2])
		if err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		fmt.Print(name)
		os.Exit(0)
	case "gossip":
		fmt.Println(gossips(os.Args[2], os.Args[3], os.Args[4:]))
		os.Exit(1)
	case "up":
		fmt.Println(upAndWait(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// answerAll says the host's name, and how often the service has been started with this
// disk, to each who connects.
func answerAll() error {
	starts, err := os.OpenFile(DataDir+"/starts", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	fmt.Fprint(starts, "x")
	starts.Close()
	data, err := os.ReadFile(DataDir + "/starts")
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprint(":", port))
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintf(c, "%s %d", name, len(data))
		c.Close()
	}
}

func dial(addr string) (string, error) {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(addr, fmt.Sprint(port)), dialMax)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(dialMax))
	data, err := io.ReadAll(c)
	return string(data), err
}

func needRoot(t testing.TB) {
	skip := func(why string) {
		fmt.Fprintf(os.Stderr, "\n*** %s DID NOT RUN: %s\n\n", t.Name(), why)
		t.Skip(why)
	}
	if os.Geteuid() != 0 {
		skip("hosts can be made by root only")
	}
	for program, pkg := range map[string]string{"nft": "nftables", "iptables": "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			if out, err := exec.Command("apt-get", "install", "-y", pkg).CombinedOutput(); err != nil {
				skip(fmt.Sprintf("%s is not here and cannot be installed: %v: %s", program, err, out))
			}
		}
	}
}

// testConfig is of a lab with a server and two nodes, that no other test has.
func testConfig(dir string, pid int) Config {
	subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 31, byte(pid), 0}), 24)
	answer := []Service{{Name: "answer", Argv: []string{BinDir + "/" + filepath.Base(os.Args[0]), "answer"}, Restart: true}}
	return Config{
		Name: fmt.Sprintf("t%x", pid%0xfffff), Dir: dir, Subnet: subnet,
		Hosts: []Host{
			{Name: "server-0", Addr: ServerAddr(subnet, 0), Services: answer},
			{Name: "node-0", Addr: NodeAddr(subnet, 0), Services: answer},
			{Name: "node-1", Addr: NodeAddr(subnet, 1), Services: answer},
		},
	}
}

// testLab is up, and taken down after the test; then the machine must be as before.
type testLab struct {
	*Lab
	t      testing.TB
	config Config
}

func newLab(t testing.TB, change func(*Config)) *testLab {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 20), "lab") // longer than a socket's address may be
	c := testConfig(dir, os.Getpid())
	if change != nil {
		change(&c)
	}
	before := residue(c).Picture(t)
	begin := time.Now()
	l, err := Up(context.Background(), c)
	require.NoError(t, err)
	t.Logf("up in %v", time.Since(begin).Round(time.Millisecond))
	t.Cleanup(func() {
		begin := time.Now()
		if _, err := os.Stat(dir); err == nil {
			require.NoError(t, l.Down(context.Background()))
		}
		t.Logf("down in %v", time.Since(begin).Round(time.Millisecond))
		residue(c).Same(t, before, eventMax)
	})
	return &testLab{l, t, c}
}

// residue is what the lab could leave on the machine.
func residue(c Config) machine.Residue { return machine.OfLab(c.Name, c.Dir, c.Subnet) }

// eventually tries until it is true.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(eventMax)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

func (l *testLab) addr(host string) string {
	i := slices.IndexFunc(l.config.Hosts, func(h Host) bool { return h.Name == host })
	return l.config.Hosts[i].Addr.String()
}

// ask asks once, from a host or, if that is "", from this machine.
func (l *testLab) ask(from, to string) (string, error) {
	if from == "" {
		return dial(l.addr(to))
	}
	out, err := l.Exec(context.Background(), from, []string{BinDir + "/" + filepath.Base(os.Args[0]), "ask", l.addr(to)})
	if err == nil && out.Code != 0 {
		err = errors.New(out.Text)
	}
	return out.Text, err
}

func (l *testLab) answers(from, to string, starts int) {
	l.t.Helper()
	eventually(l.t, from+" asks "+to, func() error {
		got, err := l.ask(from, to)
		if want := to + " " + strconv.Itoa(starts); err == nil && got != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return err
	})
}

func (l *testLab) silent(from, to string) {
	l.t.Helper()
	_, err := l.ask(from, to)
	require.Error(l.t, err, "%s reaches %s", from, to)
}

func (l *testLab) status() Status {
	s, err := l.Lab.Status(context.Background())
	require.NoError(l.t, err)
	return s
}

func (l *testLab) run(host string, argv ...string) string {
	out, err := l.Exec(context.Background(), host, argv)
	require.NoError(l.t, err)
	require.Zero(l.t, out.Code, out.Text)
	return strings.TrimSpace(out.Text)
}

func TestHostsAreApart(t *testing.T) {
	l := newLab(t, nil)
	for _, from := range []string{"", "server-0", "node-0", "node-1"} {
		for _, to := range []string{"server-0", "node-0", "node-1"} {
			l.answers(from, to, 1)
		}
	}
	require.Equal(t, "node-0", l.run("node-0", "hostname"))
	require.Equal(t, "1", l.run("node-0", "sh", "-c", "grep -l lab-host /proc/[0-9]*/cmdline | grep -v self | cut -d/ -f3 | head -1"))
	require.Equal(t, "seatrial", l.run("node-0", "ls", "/run"))
	require.Equal(t, "", l.run("node-0", "ls", "/tmp"))
	l.run("node-0", "sh", "-c", "echo here > "+DataDir+"/mark; echo x > /tmp/x")
	require.Equal(t, "starts", l.run("node-1", "ls", DataDir))
	data, err := os.ReadFile(filepath.Join(l.config.Dir, "hosts/node-0/data/mark"))
	require.NoError(t, err)
	require.Equal(t, "here\n", string(data))
	out, err := l.Exec(context.Background(), "node-0", []string{"sh", "-c", "touch " + BinDir + "/x; exit 7"})
	require.NoError(t, err)
	require.Equal(t, 7, out.Code)
	require.Contains(t, out.Text, "ead-only")
	require.Contains(t, l.run("node-0", "cat", "/proc/self/cgroup"), Cgroup(l.config.Name, "node-0"))
	require.Contains(t, l.run("node-0", "cat", "/etc/hosts"), l.addr("node-1")+" node-1")

	s := l.status()
	require.Equal(t, Running, s.Phase)
	for _, h := range s.Hosts {
		require.Equal(t, Running, h.Phase)
		require.True(t, h.Services[0].Running)
	}
}

func TestCutAndHeal(t *testing.T) {
	l := newLab(t, nil)
	ctx := context.Background()
	l.answers("node-0", "node-1", 1)
	l.answers("node-1", "server-0", 1)
	nodes := []string{"node-0", "node-1"}
	require.NoError(t, l.Cut(ctx, nodes, []string{"server-0"}, false))
	require.NoError(t, l.Cut(ctx, nodes, []string{"server-0"}, false)) // again is no error
	require.Len(t, l.status().Cuts, 4)
	l.silent("node-0", "server-0")
	l.silent("server-0", "node-1")
	l.answers("node-0", "node-1", 1)
	l.answers("", "server-0", 1)
	require.NoError(t, l.Heal(ctx, []string{"server-0"}, []string{"node-0"}, false))
	l.answers("node-0", "server-0", 1)
	l.silent("node-1", "server-0")
	require.NoError(t, l.Heal(ctx, nodes, nodes, false))
	require.NoError(t, l.Heal(ctx, nodes, []string{"server-0"}, false))
	require.Empty(t, l.status().Cuts)
	l.answers("server-0", "node-1", 1)

	// One way: what is sent from node-0 is lost, what is sent to it is not.
	require.NoError(t, l.Cut(ctx, []string{"node-0"}, []string{"node-1"}, true))
	require.Equal(t, []string{"node-0 -> node-1"}, l.status().Cuts)
	sent := l.segments("node-1")
	l.silent("node-0", "node-1")
	require.Equal(t, sent, l.segments("node-1"))
	got := l.packets("node-0")
	l.silent("node-1", "node-0")
	require.Greater(t, l.packets("node-0"), got)
	require.ErrorContains(t, l.Cut(ctx, []string{"node-7"}, nodes, false), `has no host "node-7"; it has [server-0 node-0 node-1]`)
}

// packets counts those that a host has got. Its /sys shows this machine's devices.
func (l *testLab) packets(host string) int {
	for line := range strings.Lines(l.run(host, "cat", "/proc/net/dev")) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == hostLink+":" {
			n, err := strconv.Atoi(f[2])
			require.NoError(l.t, err)
			return n
		}
	}
	l.t.Fatal("no " + hostLink)
	return 0
}

// segments counts those of TCP that a host has got. Packets come unasked, too, as other
// hosts look for routers.
func (l *testLab) segments(host string) int {
	at := -1
	for line := range strings.Lines(l.run(host, "cat", "/proc/net/snmp")) {
		f := strings.Fields(line)
		if f[0] != "Tcp:" {
			continue
		}
		if at < 0 { // the names come before the values
			at = slices.Index(f, "InSegs")
			continue
		}
		n, err := strconv.Atoi(f[at])
		require.NoError(l.t, err)
		return n
	}
	l.t.Fatal("no Tcp")
	return 0
}

func TestFreezeCrashRestart(t *testing.T) {
	l := newLab(t, nil)
	ctx := context.Background()
	l.answers("server-0", "node-0", 1)
	require.NoError(t, l.Freeze(ctx, "node-0"))
	l.silent("server-0", "node-0")
	require.Equal(t, Frozen, l.status().Hosts[1].Phase)
	_, err := l.Exec(ctx, "node-0", []string{"true"})
	require.ErrorContains(t, err, "host node-0: it is frozen")
	require.ErrorContains(t, l.Restart(ctx, "node-0"), "it is frozen: crash it first")
	require.NoError(t, l.Thaw(ctx, "node-0"))
	l.answers("server-0", "node-0", 1)
	require.ErrorContains(t, l.Thaw(ctx, "node-0"), "it is running, not frozen")

	l.run("node-0", "sh", "-c", "echo kept > "+DataDir+"/kept; sync")
	group := Cgroup(l.config.Name, "node-0")
	l.run("node-0", "sh", "-c", "for d in /sys/fs/cgroup/*"+group+"; do mkdir -p $d/below/deep; done")
	require.NoError(t, l.Freeze(ctx, "node-0"))
	begin := time.Now()
	require.NoError(t, l.Crash(ctx, "node-0")) // even now
	t.Logf("crash took %v", time.Since(begin).Round(time.Millisecond))
	require.ErrorContains(t, l.Crash(ctx, "node-0"), "it has crashed already")
	l.silent("server-0", "node-0")
	pids, err := cgroup.Pids(group)
	require.NoError(t, err)
	require.Empty(t, pids)
	found, err := filepath.Glob("/sys/fs/cgroup/*" + group)
	require.NoError(t, err)
	require.Empty(t, found)
	require.Equal(t, Crashed, l.status().Hosts[1].Phase)

	require.NoError(t, l.Cut(ctx, []string{"node-0"}, []string{"node-1"}, false)) // while it is down
	begin = time.Now()
	require.NoError(t, l.Restart(ctx, "node-0"))
	t.Logf("restart took %v", time.Since(begin).Round(time.Millisecond))
	l.answers("server-0", "node-0", 2)
	l.answers("", "node-0", 2)
	require.Equal(t, "kept", l.run("node-0", "cat", DataDir+"/kept"))
	l.silent("node-1", "node-0")
	require.NoError(t, l.Crash(ctx, "node-1"))
	require.NoError(t, l.Freeze(ctx, "server-0")) // and so it is taken down
}

func TestServicesAndOrphans(t *testing.T) {
	l := newLab(t, nil)
	ctx := context.Background()
	l.answers("", "node-0", 1)
	require.NoError(t, l.KillService(ctx, "node-0", "answer"))
	l.silent("", "node-0")
	s := l.status().Hosts[1].Services[0]
	require.Equal(t, ServiceStatus{Name: "answer", Starts: 1, Ended: "killed by SIGKILL"}, s)
	require.ErrorContains(t, l.KillService(ctx, "node-0", "answer"), "service answer does not run: killed by SIGKILL")
	require.NoError(t, l.StartService(ctx, "node-0", "answer"))
	l.answers("", "node-0", 2)
	require.ErrorContains(t, l.StartService(ctx, "node-0", "answer"), "runs already")
	require.ErrorContains(t, l.StartService(ctx, "node-0", "other"), `no service is named "other"; there are [answer]`)

	// One that ends by itself comes back.
	pid := l.status().Hosts[1].Services[0].Pid
	l.run("node-0", "kill", "-9", strconv.Itoa(pid))
	l.answers("", "node-0", 3)
	require.NoError(t, l.StopService(ctx, "node-0", "answer"))
	require.Equal(t, "killed by SIGTERM", l.status().Hosts[1].Services[0].Ended)

	// An orphan is reaped when it ends.
	orphan := l.run("node-0", "sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
	l.run("node-0", "kill", orphan)
	eventually(t, "the orphan is there", func() error {
		out, err := l.Exec(ctx, "node-0", []string{"ls", "-d", "/proc/" + orphan})
		if err == nil && out.Code == 0 {
			err = errors.New(out.Text)
		} else if err == nil {
			return nil
		}
		return err
	})
	log, err := os.ReadFile(filepath.Join(l.config.Dir, "hosts/node-0/log/answer.log"))
	require.NoError(t, err)
	require.Equal(t, "listening\nlistening\nlistening\n", string(log))
}

// TestHostDies by itself, or by somebody else's hand.
func TestHostDies(t *testing.T) {
	l := newLab(t, nil)
	l.answers("", "node-0", 1)
	s, err := load(l.config.Dir)
	require.NoError(t, err)
	require.NoError(t, s.Hosts[1].Process.kill(context.Background()))
	h := l.status().Hosts[1]
	require.Equal(t, Crashed, h.Phase)
	require.Contains(t, h.Problem, "seatrial lab restart node-0")
	require.NoError(t, l.Restart(context.Background(), "node-0"))
	l.answers("", "node-0", 2)
	require.NoError(t, s.Switch.kill(context.Background()))
	require.ErrorContains(t, l.Crash(context.Background(), "node-0"), "the switch: ")
}

func TestUpIsCancelled(t *testing.T) {
	needRoot(t)
	c := testConfig(filepath.Join(t.TempDir(), "lab"), os.Getpid())
	before := residue(c).Picture(t)
	for _, after := range []time.Duration{0, 10, 30} {
		ctx, cancel := context.WithTimeout(context.Background(), after*time.Millisecond)
		_, err := Up(ctx, c)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		residue(c).Same(t, before, eventMax)
	}
}
