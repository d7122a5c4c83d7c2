//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/live/server"
	"seatrial.dev/seatrial/sched/config"
)

type serverFlags struct {
	cfg       server.Config
	advertise string
	ports     string
	etcdCA    string
	etcdCert  string
	etcdKey   string
	scheduler string
	guard     guardFlags
}

// serverGCPercent is Go's default: a server stays, unlike a run of a scenario.
const serverGCPercent = 100

func serverCommand() *cobra.Command {
	f := serverFlags{cfg: server.Preset()}
	c := &cobra.Command{
		Use:   "server",
		Short: "Run the control plane of a real cluster: API, etcd, controllers, scheduler",
		Long: `Runs the control plane of a real cluster in one process: the Kubernetes API over TLS
with etcd behind it, the controllers and the scheduler. At its first start it makes
certificates and a kubeconfig in the data folder; after a crash it goes on with every
write that was acknowledged.

Hosts join with seatrial agent and a token: seatrial token create prints the command.`,
		Example: `  seatrial server
  seatrial server --data-dir /srv/seatrial --advertise-address 192.0.2.10
  seatrial server --etcd-endpoints https://192.0.2.20:2379 --etcd-cafile ca.crt --etcd-certfile client.crt --etcd-keyfile client.key`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	s := c.Flags()
	s.StringVar(&f.cfg.Dir, "data-dir", f.cfg.Dir, "folder of certificates, keys and the embedded etcd")
	s.StringVar(&f.cfg.Listen, "listen", f.cfg.Listen, "address of the API, HOST:PORT")
	s.StringVar(&f.advertise, "advertise-address", "", "address by which agents reach this server (default: that of the route to elsewhere)")
	s.StringSliceVar(&f.cfg.Names, "tls-san", nil, "more names and addresses for the API's certificate")
	s.StringVar(&f.cfg.Kubeconfig, "kubeconfig", "", "write the administrator's kubeconfig to this file, too")
	s.StringVar(&f.cfg.Network.ServiceCIDR, "service-cluster-ip-range", f.cfg.Network.ServiceCIDR, "range of services' addresses")
	s.StringVar(&f.ports, "service-node-port-range", fmt.Sprintf("%d-%d", server.DefaultPortsMin, server.DefaultPortsMax), "ports of services of type NodePort")
	s.StringVar(&f.cfg.PodCIDR, "cluster-cidr", f.cfg.PodCIDR, "range of pods' addresses; each node gets a /24")
	s.StringVar(&f.cfg.Domain, "cluster-domain", f.cfg.Domain, "domain of cluster DNS")
	s.StringSliceVar(&f.cfg.Etcd, "etcd-endpoints", nil, "use this etcd instead of one in the data folder")
	s.StringVar(&f.etcdCA, "etcd-cafile", "", "certificate authority of that etcd")
	s.StringVar(&f.etcdCert, "etcd-certfile", "", "certificate with which it knows this server")
	s.StringVar(&f.etcdKey, "etcd-keyfile", "", "key of that certificate")
	s.StringVar(&f.scheduler, "scheduler-config", "", "file of a KubeSchedulerConfiguration or a Policy")
	s.Uint16Var(&f.cfg.GossipPort, "gossip-port", f.cfg.GossipPort, "port of membership gossip, TCP and UDP")
	f.guard.addUsers(s)
	return c
}

func (f *serverFlags) run(c *cobra.Command) error {
	if err := f.read(c); err != nil {
		return status{exitInput, err}
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(serverGCPercent)
	}
	s, err := server.Open(c.Context(), f.cfg)
	if err != nil {
		return status{exitWorld, err}
	}
	login := f.cfg.Kubeconfig
	if login == "" {
		login = filepath.Join(f.cfg.Dir, "admin.kubeconfig")
	}
	err = s.Run(c.Context(), func() {
		fmt.Printf("the API is served at %s; use it by: kubectl --kubeconfig %s\n", s.URL(), login)
		fmt.Printf("to let a host join: seatrial token create --kubeconfig %s\n", login)
	})
	if err != nil {
		return status{exitWorld, err}
	}
	return nil
}

// read turns what the flags say into the config.
func (f *serverFlags) read(c *cobra.Command) (err error) {
	if f.cfg.Dir, err = filepath.Abs(f.cfg.Dir); err != nil {
		return err
	}
	if f.cfg.Advertise, err = advertised(f.advertise, f.cfg.Listen); err != nil {
		return err
	}
	if f.cfg.Network.NodePortMin, f.cfg.Network.NodePortMax, err = portRange(f.ports); err != nil {
		return fmt.Errorf("--service-node-port-range %q: %w", f.ports, err)
	}
	if f.cfg.EtcdTLS, err = f.etcdTLS(); err != nil {
		return err
	}
	if f.scheduler != "" {
		text, err := os.ReadFile(f.scheduler)
		if err != nil {
			return fmt.Errorf("--scheduler-config: %w", err)
		}
		cfg, warnings, err := config.Read(f.scheduler, text)
		if err != nil {
			return err
		}
		for _, w := range warnings {
			fmt.Fprintln(os.Stderr, "seatrial: warning:", w)
		}
		if err := askExtenders(&cfg); err != nil {
			return err
		}
		f.cfg.Scheduler = cfg
	}
	if f.cfg.Identity, err = f.guard.users(c); err != nil {
		return err
	}
	f.cfg.Problem = func(err error) { fmt.Fprintln(os.Stderr, "seatrial:", err) }
	return f.cfg.Check()
}

// advertised is the address that is asked for, or listened on, or has the default route.
func advertised(asked, listen string) (netip.Addr, error) {
	if asked != "" {
		a, err := netip.ParseAddr(asked)
		if err != nil {
			return a, fmt.Errorf("--advertise-address %q: want this host's IPv4 address", asked)
		}
		return a, nil
	}
	if at, err := netip.ParseAddrPort(listen); err == nil && !at.Addr().IsUnspecified() {
		return at.Addr(), nil
	}
	// Asking for a route to elsewhere sends nothing.
	c, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return netip.Addr{}, errors.New("this host has no default route: name its address by --advertise-address")
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), nil
}

// portRange reads "30000-32767".
func portRange(text string) (low, high int32, err error) {
	a, b, ok := strings.Cut(text, "-")
	l, err1 := strconv.ParseUint(a, 10, 16)
	h, err2 := strconv.ParseUint(b, 10, 16)
	if !ok || err1 != nil || err2 != nil || l == 0 || h < l {
		return 0, 0, errors.New("want LOW-HIGH, such as 30000-32767")
	}
	return int32(l), int32(h), nil
}

func (f *serverFlags) etcdTLS() (*tls.Config, error) {
	if f.etcdCA == "" && f.etcdCert == "" && f.etcdKey == "" {
		return nil, nil
	}
	if len(f.cfg.Etcd) == 0 {
		return nil, errors.New("--etcd-cafile, --etcd-certfile and --etcd-keyfile are for --etcd-endpoints")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.etcdCA != "" {
		text, err := os.ReadFile(f.etcdCA)
		if err != nil {
			return nil, fmt.Errorf("--etcd-cafile: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--etcd-cafile %s: no certificate in PEM", f.etcdCA)
		}
	}
	if (f.etcdCert == "") != (f.etcdKey == "") {
		return nil, errors.New("--etcd-certfile and --etcd-keyfile go together")
	}
	if f.etcdCert != "" {
		pair, err := tls.LoadX509KeyPair(f.etcdCert, f.etcdKey)
		if err != nil {
			return nil, fmt.Errorf("--etcd-certfile and --etcd-keyfile: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
