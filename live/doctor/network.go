package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// rules are what the service rules are made of, each in its own words, so that it can be
// said which one is missing.
var rules = [][2]string{
	{"comment", `*filter|-A INPUT -m comment --comment "x" -j ACCEPT`},
	{"conntrack", "*filter|-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"},
	{"mark", "*nat|-A OUTPUT -m mark ! --mark 0x4000/0x4000 -j RETURN"},
	{"MARK", "*nat|-A OUTPUT -j MARK --set-xmark 0x4000/0x4000"},
	{"addrtype", "*nat|-A OUTPUT -m addrtype --dst-type LOCAL -j RETURN"},
	{"statistic", "*nat|-A OUTPUT -m statistic --mode random --probability 0.5 -j RETURN"},
	{"recent", "*nat|-A OUTPUT -m recent --name x --set -j RETURN"},
	{"DNAT", "*nat|-A OUTPUT -p tcp -j DNAT --to-destination 127.0.0.1:1"},
	{"MASQUERADE", "*nat|-A POSTROUTING -j MASQUERADE --random-fully"},
	{"REJECT", "*filter|-A INPUT -p tcp -j REJECT"},
}

// cutTable has what the switch of a lab needs.
const cutTable = `table bridge x { set cut { type ifname . ifname; }
chain forward { type filter hook forward priority 0; iifname . oifname @cut drop; }; }`

func networkRows(ctx context.Context) []Row {
	inNet := func(do func() error) error { return inSpace(unix.CLONE_NEWNET, do) }
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "x0"
	out := []Row{
		tried("bridge", Required, "pods of a host", "load it: modprobe bridge", inNet(func() error {
			return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
		})),
		tried("veth", Required, "the cable of a pod", "load it: modprobe veth", inNet(func() error {
			return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "x1"})
		})),
		tried("vxlan", Optional, "pods of hosts that are not on one network", "load it: modprobe vxlan; direct routes work without", inNet(func() error {
			return netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 1, Port: 8472})
		})),
		tried("br_netfilter", Required, "services between pods of one host", "load it: modprobe br_netfilter", inNet(func() error {
			const file = "/proc/sys/net/bridge/bridge-nf-call-iptables"
			now, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			return os.WriteFile(file, now, 0) // old kernels have one for all namespaces
		})),
		tried("ip_forward", Required, "packets of pods", "mount /proc/sys writable", inNet(func() error {
			return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
		})),
	}
	out = append(out, backendRow(ctx), tried("iptables matches and targets", Required, "service addresses",
		"apt-get install iptables; else a kernel with those of netfilter (modprobe xt_...)", inNet(func() error { return tryRules(ctx) })))
	return append(out, tried("nft, family bridge", Lab, "cuts between hosts of a lab", "apt-get install nftables; else a kernel with nf_tables and its bridge family",
		inNet(func() error { return feed(ctx, cutTable, "nft", "-f", "-") })))
}

func backendRow(ctx context.Context) Row {
	row := Row{Feature: "iptables backend", Level: Optional, For: "changing one rule of many fast"}
	text, err := exec.CommandContext(ctx, "iptables", "--version").CombinedOutput()
	row.Found = strings.TrimSpace(string(text))
	if err != nil {
		row.Found, row.Do = oneLine(err), "apt-get install iptables"
		return row
	}
	row.OK = strings.Contains(row.Found, "nf_tables")
	row.Do = unless(row.OK, "update-alternatives --set iptables /usr/sbin/iptables-nft; legacy works, but slower with many services")
	return row
}

func tryRules(ctx context.Context) error {
	var missing []string
	var first error
	for _, r := range rules {
		table, rule, _ := strings.Cut(r[1], "|")
		if err := feed(ctx, table+"\n"+rule+"\nCOMMIT\n", "iptables-restore", "--noflush"); err != nil {
			if errors.Is(err, exec.ErrNotFound) {
				return err
			}
			missing = append(missing, r[0])
			if first == nil {
				first = err
			}
		}
	}
	if first == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", strings.Join(missing, ", "), first)
}

// feed runs a program in the network namespace of the thread.
func feed(ctx context.Context, input, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w %s", err, out.String())
	}
	return nil
}
