package real

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// spread is a deployment that leaves dead nodes soon, and a service for it.
func (c *cluster) spread(ns string) {
	c.apply(ns, web("web", "3", "  type: NodePort\n"))
	c.kubectl("patch", "-n", ns, "deployment/web", "--type=json", "-p", `[{"op":"add","path":"/spec/template/spec/tolerations","value":[
{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":1},
{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":1}]}]`)
	c.kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=60s")
}

// allAnswer asks the service often by a node; within a moment every request must be
// answered: what is dead has left.
func (c *cluster) allAnswer(ns string, node int) {
	c.t.Helper()
	url := fmt.Sprintf("http://%s:%d", c.addr(node), c.service(ns, "web").Spec.Ports[0].NodePort)
	until(c.t, eventMax, "twenty requests in a row are answered", func() error {
		for range 20 {
			if _, err := get(url); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestCrash kills hosts, and boots them again.
func TestCrash(t *testing.T) {
	t.Parallel()
	c := newLab(t, 3)
	c.spread("default")
	for range 3 {
		c.lab("crash", "node-2")
		took := c.untilNode("node-2", corev1.ConditionUnknown, noticeMax)
		t.Logf("noticed %v after the crash", took.Round(time.Millisecond))
		c.allAnswer("default", 0)
		until(t, eventMax, "its pods moved", func() error {
			if n := len(c.readyOff("node-2")); n != 3 {
				return fmt.Errorf("%d of 3 pods are ready elsewhere", n)
			}
			return nil
		})
		require.Contains(t, c.lab("status"), "crashed")
		c.lab("restart", "node-2")
		t.Logf("ready %v after the boot", c.untilNode("node-2", corev1.ConditionTrue, eventMax).Round(time.Millisecond))
	}
	c.apply("default", shell("back", "node-2"))
	c.kubectl("wait", "--for=condition=Ready", "pod/back", "--timeout=60s")
	c.answers("default", "back", "http://web")
	c.allAnswer("default", 2)
}

// readyOff are the names of the service's endpoints that are ready on other nodes.
func (c *cluster) readyOff(node string) (out []string) {
	list := c.kubectl("get", "pods", "-l", "app=web", "-o", `jsonpath={range .items[*]}{.metadata.name},{.spec.nodeName},{.status.conditions[?(@.type=="Ready")].status} {end}`)
	for _, line := range fieldsOf(list) {
		if len(line) == 3 && line[1] != node && line[2] == "True" {
			out = append(out, line[0])
		}
	}
	return out
}

// TestFreeze stops a host where it is, and lets it go on.
func TestFreeze(t *testing.T) {
	t.Parallel()
	c := newLab(t, 3)
	c.spread("default")
	c.lab("freeze", "node-1")
	t.Logf("noticed %v after the freeze", c.untilNode("node-1", corev1.ConditionUnknown, eventMax).Round(time.Millisecond))
	require.Contains(t, c.lab("status"), "frozen")
	c.allAnswer("default", 0)
	c.lab("thaw", "node-1")
	t.Logf("ready %v after the thaw", c.untilNode("node-1", corev1.ConditionTrue, eventMax).Round(time.Millisecond))
	c.allAnswer("default", 1)
}

// TestCut cuts a host off, one way and both, and from the server alone.
func TestCut(t *testing.T) {
	t.Parallel()
	c := newLab(t, 3)
	c.spread("default")
	c.lab("cut", "node-1", "--one-way")
	t.Logf("noticed %v after a cut of what it sends", c.untilNode("node-1", corev1.ConditionUnknown, eventMax).Round(time.Millisecond))
	c.allAnswer("default", 0)
	c.lab("heal")
	t.Logf("ready %v after that", c.untilNode("node-1", corev1.ConditionTrue, eventMax).Round(time.Millisecond))

	// Hosts that see each other, and the server does not see one of them: the others
	// vouch for it until its Lease has run out.
	c.apply("default", shell("held", "node-1"))
	c.kubectl("wait", "--for=condition=Ready", "pod/held", "--timeout=60s")
	ip := c.pod("default", "held").Status.PodIP
	c.lab("cut", "node-1", controlPlane)
	require.Contains(t, c.lab("status"), "cut: node-1 -> "+controlPlane)
	require.Zero(t, c.on("node-0", "busybox", "ping", "-c", "1", "-W", "2", ip).code, "its pods are still there for the other hosts")
	c.kubectl("delete", "pod", "held", "--wait=false")
	took := c.untilNode("node-1", corev1.ConditionUnknown, 2*eventMax)
	t.Logf("noticed %v after it was cut from the server alone", took.Round(time.Millisecond))
	require.Greater(t, took, noticeMax, "the others vouch for it")
	c.lab("heal")
	c.untilNode("node-1", corev1.ConditionTrue, eventMax)
	c.kubectl("wait", "--for=delete", "pod/held", "--timeout=60s")
	until(t, eventMax, "what was deleted meanwhile is gone on the host too", func() error {
		if r := c.on("node-0", "busybox", "ping", "-c", "1", "-W", "1", ip); r.code == 0 {
			return errors.New(ip + " still answers")
		}
		return nil
	})
	c.allAnswer("default", 1)
}

// fieldsOf takes a list of lists apart.
func fieldsOf(s string) (out [][]string) {
	for _, item := range strings.Fields(s) {
		out = append(out, strings.Split(item, ","))
	}
	return out
}
