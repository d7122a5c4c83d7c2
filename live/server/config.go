package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver/identity"
	"seatrial.dev/seatrial/ctrl/nodeipam"
	"seatrial.dev/seatrial/live/gossip"
	"seatrial.dev/seatrial/sched"
)

// Defaults of a Config, Kubernetes' where it has one.
const (
	DefaultDir      = "/var/lib/seatrial/server"
	DefaultListen   = "0.0.0.0:6443"
	DefaultPodCIDR  = "10.244.0.0/16"
	DefaultDomain   = "cluster.local"
	DefaultPortsMin = 30000
	DefaultPortsMax = 32767
	DefaultCertSpan = 365 * 24 * time.Hour
)

// Config says what one server is. Preset fills it but for Advertise.
type Config struct {
	Dir       string     // keys, kubeconfig and the embedded etcd; made if it is not there
	Listen    string     // HOST:PORT of the API
	Advertise netip.Addr // address by which agents and pods reach this server
	Names     []string   // more names and addresses for its certificate

	Network api.Config // services' addresses and node ports
	PodCIDR string     // each node gets a /24 of it
	Domain  string     // of cluster DNS

	Etcd    []string    // addresses of an etcd that runs elsewhere; none: one is embedded
	EtcdTLS *tls.Config // for Etcd; nil: none

	Identity  identity.Config // Clients and Now are the server's own to set
	Scheduler sched.Config

	GossipPort uint16 // TCP and UDP; 0 is gossip.DefaultPort

	// CertSpan is how long the certificates are good that the server issues, to agents and
	// to itself. They are renewed when four fifths of it are over; only the
	// administrator's lives until the next start.
	CertSpan time.Duration

	// Kubeconfig is a second place for the administrator's kubeconfig; "" for none.
	Kubeconfig string
	// Problem hears of what goes wrong without a request to answer.
	Problem func(error)
}

// Preset is a config with the defaults.
func Preset() Config {
	return Config{
		Dir: DefaultDir, Listen: DefaultListen, Network: api.DefaultConfig(), PodCIDR: DefaultPodCIDR, Domain: DefaultDomain,
		Identity:  identity.Config{Modes: []identity.Mode{identity.Node, identity.RBAC}, Anonymous: true},
		Scheduler: sched.DefaultConfig(), GossipPort: gossip.DefaultPort, CertSpan: DefaultCertSpan,
	}
}

// Check refuses what is wrong before anything is made.
func (c *Config) Check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q: want HOST:PORT, such as %s", c.Listen, DefaultListen)
	}
	if _, err := netip.ParseAddr(host); host != "" && err != nil {
		return fmt.Errorf("listen address %q: %q is not an IP address", c.Listen, host)
	}
	if c.Dir == "" || !filepath.IsAbs(c.Dir) {
		return fmt.Errorf("data folder %q: want an absolute path", c.Dir)
	}
	if !c.Advertise.Is4() || c.Advertise.IsUnspecified() || c.Advertise.IsMulticast() || c.Advertise.IsLoopback() {
		return fmt.Errorf("advertise address %q: want this host's IPv4 address, by which agents and pods reach it, not one of the loopback", c.Advertise)
	}
	if _, err := nodeipam.New(c.PodCIDR); err != nil {
		return fmt.Errorf("pod CIDR: %w", err)
	}
	if bad := validation.IsDNS1123Subdomain(c.Domain); len(bad) > 0 {
		return fmt.Errorf("cluster domain %q: %s", c.Domain, strings.Join(bad, "; "))
	}
	services, err := netip.ParsePrefix(c.Network.ServiceCIDR)
	if err != nil || !services.Addr().Is4() || services.Bits() > serviceBitsMax {
		return fmt.Errorf("service CIDR %q: want an IPv4 range of at most /%d, such as 10.96.0.0/12", c.Network.ServiceCIDR, serviceBitsMax)
	}
	if pods := netip.MustParsePrefix(c.PodCIDR); pods.Overlaps(services) || services.Contains(c.Advertise) || pods.Contains(c.Advertise) {
		return fmt.Errorf("pods %s, services %s and this host's %s overlap: want ranges of their own", pods, services, c.Advertise)
	}
	if c.CertSpan < time.Second || c.CertSpan > authoritySpan {
		return fmt.Errorf("span of certificates %v: want 1s to %v", c.CertSpan, authoritySpan)
	}
	if c.Problem == nil {
		return errors.New("server: nobody hears of problems")
	}
	return c.Scheduler.Check()
}

// serviceBitsMax leaves room for the two addresses that the cluster itself needs.
const serviceBitsMax = 27

// nth is an address of the service range: the API has the first, DNS the tenth, as
// kubeadm has it.
func (c *Config) nth(n int) netip.Addr {
	a := netip.MustParsePrefix(c.Network.ServiceCIDR).Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// ServiceIP is the cluster IP of the service default/kubernetes.
func (c *Config) ServiceIP() netip.Addr { return c.nth(1) }

// DNSIP is the address of cluster DNS.
func (c *Config) DNSIP() netip.Addr { return c.nth(10) }
