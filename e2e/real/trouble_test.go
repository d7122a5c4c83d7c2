package real

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/agent"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/lab"
	"seatrial.dev/seatrial/live/server"
)

// testTrouble has pods that cannot run: each says why, by its status and an event.
func testTrouble(c *cluster, ns string) {
	pods := []struct{ name, spec, reason, event, words string }{
		{"noimage", `containers: [{name: c, image: "127.0.0.1:1/no/such:v1"}]`, "ImagePullBackOff", "Failed", "127.0.0.1:1/no/such:v1"},
		{"nocommand", `containers: [{name: c, image: "` + busybox + `", command: [/no/such]}]`, "CrashLoopBackOff|RunContainerError|StartError|CreateContainerError", "Failed", "/no/such"},
		{"loops", `containers: [{name: c, image: "seatrial.dev/demo/worker:v1", args: [--units, "1", --each, 1ms, --exit, "3"]}]`, "CrashLoopBackOff", "BackOff", "restarting failed container"},
		{"eats", `restartPolicy: Never
  containers: [{name: c, image: "seatrial.dev/demo/worker:v1", args: [--memory, "256", --each, 1ms], resources: {limits: {memory: 32Mi}}}]`, "OOMKilled", "Started", ""},
		{"volume", `volumes: [{name: v, nfs: {server: 192.0.2.1, path: /}}]
  containers: [{name: c, image: "` + busybox + `", command: [sleep, "1000"], volumeMounts: [{name: v, mountPath: /v}]}]`, "ContainerCreating", "FailedMount", "nfs"},
		{"noconfig", `containers: [{name: c, image: "` + busybox + `", command: [sleep, "1000"], env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: k}}}]}]`, "CreateContainerConfigError", "Failed", `"none" not found`},
		{"never", `nodeSelector: {no: where}
  containers: [{name: c, image: "` + busybox + `"}]`, "Unschedulable", "FailedScheduling", "node"},
		{"hungry", `containers: [{name: c, image: "` + busybox + `", resources: {requests: {cpu: "64"}}}]`, "Unschedulable", "FailedScheduling", "Insufficient cpu"},
	}
	var manifests strings.Builder
	for _, p := range pods {
		fmt.Fprintf(&manifests, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  terminationGracePeriodSeconds: 0\n  %s\n", p.name, p.spec)
	}
	c.apply(ns, manifests.String())
	for _, p := range pods {
		until(c.t, eventMax, p.name, func() error {
			reasons := why(c.pod(ns, p.name))
			for _, r := range strings.Split(p.reason, "|") {
				for _, is := range reasons {
					if is == r {
						return c.hasEvent(ns, p.name, p.event, p.words)
					}
				}
			}
			return fmt.Errorf("its reasons are %q, not %s", reasons, p.reason)
		})
	}
	eaten := c.pod(ns, "eats").Status.ContainerStatuses[0].State.Terminated
	require.EqualValues(c.t, 137, eaten.ExitCode)
	require.Contains(c.t, []string{"ErrImagePull", "ImagePullBackOff"}, c.pod(ns, "noimage").Status.ContainerStatuses[0].State.Waiting.Reason)
	require.NoError(c.t, c.hasEvent(ns, "noimage", "BackOff", "127.0.0.1:1/no/such:v1"))
	last := c.pod(ns, "loops").Status.ContainerStatuses[0].LastTerminationState.Terminated
	require.NotNil(c.t, last)
	require.EqualValues(c.t, 3, last.ExitCode)
}

// why lists the reasons that a pod's status gives.
func why(p *corev1.Pod) (out []string) {
	for _, c := range p.Status.Conditions {
		out = append(out, c.Reason)
	}
	for _, s := range p.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil {
			out = append(out, w.Reason)
		}
		if e := s.State.Terminated; e != nil {
			out = append(out, e.Reason)
		}
	}
	return out
}

func (c *cluster) hasEvent(ns, pod, reason, words string) error {
	list, _, err := c.api.List(c.t.Context(), kinds.Event, client.Selection{Namespace: ns, Fields: "involvedObject.name=" + pod})
	if err != nil {
		return err
	}
	var said []string
	for _, o := range list {
		e := o.(*corev1.Event)
		if e.Reason == reason && strings.Contains(e.Message, words) {
			return nil
		}
		said = append(said, e.Reason+": "+e.Message)
	}
	return fmt.Errorf("no event %s with %q; there are %q", reason, words, said)
}

