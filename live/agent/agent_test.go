package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func TestPodRuns(t *testing.T) {
	h := newHost(t)
	h.run(`
metadata: {name: a}
spec:
  containers:
  - {name: c, command: [sh, -c, "echo hello from $HOSTNAME; exec sleep 1000"]}
`)
	p := h.untilPhase("a", corev1.PodRunning)
	require.Equal(t, "10.244.1.2", p.Status.PodIP)
	require.Equal(t, hostIP, p.Status.HostIP)
	h.untilLog("a", "c", 0, "hello from a\n")
	h.delete("a")
}
