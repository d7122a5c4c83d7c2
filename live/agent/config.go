package agent

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/live/network"
)

// Defaults of a Config.
const (
	DefaultDataDir    = "/var/lib/seatrial/agent"
	DefaultImageDir   = "/var/lib/seatrial/images"
	DefaultCgroupRoot = "/seatrial"
	DefaultPort       = 10250
	DefaultPodsMax    = 110
	DefaultLogBytes   = 10 << 20
	DefaultLogFiles   = 5
)

// Config says which host this is and whose. What is empty has a default, if one is named.
type Config struct {
	Server string // https://HOST:PORT of the API; needed
	Token  string // of a first join; not looked at once the host has its certificate
	CAHash string // sha256:HEX of the key (SubjectPublicKeyInfo) of the server's authority; needed to join

	NodeName string     // the node's name; the host's own
	NodeIP   netip.Addr // the host's address, by which other hosts reach it; that of the way to the server

	DataDir       string // DefaultDataDir; of this agent alone
	ImageDir      string // DefaultImageDir; several hosts may share it
	RuntimeBinary string // the program seatrial-runtime; the one beside this program
	CgroupRoot    string // DefaultCgroupRoot; of this agent alone
	NetnsDir      string // where pods' network namespaces are bound; /run/seatrial/netns

	NetworkMode network.Mode // how packets get to other hosts' pods; direct
	Iptables    string       // backend of the rules; the first that works

	Labels map[string]string // of a node that is registered for the first time
	Taints []corev1.Taint    // the same

	// Capacity takes the place of what the host has, by resource: hosts of a lab share a
	// machine. Reserved is left out of what pods may have.
	Capacity, Reserved corev1.ResourceList

	// Pressure is what is to be left of the host at least; the zero value is
	// DefaultThresholds.
	Pressure Thresholds

	KubeletPort int32    // that of the agent's own endpoint, as the node tells it; 10250
	PlainHTTP   []string // registries spoken to without TLS
	NoRegistry  bool     // none is asked: what the store does not have does not exist

	// Log takes a line for people. Nil: nobody does.
	Log func(line string)
}

// complete fills in defaults and says what is wrong.
func (c *Config) complete() error {
	orElse(&c.DataDir, DefaultDataDir)
	orElse(&c.ImageDir, DefaultImageDir)
	orElse(&c.CgroupRoot, DefaultCgroupRoot)
	orElse(&c.NetnsDir, "/run/seatrial/netns")
	if c.NetworkMode == "" {
		c.NetworkMode = network.Direct
	}
	if c.KubeletPort == 0 {
		c.KubeletPort = DefaultPort
	}
	if c.Pressure == (Thresholds{}) {
		c.Pressure = DefaultThresholds()
	}
	if c.Log == nil {
		c.Log = func(string) {}
	}
	if c.NodeName == "" {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		c.NodeName = strings.ToLower(name)
	}
	if c.RuntimeBinary == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.RuntimeBinary = filepath.Join(filepath.Dir(self), "seatrial-runtime")
	}
	return c.validate()
}

func orElse(s *string, otherwise string) {
	if *s == "" {
		*s = otherwise
	}
}

func (c *Config) validate() error {
	u, err := url.Parse(c.Server)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("server %q: want https://HOST:PORT", c.Server)
	case len(validation.IsDNS1123Subdomain(c.NodeName)) > 0:
		return fmt.Errorf("node name %q: want a DNS name: lower-case letters, digits, '-' and '.'", c.NodeName)
	case c.NodeIP.IsValid() && !c.NodeIP.Is4():
		return fmt.Errorf("node IP %s: want an IPv4 address", c.NodeIP)
	case c.NetworkMode != network.Direct && c.NetworkMode != network.VXLAN:
		return fmt.Errorf("network mode %q: want direct or vxlan", c.NetworkMode)
	case c.KubeletPort < 1 || c.KubeletPort > 65535:
		return fmt.Errorf("port %d: want 1 to 65535", c.KubeletPort)
	}
	for _, dir := range []string{c.DataDir, c.ImageDir, c.RuntimeBinary, c.NetnsDir} {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("path %q: want an absolute path", dir)
		}
	}
	for key := range c.Labels {
		if !auth.NodeMayLabel(key) {
			return fmt.Errorf("label %q: a node may not give it itself: want one of another domain, or let an administrator give it (kubectl label node %s)", key, c.NodeName)
		}
	}
	for _, list := range []corev1.ResourceList{c.Capacity, c.Reserved} {
		for name, q := range list {
			if q.Cmp(resource.Quantity{}) < 0 {
				return fmt.Errorf("%s %s: want none below zero", name, q.String())
			}
		}
	}
	return nil
}

// parseHash reads sha256:HEX.
func parseHash(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, "sha256:")
	sum, err := hex.DecodeString(digits)
	if !ok || err != nil || len(sum) != 32 {
		return nil, fmt.Errorf("CA hash %q: want sha256: and 64 hexadecimal digits", text)
	}
	return sum, nil
}

// InputError is about what the agent was told, not about what it found.
type InputError struct{ cause error }

func (e *InputError) Error() string { return e.cause.Error() }
func (e *InputError) Unwrap() error { return e.cause }

// ErrNotJoined says that a host has no certificate and was given no token.
var ErrNotJoined = errors.New("this host has not joined the cluster: want a token and the CA hash, which seatrial token create on the server prints")