// testJoining tries to join as one should not.
func testJoining(c *cluster, _ string) {
	secret := func(span time.Duration) string {
		token, s, err := server.NewToken(time.Now().Add(-time.Hour), span, "")
		require.NoError(c.t, err)
		_, err = c.api.Do(c.t.Context(), api.Create(s))
		require.NoError(c.t, err)
		return token
	}
	good, old := secret(2*time.Hour), secret(time.Minute)
	var said struct{ CAHash string }
	r := call(c.t, "", built.seatrial, "token", "create", "--kubeconfig", c.kubeconfig, "-o", "json")
	require.Zero(c.t, r.code, "%s", r)
	require.NoError(c.t, json.Unmarshal([]byte(r.out), &said))
	hash, other := said.CAHash, "sha256:"+strings.Repeat("0", 64)
	for _, try := range []struct {
		name, server, token, hash string
		code                      int
		want                      string
	}{
		{"wrong token", c.server(), "abcdef.0123456789abcdef", hash, 3, "the token is refused"},
		{"half a token", c.server(), good[:6] + ".0000000000000000", hash, 3, "the token is refused"},
		{"old token", c.server(), old, hash, 3, "expired"},
		{"wrong hash", c.server(), good, other, 3, "no certificate of the server has the CA hash " + other},
		{"bad hash", c.server(), good, "sha256:12", 2, `CA hash "sha256:12": want sha256: and 64 hexadecimal digits`},
		{"no hash", c.server(), good, "", 2, "CA hash"},
		{"plain HTTP", strings.Replace(c.server(), "https", "http", 1), good, hash, 2, "want https://HOST:PORT"},
		{"no token", c.server(), "", hash, 2, "has not joined the cluster"},
	} {
		dir := c.t.TempDir()
		r := call(c.t, "", built.seatrial, "agent", "--server", try.server, "--token", try.token, "--ca-hash", try.hash,
			"--node-name", "intruder", "--data-dir", filepath.Join(dir, "agent"), "--images-dir", filepath.Join(dir, "images"), "--netns-dir", filepath.Join(dir, "netns"), "--cgroup-root", "/seatrial-intruder")
		require.Equal(c.t, try.code, r.code, "%s: %s", try.name, r)
		require.Contains(c.t, r.err, try.want, try.name)
		if try.token != "" {
			require.NotContains(c.t, r.err, strings.Split(try.token, ".")[1], "%s: the token is told", try.name)
		}
	}
	require.NotContains(c.t, c.kubectl("get", "nodes"), "intruder")

	taken := c.on(controlPlane, lab.BinDir+"/seatrial", "server", "--data-dir", "/tmp/second", "--advertise-address", lab.ServerAddr(c.subnet, 0).String())
	require.Equal(c.t, 3, taken.code, "%s", taken)
	require.Contains(c.t, taken.out+taken.err, "address already in use")
}

// testIntruder does with a node's certificate what somebody would who broke into it.
func testIntruder(c *cluster, ns string) {
	c.apply(ns, `
{apiVersion: v1, kind: Secret, metadata: {name: other}, stringData: {k: hidden}}
---
{apiVersion: v1, kind: Secret, metadata: {name: own}, stringData: {k: known}}
---
{apiVersion: v1, kind: Pod, metadata: {name: own}, spec: {nodeName: node-0, terminationGracePeriodSeconds: 0, volumes: [{name: s, secret: {secretName: own}}],
 containers: [{name: c, image: "`+busybox+`", command: [sleep, "1000"], volumeMounts: [{name: s, mountPath: /s}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: other}, spec: {nodeName: node-1, terminationGracePeriodSeconds: 0, volumes: [{name: s, secret: {secretName: other}}],
 containers: [{name: c, image: "`+busybox+`", command: [sleep, "1000"], volumeMounts: [{name: s, mountPath: /s}]}]}}
`)
	c.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod", "--all", "--timeout=60s")
	node := c.asNode("node-0")
	ctx := c.t.Context()
	secret := func(name string) kinds.Ref {
		return kinds.Ref{Kind: kinds.Secret, Key: kinds.Key{Namespace: ns, Name: name}}
	}
	_, err := node.Get(ctx, secret("own"))
	require.NoError(c.t, err, "that of its pod")
	_, err = node.Get(ctx, secret("other"))
	require.True(c.t, apierrors.IsForbidden(err), "%v", err)
	_, _, err = node.List(ctx, kinds.Secret, client.Selection{Namespace: ns})
	require.True(c.t, apierrors.IsForbidden(err), "%v", err)
	theirs := c.node("node-1").DeepCopy()
	theirs.Status.Conditions = nil
	pod := c.pod(ns, "other").DeepCopy()
	pod.Status.Phase = corev1.PodFailed
	for name, r := range map[string]api.Request{
		"another node's status": api.UpdateStatus(theirs),
		"another node":          api.Delete(kinds.RefOf(theirs), ""),
		"another's pod":         api.UpdateStatus(pod),
		"another's pod's end":   api.Delete(kinds.RefOf(pod), ""),
		"a new node":            api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-9"}}),
		"a secret":              api.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "x"}}),
	} {
		_, err := node.Do(ctx, r)
		require.True(c.t, apierrors.IsForbidden(err), "%s: %v", name, err)
	}
	// Nor does a pod see more of the host than is its own.
	inPod := func(line string) result { return c.try("", "exec", "-n", ns, "own", "--", "sh", "-c", line) }
	require.Equal(c.t, "known", inPod("cat /s/k").out)
	require.NotZero(c.t, inPod("ls /run/seatrial || ls /var/lib/seatrial").code)
	require.NotZero(c.t, inPod("mount -t tmpfs x /tmp").code, "without the capability")
	require.NotZero(c.t, inPod("echo 1 > /proc/sys/kernel/panic").code)
	require.NotContains(c.t, inPod("ps").out, "seatrial agent")
}

// asNode is a client with the certificate that a node was given.
func (c *cluster) asNode(name string) *client.Client {
	f, err := os.Open(filepath.Join(lab.DataPath(c.dir, name), "agent", "pki", "member.json"))
	require.NoError(c.t, err)
	defer f.Close()
	text, err := io.ReadAll(f)
	require.NoError(c.t, err)
	var m agent.Membership
	require.NoError(c.t, json.Unmarshal(text, &m))
	pair, err := m.TLS()
	require.NoError(c.t, err)
	return c.clientOf(m.CA, pair)
}

func (c *cluster) clientOf(ca string, pair tls.Certificate) *client.Client {
	pool := x509.NewCertPool()
	require.True(c.t, pool.AppendCertsFromPEM([]byte(ca)))
	k, err := client.New(client.Config{Server: c.server(), CA: pool, Certificate: &pair, UserAgent: "test"})
	require.NoError(c.t, err)
	c.t.Cleanup(k.Close)
	return k
}

// order gives one to a lab.
func (c *cluster) order(do func(ctx context.Context, l *lab.Lab) error) {
	c.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), eventMax)
	defer stop()
	require.NoError(c.t, do(ctx, c.bed.Lab()))
}
