package machine

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"seatrial.dev/seatrial/live/network"
	"seatrial.dev/seatrial/live/runtime/cgroup"
)

// Residue is what a test could leave on the machine: a line for each thing that has one
// of its marks. Others may be at work on the machine meanwhile, so what they have is not
// looked at.
type Residue struct {
	Marks []string // of links, routes, mounts, files, control groups and rules
	// Commands are marks of the command lines of processes.
	Commands []string
	// Groups are control groups: paths below the root of each hierarchy, with a leading
	// '/'; a '*' at the end stands for any rest of a name. Processes in them count.
	Groups []string
	Dirs   []string // folders whose entries are looked at
	Rules  bool     // the rules of nftables are looked at
	All    bool     // the Marks do not count: everything of this machine is looked at
}

// aloneEnv asks for the whole picture, not only for what has a lab's marks: for a machine
// on which no other test is at work.
const aloneEnv = "SEATRIAL_ALONE"

// OfLab is what a lab could leave.
func OfLab(name, dir string, subnet netip.Prefix) Residue {
	group := "/seatrial/" + name
	return Residue{
		Marks:    []string{"st-" + name, group, dir, subnet.Addr().String(), "table bridge lab"},
		Commands: []string{"lab-host " + name + "/", dir},
		Groups:   []string{group, group + "/*"},
		Dirs:     []string{"/run", "/run/seatrial", "/run/netns", "/run/seatrial/netns", "/dev/shm", "/var/lib", "/var/lib/seatrial", filepath.Dir(dir), dir},
		Rules:    true,
		All:      os.Getenv(aloneEnv) != "",
	}
}

// Picture is what there is now, in no particular order.
func (r Residue) Picture(t testing.TB) (out []string) {
	t.Helper()
	links, err := network.Links()
	require.NoError(t, err)
	for _, l := range links {
		out = append(out, "link "+l.Attrs().Name)
	}
	routes, err := network.Routes(netlink.FAMILY_ALL)
	require.NoError(t, err)
	for _, route := range routes {
		out = append(out, "route "+route.String())
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		out = append(out, "mount "+strings.TrimSpace(line))
	}
	for _, dir := range r.Dirs {
		list, _ := os.ReadDir(dir) // it may be one that is gone
		for _, e := range list {
			out = append(out, "file "+filepath.Join(dir, e.Name()))
		}
	}
	if r.Rules {
		rules, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
		require.NoError(t, err, string(rules))
		for line := range strings.Lines(string(rules)) {
			out = append(out, "rule "+strings.TrimSpace(line))
		}
	}
	if !r.All {
		out = slices.DeleteFunc(out, func(line string) bool { return !hasOne(line, r.Marks) })
	}
	return append(append(out, r.groups(t)...), r.Processes()...)
}

func hasOne(line string, marks []string) bool {
	return slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(line, m) })
}

func (r Residue) groups(t testing.TB) (out []string) {
	roots, err := cgroup.Hierarchies()
	require.NoError(t, err)
	for _, root := range roots {
		for _, pattern := range r.Groups {
			found, err := filepath.Glob(filepath.Join(root, pattern))
			require.NoError(t, err)
			for _, dir := range found {
				out = append(out, "group "+dir)
			}
		}
	}
	return out
}

// Processes are those of the test, as "process /proc/PID COMMAND".
func (r Residue) Processes() (out []string) {
	list, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range list {
		line, _ := os.ReadFile(proc + "/cmdline")
		groups, _ := os.ReadFile(proc + "/cgroup")
		if len(line) == 0 {
			continue // dead already, and only waits for the machine's first process
		}
		if command := strings.ReplaceAll(string(line), "\x00", " "); hasOne(command, r.Commands) || r.inGroup(string(groups)) {
			out = append(out, "process "+proc+" "+command)
		}
	}
	return out
}

// inGroup says whether a process's groups are among those of the test, or below.
func (r Residue) inGroup(groups string) bool {
	for line := range strings.Lines(groups) { // NUMBER:CONTROLLERS:PATH
		path := strings.TrimSpace(line[strings.LastIndexByte(line, ':')+1:]) + "/"
		for _, pattern := range r.Groups {
			whole, open := strings.CutSuffix(pattern, "*")
			if !open {
				whole += "/"
			}
			if strings.HasPrefix(path, whole) {
				return true
			}
		}
	}
	return false
}

// lookEvery is the time between two looks at the machine.
const lookEvery = 20 * time.Millisecond

// Same waits until the machine is as before: the kernel takes a moment for some things.
func (r Residue) Same(t testing.TB, before []string, within time.Duration) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		diff := difference(before, r.Picture(t))
		if diff == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left on the machine (+), or missing (-), %v later:\n%s", within, strings.Join(diff, "\n"))
		}
		<-tick.C
	}
}

func difference(before, now []string) (out []string) {
	for _, x := range now {
		if !slices.Contains(before, x) {
			out = append(out, "+ "+x)
		}
	}
	for _, x := range before {
		if !slices.Contains(now, x) {
			out = append(out, "- "+x)
		}
	}
	return out
}
