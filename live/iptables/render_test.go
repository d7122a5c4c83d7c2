package iptables

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view/viewtest"
	"seatrial.dev/seatrial/nodeagent/proxy"
)

func node() proxy.Config {
	return proxy.Config{
		Node:        "n1",
		Addresses:   []netip.Addr{netip.MustParseAddr("192.168.77.1")},
		PodCIDR:     netip.MustParsePrefix("10.244.1.0/24"),
		ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"),
	}
}

// desk is a view, and the rules that follow it.
type desk struct {
	*viewtest.Desk
	rules *proxy.RuleSet
}

func newDesk(c proxy.Config) *desk {
	d := &desk{Desk: viewtest.New(kinds.Service, kinds.EndpointSlice)}
	d.rules = proxy.Compile(c, d.View)
	d.Seen = func(e store.Event) { d.rules = d.rules.Update(d.View, proxy.Concerned(e)...) }
	return d
}

// TestTranscripts plays testdata/transcript/*: manifests in, the input of
// iptables-restore out. Commands: first [ipv6] (all that is written on a machine
// without rules), apply, delete KIND NAMESPACE/NAME, first again for a machine that has
// what "has" gave as the output of iptables-save, sweep of such a machine.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcript", func(t *testing.T, path string) {
		d, p, has := newDesk(node()), &plan{}, saved{}
		datadriven.RunTest(t, path, func(t *testing.T, c *datadriven.TestData) string {
			s := newScript()
			switch c.Cmd {
			case "first":
				if c.HasArg("ipv6") {
					cfg := proxy.Config{Node: "n1", IPv6: true, PodCIDR: netip.MustParsePrefix("fd00:1::/64"), ClusterCIDR: netip.MustParsePrefix("fd00::/16")}
					d = newDesk(cfg)
				}
				p = &plan{}
				p.update(d.rules, newScript())
				p.full(has, s)
			case "apply":
				d.Apply(t, c.Input)
				p.update(d.rules, s)
			case "delete":
				d.Delete(t, c.CmdArgs[0].Key, c.CmdArgs[1].Key)
				p.update(d.rules, s)
			case "has":
				has = saved{}
				require.NoError(t, has.read(strings.NewReader(c.Input)))
				return ""
			case "sweep":
				sweep(has, s)
			default:
				t.Fatalf("unknown command %s", c.Cmd)
			}
			if s.empty() {
				return "nothing\n"
			}
			return string(s.text())
		})
	})
}

// kernel is a model of what iptables-restore --noflush does.
type kernel map[chainName][]rule

func (k kernel) restore(t require.TestingT, text []byte) {
	table := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		word, rest, _ := strings.Cut(line, " ")
		name, rest, _ := strings.Cut(rest, " ")
		c := chainName{table, name}
		var pos int
		switch {
		case word[0] == '*':
			table = word[1:]
		case word[0] == ':':
			k[chainName{table, word[1:]}] = []rule{}
		case word == "-A":
			require.Contains(t, k, c)
			k[c] = append(k[c], rest)
		case word == "-D":
			_, err := fmt.Sscan(rest, &pos)
			require.NoError(t, err)
			k[c] = slices.Delete(slices.Clone(k[c]), pos-1, pos)
		case word == "-I":
			number, body, _ := strings.Cut(rest, " ")
			_, err := fmt.Sscan(number, &pos)
			require.NoError(t, err)
			k[c] = slices.Insert(slices.Clone(k[c]), pos-1, body)
		case word == "-X":
			require.Empty(t, k[c])
			delete(k, c)
		}
	}
	for c, rules := range k { // what is jumped to must be there
		for _, r := range rules {
			_, to, _ := strings.Cut(r, "-j ")
			if target := strings.Fields(to)[0]; strings.HasPrefix(target, "KUBE-") {
				require.Contains(t, k, chainName{c.table, target}, "%s jumps to it", c.name)
			}
		}
	}
}

// TestChangesAddUp: whatever changes, and however many at once, the rules in the kernel
// are those that would be written on an empty machine.
func TestChangesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, p, k := newDesk(node()), &plan{}, kernel{}
		s := newScript()
		p.update(d.rules, newScript())
		p.full(saved{}, s)
		k.restore(t, s.text())
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			for range rapid.SampledFrom([]int{1, 1, 3, 80}).Draw(t, "changes") {
				d.draw(t)
			}
			s := newScript()
			p.update(d.rules, s)
			k.restore(t, s.text())
			fresh := &plan{}
			fresh.update(d.rules, newScript())
			require.Empty(t, fresh.drift(k.save(t)))
		}
	})
}

// save is the kernel's chains with the jumps that the first script has put in.
func (k kernel) save(t require.TestingT) saved {
	var b bytes.Buffer
	for c, rules := range k {
		fmt.Fprintf(&b, "*%s\n:%s - [0:0]\n", c.table, c.name)
		for _, r := range rules {
			fmt.Fprintf(&b, "-A %s %s\n", c.name, r)
		}
	}
	has := saved{}
	require.NoError(t, has.read(&b))
	return has
}

// draw writes one random service or slice.
func (d *desk) draw(t *rapid.T) {
	i := rapid.IntRange(0, 99).Draw(t, "service")
	name := fmt.Sprintf("s%02d", i)
	var o kinds.Object
	if rapid.Bool().Draw(t, "slice") {
		o = viewtest.Slice(name, i, rapid.IntRange(0, 4).Draw(t, "endpoints"))
	} else {
		s := viewtest.Service(name, i)
		s.Spec.Type = rapid.SampledFrom([]corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort}).Draw(t, "type")
		s.Spec.Ports[0].NodePort = int32(30000 + i)
		if rapid.Bool().Draw(t, "local") {
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}
		if rapid.Bool().Draw(t, "affinity") {
			s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		}
		o = s
	}
	if ref := kinds.RefOf(o); d.Store.Get(ref) != nil && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
		d.Remove(t, ref)
		return
	}
	d.Put(t, o)
}

// TestEditsMax: beyond the limit a chain is written as a whole.
func TestEditsMax(t *testing.T) {
	c := sharedNames[natServices]
	var rules []rule
	for i := range editsMax + 1 {
		rules = append(rules, fmt.Sprintf("-s 10.0.0.%d/32 -j RETURN", i))
	}
	s := newScript()
	s.change(c, nil, rules[:editsMax])
	require.Empty(t, s.declare)
	s = newScript()
	s.change(c, nil, rules)
	require.Contains(t, s.declare, c)
}

// TestTheFailingLineIsNamed: a message of either backend leads to the line.
func TestTheFailingLineIsNamed(t *testing.T) {
	text := []byte("*nat\n:A - [0:0]\n-A A -j B\nCOMMIT\n")
	require.Equal(t, "-A A -j B", lineOf("iptables-restore: line 3 failed", 0, text))
	require.Equal(t, "-A A -j B", lineOf("Error occurred at line: 103", 100, text))
	require.Empty(t, lineOf("no such table", 0, text))
	require.Empty(t, lineOf("line 99 failed", 0, text))
}
