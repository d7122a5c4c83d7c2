package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/gossip"
)

// gossips is a member that prints what it sees.
func gossips(name, addr string, join []string) error {
	m, err := gossip.Start(context.Background(), gossip.Config{
		Name: name, BindAddr: netip.MustParseAddr(addr), Join: join, Role: gossip.Agent,
		Key: bytes.Repeat([]byte("k"), gossip.KeyBytes),
	})
	if err != nil {
		return err
	}
	for e := range m.Events() {
		fmt.Println(e.Kind, e.Node)
	}
	return nil
}

// sees waits for the last word of a host on another.
func (l *testLab) sees(host string, kind gossip.Kind, other string) time.Duration {
	l.t.Helper()
	begin := time.Now()
	eventually(l.t, fmt.Sprintf("%s sees %s %s", host, kind, other), func() error {
		log, err := os.ReadFile(filepath.Join(l.config.Dir, "hosts", host, "log/gossip.log"))
		last := "nothing"
		for line := range strings.Lines(string(log)) {
			if strings.HasSuffix(line, " "+other+"\n") {
				last = strings.TrimSpace(line)
			}
		}
		if want := string(kind) + " " + other; err == nil && last != want {
			return fmt.Errorf("it sees: %s", last)
		}
		return err
	})
	return time.Since(begin).Round(10 * time.Millisecond)
}

// TestMembersSeeFaults is what the lab and the gossip are for, together.
func TestMembersSeeFaults(t *testing.T) {
	l := newLab(t, func(c *Config) {
		for i, h := range c.Hosts {
			c.Hosts[i].Services = []Service{{Name: "gossip", Argv: []string{
				BinDir + "/" + filepath.Base(os.Args[0]), "gossip", h.Name, h.Addr.String(), c.Hosts[0].Addr.String() + ":7946",
			}}}
		}
	})
	ctx := context.Background()
	ready := func() {
		for _, a := range l.config.Hosts {
			for _, b := range l.config.Hosts {
				if a.Name != b.Name {
					l.sees(a.Name, gossip.Joined, b.Name)
				}
			}
		}
	}
	ready()
	require.NoError(t, l.Crash(ctx, "node-0"))
	t.Logf("crash: noticed after %v", l.sees("server-0", gossip.Failed, "node-0"))
	require.NoError(t, l.Restart(ctx, "node-0"))
	t.Logf("restart: back after %v", l.sees("server-0", gossip.Joined, "node-0"))
	ready()

	require.NoError(t, l.Freeze(ctx, "node-1"))
	t.Logf("freeze: noticed after %v", l.sees("server-0", gossip.Failed, "node-1"))
	require.NoError(t, l.Thaw(ctx, "node-1"))
	t.Logf("thaw: back after %v", l.sees("server-0", gossip.Joined, "node-1"))
	ready()

	all := []string{"server-0", "node-0"}
	require.NoError(t, l.Cut(ctx, []string{"node-1"}, all, false))
	t.Logf("cut: noticed after %v", l.sees("server-0", gossip.Failed, "node-1"))
	require.NoError(t, l.Heal(ctx, []string{"node-1"}, all, false))
	t.Logf("heal: back after %v", l.sees("server-0", gossip.Joined, "node-1"))
	ready()
}
