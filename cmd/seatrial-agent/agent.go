//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/live/agent"
	"seatrial.dev/seatrial/live/network"
)

// agentGCPercent keeps the heap near what lives in it: the host's memory is for its pods.
const agentGCPercent = 50

type agentFlags struct {
	cfg                agent.Config
	ip, mode           string
	tokenFile          string
	labels             map[string]string
	taints             []string
	capacity, reserved map[string]string
	pressure           string
}

func agentCommand() *cobra.Command {
	var f agentFlags
	c := &cobra.Command{
		Use:   "seatrial-agent --server URL [--token T --ca-hash H]",
		Short: "Run this host's pods, as a node of a cluster",
		Long: `Joins this host to a cluster and runs the pods that are assigned to it. The first start
needs a token and the hash of the cluster's authority, which the server prints; the
host is then known by its certificate, which is kept in the data folder. Containers do
not depend on the agent: they run on when it ends, and are taken over by the next one.`,
		Example: `  seatrial agent --server https://192.0.2.1:6443 --token abcdef.0123456789abcdef --ca-hash sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  seatrial agent --server https://192.0.2.1:6443 --token-file /root/token --ca-hash sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  seatrial agent --server https://192.0.2.1:6443
  seatrial agent --server https://192.0.2.1:6443 --network-mode vxlan --label zone=a --reserve cpu=500m --reserve memory=512Mi`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.read(); err != nil {
				return status{exitInput, err}
			}
			if os.Getenv("GOGC") == "" {
				debug.SetGCPercent(agentGCPercent)
			}
			err := agent.Run(c.Context(), f.cfg)
			if bad := (*agent.InputError)(nil); errors.As(err, &bad) {
				return status{exitInput, err}
			}
			if err != nil {
				return status{exitWorld, err}
			}
			return nil
		},
	}
	s := c.Flags()
	s.StringVar(&f.cfg.Server, "server", "", "the API, https://HOST:PORT")
	s.StringVar(&f.cfg.Token, "token", "", "token to join with; needed once")
	s.StringVar(&f.tokenFile, "token-file", "", "file with the token, in place of --token, which all of the host's users can see")
	s.StringVar(&f.cfg.CAHash, "ca-hash", "", "sha256:HEX of the key of the cluster's authority; needed with a token")
	s.StringVar(&f.cfg.NodeName, "node-name", "", "the node's name; by default the host's")
	s.StringVar(&f.ip, "node-ip", "", "the host's IPv4 address; by default that of its way to the server")
	s.StringVar(&f.cfg.DataDir, "data-dir", agent.DefaultDataDir, "folder of what the agent keeps")
	s.StringVar(&f.cfg.ImageDir, "images-dir", agent.DefaultImageDir, "folder of the host's images; several hosts may share one")
	s.StringVar(&f.cfg.RuntimeBinary, "runtime-binary", "", "the program seatrial-runtime; by default the one beside this one")
	s.StringVar(&f.cfg.CgroupRoot, "cgroup-root", agent.DefaultCgroupRoot, "control group of this host's pods")
	s.StringVar(&f.cfg.NetnsDir, "netns-dir", "", "folder of pods' network namespaces; by default /run/seatrial/netns")
	s.StringVar(&f.mode, "network-mode", string(network.Direct), "how packets get to other hosts' pods: direct or vxlan")
	s.StringVar(&f.cfg.Iptables, "iptables", "", "backend of the rules, nft or legacy; by default the first that works")
	s.StringToStringVar(&f.labels, "label", nil, "KEY=VALUE, a label of the node when it is registered; once for each")
	s.StringArrayVar(&f.taints, "taint", nil, "KEY[=VALUE]:EFFECT, the same; once for each")
	s.StringToStringVar(&f.capacity, "capacity", nil, "RESOURCE=QUANTITY in place of what the host has, such as cpu=2; once for each")
	s.StringToStringVar(&f.reserved, "reserve", nil, "RESOURCE=QUANTITY that pods may not have; once for each")
	s.StringVar(&f.pressure, "eviction-hard", "", `below what the node is under pressure, such as "nodefs.available<5%,memory.available<200Mi"; the kubelet's thresholds for what is not named`)
	s.StringArrayVar(&f.cfg.PlainHTTP, "plain-http", nil, "registry (HOST[:PORT]) to speak to without TLS; once for each")
	s.BoolVar(&f.cfg.NoRegistry, "no-registry", false, "ask no registry for images: those of --images-dir are all there are")
	s.Int32Var(&f.cfg.KubeletPort, "port", agent.DefaultPort, "port of the agent's own endpoint")
	if err := c.MarkFlagRequired("server"); err != nil {
		panic(err)
	}
	return c
}

// read turns flags into the agent's Config.
func (f *agentFlags) read() (err error) {
	for _, k := range slices.Sorted(maps.Keys(f.labels)) {
		bad := append(validation.IsQualifiedName(k), validation.IsValidLabelValue(f.labels[k])...)
		if len(bad) > 0 {
			return fmt.Errorf("--label %q: %s", k+"="+f.labels[k], strings.Join(bad, "; "))
		}
	}
	f.cfg.NetworkMode, f.cfg.Labels = network.Mode(f.mode), f.labels
	f.cfg.Log = func(line string) { fmt.Fprintln(os.Stderr, "seatrial: agent:", line) }
	if f.tokenFile != "" {
		if f.cfg.Token, err = readToken(f.tokenFile, f.cfg.Token); err != nil {
			return err
		}
	}
	if f.ip != "" {
		if f.cfg.NodeIP, err = netip.ParseAddr(f.ip); err != nil {
			return fmt.Errorf("--node-ip %q: want an IPv4 address", f.ip)
		}
	}
	for _, t := range f.taints {
		key, effect, ok := strings.Cut(t, ":")
		key, value, _ := strings.Cut(key, "=")
		switch corev1.TaintEffect(effect) {
		case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		default:
			ok = false
		}
		if !ok || key == "" {
			return fmt.Errorf("--taint %q: want KEY[=VALUE]:EFFECT with the effect NoSchedule, PreferNoSchedule or NoExecute", t)
		}
		f.cfg.Taints = append(f.cfg.Taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)})
	}
	if f.pressure != "" {
		if f.cfg.Pressure, err = agent.ParseThresholds(f.pressure); err != nil {
			return fmt.Errorf("--eviction-hard %w", err)
		}
	}
	if f.cfg.Capacity, err = quantities("--capacity", f.capacity); err != nil {
		return err
	}
	f.cfg.Reserved, err = quantities("--reserve", f.reserved)
	return err
}

// tokenBytesMax is how much of a token's file is read.
const tokenBytesMax = 1024

// readToken reads a token from a file of one line.
func readToken(file, given string) (string, error) {
	if given != "" {
		return "", errors.New("--token-file: want it or --token, not both")
	}
	r, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, tokenBytesMax+1))
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	token := strings.TrimSpace(string(raw))
	if token == "" || len(raw) > tokenBytesMax || strings.ContainsAny(token, " \t\n") {
		return "", fmt.Errorf("--token-file %s: want a file with the token alone, such as seatrial token create prints", file)
	}
	return token, nil
}

func quantities(flag string, from map[string]string) (corev1.ResourceList, error) {
	out := corev1.ResourceList{}
	for name, text := range from {
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return nil, fmt.Errorf("%s %s=%s: want a quantity such as 500m, 2 or 512Mi", flag, name, text)
		}
		out[corev1.ResourceName(name)] = q
	}
	return out, nil
}
