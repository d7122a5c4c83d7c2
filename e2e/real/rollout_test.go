package real

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told is what the load generator says at its end.
type told struct {
	Requests, Succeeded, Failed int
	P50Ms, P99Ms, MaxMs         float64
	Errors                      map[string]int
}

func (s told) String() string {
	return fmt.Sprintf("%d requests, %d failed %v, p50 %.1f ms, p99 %.1f ms, longest %.1f ms", s.Requests, s.Failed, s.Errors, s.P50Ms, s.P99Ms, s.MaxMs)
}

func parseTold(t testing.TB, text string) (s told) {
	require.NoError(t, json.Unmarshal([]byte(text), &s), text)
	return s
}

// testRollout replaces every pod of a service that is under load from within and from
// outside, there and back: not one request may fail.
func testRollout(c *cluster, ns string) {
	c.apply(ns, web("web", "4", "  type: NodePort\n"))
	c.kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=60s")
	port := c.service(ns, "web").Spec.Ports[0].NodePort
	until(c.t, eventMax, "the node port answers", func() error {
		_, err := get(fmt.Sprintf("http://%s:%d", c.addr(0), port))
		return err
	})
	c.apply(ns, `
apiVersion: v1
kind: Pod
metadata: {name: load}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  shareProcessNamespace: true
  containers:
  - {name: ends, image: "`+busybox+`", command: [sleep, "100000"]}
  - {name: c, image: "seatrial.dev/demo/load:v1", args: [--url, "http://web.`+ns+`.svc.cluster.local/", --rate, "50", --duration, "`+loadMax.String()+`", --timeout, 2s]}
`)
	c.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod/load", "--timeout=60s")
	outside := []*exec.Cmd{}
	said := make([]bytes.Buffer, 2)
	for i := range said {
		cmd := exec.Command(built.load, "--url", fmt.Sprintf("http://%s:%d/", c.addr(i), port), "--rate", "50", "--duration", loadMax.String(), "--timeout", "2s")
		cmd.Stdout, cmd.Stderr = &said[i], &said[i]
		require.NoError(c.t, cmd.Start())
		outside = append(outside, cmd)
	}
	began := time.Now()
	for _, version := range []string{"v2", "v1"} {
		c.kubectl("set", "image", "-n", ns, "deployment/web", "web=seatrial.dev/demo/web:"+version)
		c.kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=60s")
		images := c.kubectl("get", "pods", "-n", ns, "-l", "app=web", "--field-selector=status.phase=Running", "-o", `jsonpath={range .items[?(@.metadata.deletionTimestamp=="")]}{.spec.containers[0].image}{"\n"}{end}`)
		for _, image := range strings.Fields(images) {
			require.Equal(c.t, "seatrial.dev/demo/web:"+version, image)
		}
	}
	c.t.Logf("there and back in %v", time.Since(began).Round(time.Millisecond))
	require.Less(c.t, time.Since(began), loadMax, "the load went on for all of it")
	c.kubectl("exec", "-n", ns, "load", "-c", "ends", "--", "killall", "-TERM", "load")
	text := ""
	until(c.t, eventMax, "the load in the pod tells how it went", func() error {
		if text = c.kubectl("logs", "-n", ns, "load", "-c", "c"); text == "" {
			return errors.New("nothing yet")
		}
		return nil
	})
	within := parseTold(c.t, text)
	c.t.Logf("from a pod, by name: %v", within)
	require.Zero(c.t, within.Failed)
	require.Greater(c.t, within.Succeeded, 200)
	for i, cmd := range outside {
		require.NoError(c.t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(c.t, cmd.Wait(), said[i].String())
		s := parseTold(c.t, said[i].String())
		c.t.Logf("from outside, by %s's port: %v", nodeName(i), s)
		require.Zero(c.t, s.Failed)
		require.Greater(c.t, s.Succeeded, 200)
	}
}

// loadMax is when the load ends by itself.
const loadMax = 3 * time.Minute
