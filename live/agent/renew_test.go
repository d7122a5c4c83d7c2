package agent_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/live/agent"
)

// TestRenewal: an agent whose certificate is good for seconds goes on for longer than
// that, at the API and at its own port.
func TestRenewal(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.forget()
	h.CertSpan.Store(int64(5 * time.Second))
	h.start()
	first, err := h.agent.Membership().TLS()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return h.Renewals.Load() >= 2 && time.Now().After(first.Leaf.NotAfter.Add(time.Second))
	}, eventMax, 50*time.Millisecond)
	h.run(`
metadata: {name: late}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.untilPhase("late", corev1.PodRunning)
	var asked, shown time.Time
	require.Eventually(t, func() bool {
		// Not when the answer has come, as a busy machine takes its time.
		asked = time.Now()
		conn, err := tls.Dial("tcp", fmt.Sprintf("%s:%d", hostIP, agent.DefaultPort), &tls.Config{InsecureSkipVerify: true}) // looked at below
		if err != nil {
			return false
		}
		defer conn.Close()
		shown = conn.ConnectionState().PeerCertificates[0].NotAfter
		return true
	}, eventMax, 50*time.Millisecond)
	require.True(t, shown.After(asked), shown)
	h.delete("late")
	h.untilClean("late")
}
