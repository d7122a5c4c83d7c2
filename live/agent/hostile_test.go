package agent

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestNoNetworkIsNotTheHosts: a connection into a pod, while the host has no pod network
// (yet), does not go to the host's own ports.
func TestNoNetworkIsNotTheHosts(t *testing.T) {
	a := &Agent{}
	for _, name := range []string{"own", "hosts"} {
		p := &corev1.Pod{}
		p.UID, p.Namespace, p.Name = types.UID("uid-"+name), "default", name
		p.Spec.HostNetwork = name == "hosts"
		p.Spec.Containers = []corev1.Container{{Name: "c"}}
		a.pods.see(p)
	}
	_, err := places{a}.Find("default", "own", "")
	require.ErrorContains(t, err, "pod default/own has no network")
	at, err := places{a}.Find("default", "hosts", "")
	require.NoError(t, err)
	require.Empty(t, at.Netns, "its network is the host's")
}

// TestRouteTo: what a node says of other addresses than the cluster's own does not count.
func TestRouteTo(t *testing.T) {
	cluster := netip.MustParsePrefix("10.244.0.0/16")
	for _, c := range []struct{ cidr, address, want string }{
		{"10.244.3.0/24", "192.0.2.3", ""},
		{"", "192.0.2.3", "no pod CIDR"},
		{"10.244.3.0/24", "", "or no address"},
		{"0.0.0.0/0", "192.0.2.3", "within the cluster's, 10.244.0.0/16"},
		{"10.0.0.0/8", "192.0.2.3", "within the cluster's"},
		{"10.96.0.0/24", "192.0.2.3", "within the cluster's"},
		{"192.0.2.1/32", "192.0.2.3", "within the cluster's"},
		{"::/0", "192.0.2.3", "within the cluster's"},
	} {
		n := &corev1.Node{Spec: corev1.NodeSpec{PodCIDR: c.cidr}}
		if c.address != "" {
			n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: c.address}}
		}
		r, err := routeTo(n, cluster)
		if c.want != "" {
			require.ErrorContains(t, err, c.want, c.cidr)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.cidr, r.PodCIDR.String())
	}
}
