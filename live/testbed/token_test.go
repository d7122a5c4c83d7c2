package testbed

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTokenIsNoArgument: arguments of processes can be read by every user of the machine.
func TestTokenIsNoArgument(t *testing.T) {
	c := &Config{Subnet: netip.MustParsePrefix("172.30.83.0/24"), Nodes: []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n",
		Labels: map[string]string{"zone": "a", "node-role.kubernetes.io/worker": ""}}}}}
	text := strings.Join(agentService(c, 0, "sha256:00").Argv, " ")
	require.Contains(t, text, "--token-file /var/lib/seatrial/token ")
	require.NotContains(t, text, "--token ")
	require.Contains(t, text, "--label zone=a")
	require.NotContains(t, text, "node-role", "which a node may not give itself")
}
