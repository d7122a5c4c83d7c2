//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/live/lab"
	"seatrial.dev/seatrial/live/network"
	"seatrial.dev/seatrial/live/server"
	"seatrial.dev/seatrial/live/testbed"
	"seatrial.dev/seatrial/scenarios"
)

// downMax is how long a lab may take to be cleaned away.
const downMax = 2 * time.Minute

type labFlags struct {
	nodes      int
	servers    int
	kubeconfig string
	images     []string
	dir        string
	name       string
	subnet     string
	mode       string
}

func labCommand() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:   "lab",
		Short: "Several hosts on this machine, with a real cluster on them: up, status, down",
		Long: `Makes several hosts of this machine, each with its own network, processes and mounts, on
a switch of their own, and runs a real cluster on them: a server and an agent on each
node, real containers, real packets. It needs root. What is broken on purpose is broken
for real: a crash kills everything on a host at once, a cut drops every frame.`,
		Example: `  seatrial lab up --nodes 3
  seatrial kubectl --kubeconfig seatrial-lab.kubeconfig get nodes
  seatrial lab crash node-1
  seatrial lab cut node-0 node-2
  seatrial lab down`,
	}
	c.PersistentFlags().StringVar(&f.dir, "dir", lab.DefaultDir, "folder of the lab, by which all verbs find it")
	c.AddCommand(labUpCommand(&f), labStatusCommand(&f), labDownCommand(&f), labExecCommand(&f))
	c.AddCommand(labHarmCommands(&f)...)
	return onlyVerbs(c)
}

func labUpCommand(f *labFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "up",
		Short: "Make the hosts, start the cluster and wait until its nodes are ready",
		Example: `  seatrial lab up --nodes 3
  seatrial lab up --nodes 5 --images out/images --kubeconfig /tmp/lab.kubeconfig`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.up(c.Context()) },
	}
	c.Flags().IntVar(&f.nodes, "nodes", 3, "how many nodes, node-0 and so on")
	c.Flags().IntVar(&f.servers, "servers", 1, "how many servers (1: more than one is not there yet)")
	c.Flags().StringVar(&f.kubeconfig, "kubeconfig", "seatrial-lab.kubeconfig", "write the administrator's kubeconfig to this file")
	c.Flags().StringArrayVar(&f.images, "images", nil, "OCI layout or archive of images for the hosts; once for each (default "+demoImages+", if it is there)")
	c.Flags().StringVar(&f.subnet, "subnet", lab.DefaultSubnet.String(), "addresses of the hosts")
	c.Flags().StringVar(&f.name, "name", lab.DefaultName, "name of the lab; several may be up, each with a name, a folder and a subnet of its own")
	c.Flags().StringVar(&f.mode, "network-mode", string(network.Direct), "how packets get to other hosts' pods: direct or vxlan")
	return c
}

func (f *labFlags) up(ctx context.Context) error {
	switch {
	case os.Geteuid() != 0:
		return status{exitInput, errors.New("lab up makes hosts, containers and networks on this machine, which needs root: run it with sudo")}
	case f.servers != 1:
		return status{exitInput, fmt.Errorf("--servers %d: want 1; several servers are not there yet", f.servers)}
	case f.nodes < 1 || f.nodes > testbed.NodesMax:
		return status{exitInput, fmt.Errorf("--nodes %d: want 1 to %d", f.nodes, testbed.NodesMax)}
	}
	cfg, err := f.testbed()
	if err != nil {
		return status{exitInput, err}
	}
	for i := range f.nodes {
		cfg.Nodes = append(cfg.Nodes, labNode("node-"+strconv.Itoa(i)))
	}
	if err := errors.Join(cfg.Check(), f.checkFolders(cfg.Dir)); err != nil {
		return status{exitInput, err}
	}
	t, err := testbed.Up(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		if _, there := lab.Open(cfg.Dir); there != nil {
			return status{exitStopped, errors.New("stopped before the lab was up; nothing of it is left")}
		}
		return status{exitStopped, err} // which says what is left
	}
	if err != nil {
		return status{exitWorld, err}
	}
	text, err := os.ReadFile(t.Kubeconfig())
	if err == nil && f.kubeconfig != "" {
		err = writeSecret(f.kubeconfig, text)
	}
	if err != nil {
		return status{exitWorld, fmt.Errorf("--kubeconfig: %w; the lab is up: seatrial lab down takes it away", err)}
	}
	if cfg.Dir != lab.DefaultDir {
		defer fmt.Fprintf(os.Stderr, "lab: every other verb of lab needs --dir %s, too\n", cfg.Dir)
	}
	fmt.Printf("%d nodes are ready; use them by: seatrial kubectl --kubeconfig %s get nodes\n", f.nodes, f.kubeconfig)
	return nil
}

