package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/network"
)

func TestConclusion(t *testing.T) {
	bad := func(l Level) Row { return Row{Feature: string(l), Level: l} }
	good := Row{Feature: "x", OK: true, Level: Required}
	for _, c := range []struct {
		rows      []Row
		runs, lab bool
	}{
		{[]Row{good}, true, true},
		{[]Row{good, bad(Optional)}, true, true},
		{[]Row{good, bad(Lab)}, true, false},
		{[]Row{bad(Required)}, false, false},
	} {
		r := conclude(c.rows)
		require.Equal(t, c.runs, r.Runs)
		require.Equal(t, c.lab, r.Lab)
	}
	r := conclude([]Row{bad(Optional), good, bad(Lab), bad(Required)})
	require.Equal(t, []Row{bad(Required), bad(Lab), bad(Optional)}, r.Missing())
}

func TestVersionsAndHierarchies(t *testing.T) {
	for release, want := range map[string][2]int{"6.18.44-fc": {6, 18}, "5.3": {5, 3}, "": {0, 0}, "nonsense": {0, 0}} {
		major, minor := version(release)
		require.Equal(t, want, [2]int{major, minor}, release)
	}
	v1, v2 := hierarchies(bufio.NewScanner(strings.NewReader(
		"30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"31 23 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\nrubbish\n" +
			"32 23 0:28 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n")))
	require.Equal(t, []string{"cpu", "cpuacct"}, v1)
	require.Equal(t, "/sys/fs/cgroup/unified", v2)
	require.Equal(t, "no: a b "+strings.Repeat("x", foundMax-4)+"...", oneLine(errors.New("a\n b "+strings.Repeat("x", 300))))
}

// TestCheckLeavesNothing runs all trials, as root or not.
func TestCheckLeavesNothing(t *testing.T) {
	before := machine(t)
	r := Check(context.Background(), t.TempDir())
	require.Equal(t, before, machine(t))
	seen := map[string]bool{}
	for _, row := range r.Rows {
		t.Logf("%-30s %-5v %s", row.Feature, row.OK, row.Found)
		require.NotEmpty(t, row.For, row.Feature)
		require.NotEmpty(t, row.Found, row.Feature)
		require.Equal(t, row.OK, row.Do == "", "%s: say what to do if, and only if, it is not in order", row.Feature)
		require.False(t, seen[row.Feature], row.Feature)
		seen[row.Feature] = true
	}
	require.False(t, r.Runs, "without its runtime")
	if os.Geteuid() != 0 {
		fmt.Fprintf(os.Stderr, "\n*** the trials of %s DID NOT RUN: they need root\n\n", t.Name())
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	t.Setenv("PATH", "")
	var do []string
	for _, row := range Check(context.Background(), "/nowhere").Missing() {
		do = append(do, row.Do)
	}
	all := strings.Join(do, "\n")
	for _, want := range []string{"apt-get install iptables", "apt-get install nftables", "apt-get install conntrack", "make build, and keep it in /nowhere"} {
		require.Contains(t, all, want)
	}
}

func machine(t *testing.T) (out []string) {
	links, err := network.Links()
	require.NoError(t, err)
	for _, l := range links {
		if l.Attrs().Name == "x0" || l.Attrs().Name == "x1" {
			out = append(out, l.Attrs().Name)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " /proc") {
			out = append(out, line)
		}
	}
	return out
}
