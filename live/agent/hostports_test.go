package agent_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// TestHostPorts: a port of the node leads to the pod; who comes second is refused, and who
// comes when the first is gone gets it. An agent that is started again keeps it.
func TestHostPorts(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	pod := func(name string) {
		h.run(fmt.Sprintf(`
metadata: {name: %s}
spec:
  containers: [{name: c, command: [sh, -c, "echo %s > /www/index.html; exec httpd -f -p 80 -h /www"], ports: [{containerPort: 80, hostPort: 8088}]}]
`, name, name))
	}
	answers := func(want string) {
		t.Helper()
		c := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		got := ""
		require.Eventually(t, func() bool {
			resp, err := c.Get("http://" + hostIP + ":8088/")
			if err != nil {
				got = err.Error()
				return want == ""
			}
			defer resp.Body.Close()
			raw, _ := io.ReadAll(resp.Body)
			got = string(raw)
			return got == want+"\n"
		}, eventMax, 20*time.Millisecond, "%s", got)
	}
	pod("first")
	h.untilPhase("first", corev1.PodRunning)
	answers("first")
	pod("second")
	require.Equal(t, "NodePorts", h.untilPhase("second", corev1.PodFailed).Status.Reason)
	h.untilEvent("second", "Warning NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports")
	answers("first")
	h.stop()
	h.start()
	answers("first")
	h.delete("second")
	h.delete("first")
	pod("third")
	h.untilPhase("third", corev1.PodRunning)
	answers("third")
	h.delete("third")
	h.untilClean("third")
	answers("")
}