// checkFolders looks at what a lab that is up would only then be wrong about.
func (f *labFlags) checkFolders(dir string) error {
	if l, err := lab.Open(dir); err == nil {
		return l.Refuse()
	}
	if f.kubeconfig == "" {
		return nil
	}
	if i, err := os.Stat(filepath.Dir(f.kubeconfig)); err != nil {
		return fmt.Errorf("--kubeconfig: %w", err)
	} else if !i.IsDir() {
		return fmt.Errorf("--kubeconfig: %s is not a folder", filepath.Dir(f.kubeconfig))
	}
	return nil
}

// writeSecret replaces a file by one that only its owner can read: what is there already,
// in a folder of many, may be another user's, or lead elsewhere.
func writeSecret(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // there is none after the rename
	if _, err = f.Write(text); err == nil {
		err = f.Chmod(0o600)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// testbed is a config without nodes.
func (f *labFlags) testbed() (cfg testbed.Config, err error) {
	if cfg.Binary, err = os.Executable(); err != nil {
		return cfg, err
	}
	if cfg.Dir, err = filepath.Abs(f.dir); err != nil {
		return cfg, err
	}
	if cfg.Subnet, err = netip.ParsePrefix(f.subnet); err != nil {
		return cfg, fmt.Errorf("--subnet %q: want an IPv4 range such as %s", f.subnet, lab.DefaultSubnet)
	}
	cfg.Name, cfg.Mode = f.name, network.Mode(f.mode)
	if cfg.Mode != network.Direct && cfg.Mode != network.VXLAN {
		return cfg, fmt.Errorf("--network-mode %q: want %s or %s", f.mode, network.Direct, network.VXLAN)
	}
	cfg.Images = imagesOr(f.images)
	p := server.Preset()
	cfg.Network = scenarios.Network{ServiceCIDR: p.Network.ServiceCIDR, PodCIDR: p.PodCIDR, NodePortMin: p.Network.NodePortMin, NodePortMax: p.Network.NodePortMax}
	cfg.Say = func(text string) { fmt.Fprintln(os.Stderr, "lab:", text) }
	return cfg, nil
}

// labNode is a node of a lab that no scenario describes.
func labNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Capacity: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("110")}}}
}

func labStatusCommand(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "The lab's hosts and what is broken",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := lab.Open(f.dir)
			if err != nil {
				return status{exitInput, err}
			}
			s, err := l.Status(c.Context())
			if err != nil {
				return status{exitWorld, err}
			}
			return printLab(s)
		},
	}
}

func printLab(s lab.Status) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "HOST\tADDRESS\tSTATE\tSERVICES")
	for _, h := range s.Hosts {
		var list []string
		for _, p := range h.Services {
			list = append(list, p.String())
		}
		if h.Problem != "" {
			list = append(list, h.Problem)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", h.Name, h.Addr, h.Phase, cmp.Or(strings.Join(list, " "), "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range s.Cuts {
		fmt.Println("cut:", c)
	}
	return nil
}

func labDownCommand(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Take the lab away, and everything that was made for it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := lab.Open(f.dir)
			if err != nil {
				return status{exitInput, err}
			}
			ctx, cancel := context.WithTimeout(c.Context(), downMax)
			defer cancel()
			is, err := l.Status(ctx)
			if err == nil {
				err = l.Down(ctx)
			}
			if err != nil {
				return status{exitWorld, err}
			}
			fmt.Fprintf(os.Stderr, "lab: %s (%s) is taken away, with its folder %s\n", is.Name, is.Subnet, is.Dir)
			return nil
		},
	}
}

