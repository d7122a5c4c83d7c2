package proxy

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

func TestHostPorts(t *testing.T) {
	d := newDesk(node())
	port := func(pod string, p corev1.Protocol, at string, number uint16, to string) HostPort {
		h := HostPort{Pod: kinds.Key{Namespace: "default", Name: pod}, Protocol: p, Port: number, To: netip.MustParseAddrPort(to)}
		if at != "" {
			h.Addr = netip.MustParseAddr(at)
		}
		return h
	}
	web := port("web", corev1.ProtocolTCP, "", 8080, "10.244.1.2:80")
	dns := port("dns", corev1.ProtocolUDP, "192.168.0.1", 53, "10.244.1.3:5353")
	late := port("zzz", corev1.ProtocolTCP, "192.168.0.1", 8080, "10.244.1.4:80")
	require.True(t, web.Clashes(late))
	require.False(t, web.Clashes(dns))
	got := d.rules.WithHostPorts([]HostPort{late, web, dns})
	require.Equal(t, strings.TrimLeft(`
from 10.244.1.0/24 to outside of 10.244.0.0/16: masquerade
hostport:default/dns:53-192.168.0.1 UDP
  external IP 192.168.0.1:53 -> local, from this node and its pods -> cluster
  cluster: 10.244.1.3:5353 (here)
  local: 10.244.1.3:5353 (here)
hostport:default/web:8080 TCP
  node port 8080 -> local, from this node and its pods -> cluster
  cluster: 10.244.1.2:80 (here)
  local: 10.244.1.2:80 (here)
`, "\n"), got.String())
	require.Same(t, got, got.WithHostPorts([]HostPort{dns, web, late}))
	require.Same(t, got.Service(kinds.Key{Namespace: "hostport:default", Name: "dns"}),
		got.WithHostPorts([]HostPort{dns}).Service(kinds.Key{Namespace: "hostport:default", Name: "dns"}))
	require.Equal(t, d.rules.String(), got.WithHostPorts(nil).String())
	require.Same(t, d.rules, d.rules.WithHostPorts(nil))
	six := node()
	six.IPv6 = true
	require.Zero(t, newDesk(six).rules.WithHostPorts([]HostPort{web}).Len())
}
