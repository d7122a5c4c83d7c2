package testbed

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/scenarios"
)

// TestCheck: what is wrong is said before a host is made.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{agentProgram, runtimeProgram} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, program), nil, 0o755))
	}
	for want, change := range map[string]func(*Config){
		"":                                   func(*Config) {},
		`name "us/er": want 1 to`:            func(c *Config) { c.Name = "us/er" },
		"subnet fd00::/64: want an IPv4 one": func(c *Config) { c.Subnet = netip.MustParsePrefix("fd00::/64") },
		"subnet 172.30.95.0/29: want an IPv4 one of /8 to /24":                 func(c *Config) { c.Subnet = netip.MustParsePrefix("172.30.95.0/29") },
		"subnet 10.244.0.0/24 of the hosts overlaps 10.244.0.0/16 of the pods": func(c *Config) { c.Subnet = netip.MustParsePrefix("10.244.0.0/24") },
		"overlaps 10.96.0.0/12 of the services":                                func(c *Config) { c.Subnet = netip.MustParsePrefix("10.100.0.0/16") },
		"images: stat /nowhere: no such file":                                  func(c *Config) { c.Images = []string{"/nowhere"} },
	} {
		c := Config{Binary: filepath.Join(dir, "seatrial"), Nodes: []*corev1.Node{{}},
			Network: scenarios.Network{PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12"}}
		c.Scheduler = "below/scheduler.yaml"
		change(&c)
		if err := c.Check(); want == "" {
			require.NoError(t, err)
			require.True(t, filepath.IsAbs(c.Scheduler), "a host would look for it in a folder of its own")
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

func TestEnding(t *testing.T) {
	require.Equal(t, "a\nb\n", ending([]byte("a\na\nb\na\n")))
	require.Equal(t, "again\n", ending([]byte(strings.Repeat("again\n", wordsMax))), "nothing of half a line")
	require.Equal(t, wordLinesMax, strings.Count(ending([]byte("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n")), "\n"))
}