func labExecCommand(f *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "exec HOST -- COMMAND...",
		Short: "Run a command on a host",
		Long: `Runs a command on a host, beside its services, for up to a minute. It has no input; what
it writes is printed together when it has ended, and its exit status is that of this.`,
		Example: "  seatrial lab exec node-0 -- ip route",
		Args:    atLeast(2, "a host and a command"),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := f.open(c.Context(), args[:1])
			if err != nil {
				return err
			}
			out, err := l.Lab().Exec(c.Context(), args[0], args[1:])
			if err != nil {
				return status{exitWorld, err}
			}
			fmt.Print(out.Text)
			if out.Code != 0 {
				return status{code: out.Code}
			}
			return nil
		},
	}
}

// labHarmCommands break hosts and links, and mend them.
func labHarmCommands(f *labFlags) []*cobra.Command {
	host := func(use, short string, do func(h testbed.Hosts, host string) error) *cobra.Command {
		return &cobra.Command{Use: use + " HOST", Short: short, Args: exactly(1, "a host"), Example: "  seatrial lab " + use + " node-1",
			RunE: func(c *cobra.Command, args []string) error {
				return f.harm(c.Context(), args, func(h testbed.Hosts) error { return do(h, args[0]) })
			}}
	}
	var oneWay bool
	cut := &cobra.Command{Use: "cut HOST [HOST]", Short: "Cut a host from another, or from all", Args: cobra.RangeArgs(1, 2),
		Example: "  seatrial lab cut node-1\n  seatrial lab cut node-0 node-1 --one-way",
		RunE: func(c *cobra.Command, args []string) error {
			return f.harm(c.Context(), args, func(h testbed.Hosts) error { return h.Cut(args[:1], args[1:], oneWay) })
		}}
	cut.Flags().BoolVar(&oneWay, "one-way", false, "only what the first sends to the other")
	heal := &cobra.Command{Use: "heal [HOST [HOST]]", Short: "Take cuts back, all if no host is named", Args: cobra.MaximumNArgs(2),
		Example: "  seatrial lab heal",
		RunE: func(c *cobra.Command, args []string) error {
			return f.harm(c.Context(), args, func(h testbed.Hosts) error {
				return h.Heal(args[:min(1, len(args))], args[min(1, len(args)):], false)
			})
		}}
	return []*cobra.Command{
		host("crash", "Kill everything on a host at once, as a power cut does", testbed.Hosts.Crash),
		host("restart", "Boot a host, after a crash or as a reboot", testbed.Hosts.Restart),
		host("freeze", "Stop a host's processes where they are", testbed.Hosts.Freeze),
		host("thaw", "Let a frozen host go on", testbed.Hosts.Thaw),
		cut, heal,
	}
}

// open finds the lab, which must have these hosts.
func (f *labFlags) open(ctx context.Context, hosts []string) (*testbed.Testbed, error) {
	t, err := testbed.Find(ctx, f.dir)
	if err != nil {
		return nil, status{exitInput, err}
	}
	all := testbed.Hosts{T: t}.Names()
	for _, h := range hosts {
		if !slices.Contains(all, h) {
			return nil, status{exitInput, fmt.Errorf("the lab has no host %q; it has %s", h, strings.Join(all, ", "))}
		}
	}
	if len(hosts) == 2 && hosts[0] == hosts[1] {
		return nil, status{exitInput, fmt.Errorf("%s and %s are one host: want two", hosts[0], hosts[1])}
	}
	return t, nil
}

func (f *labFlags) harm(ctx context.Context, hosts []string, do func(testbed.Hosts) error) error {
	t, err := f.open(ctx, hosts)
	if err != nil {
		return err
	}
	if err := do(testbed.Hosts{T: t}); err != nil {
		return status{exitWorld, err}
	}
	return nil
}
