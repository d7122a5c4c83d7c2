package agent_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/agent"
	"seatrial.dev/seatrial/live/apitest"
	"seatrial.dev/seatrial/live/image"
)

// TestServiceAndRoutes has a service with a pod behind it, and another node.
func TestServiceAndRoutes(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: c, command: [httpd, -f, -p, "8080", -h, /www], readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}}]
`)
	h.run(`
metadata: {name: asks}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.Until("ready", func() bool { return isReady(h.pod("web")) && isReady(h.pod("asks")) })
	h.Create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.3.3", Ports: []corev1.ServicePort{{Port: 80}}}})
	yes, port, proto, n1 := true, int32(8080), corev1.ProtocolTCP, "n1"
	h.Create(&discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port, Protocol: &proto}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{h.pod("web").Status.PodIP}, NodeName: &n1, Conditions: discoveryv1.EndpointConditions{Ready: &yes}}}})
	// A statically linked busybox cannot do it (it crashes), so the test itself goes into the
	// pods' network.
	asks := func(args ...string) bool {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(h.ctx, args[0], append(args[1:], self)...)
		cmd.Env = append(os.Environ(), fetch+"=http://10.96.3.3/")
		out, _ := cmd.CombinedOutput()
		return string(out) == "hello\n"
	}
	inPod := func(name string) bool {
		return asks("nsenter", "--net="+filepath.Join(h.cfg.NetnsDir, "seatrial-"+string(h.pod(name).UID)))
	}
	require.Eventually(t, func() bool { return inPod("asks") }, eventMax, 100*time.Millisecond)
	require.True(t, inPod("web"), "to itself")
	require.True(t, asks("env"))

	h.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}, Spec: corev1.NodeSpec{PodCIDR: "10.244.2.0/24", PodCIDRs: []string{"10.244.2.0/24"}}})
	n2 := h.Get(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: "n2"}}).(*corev1.Node).DeepCopy()
	n2.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.77.2"}}
	h.Write(api.UpdateStatus(n2))
	h.untilRoute("10.244.2.0/24 via 192.168.77.2", true)
	h.Write(api.Delete(kinds.RefOf(n2), ""))
	h.untilRoute("10.244.2.0/24", false)
}

func (h *host) untilRoute(text string, there bool) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		out, err := exec.Command("ip", "route").Output()
		require.NoError(h.t, err)
		return strings.Contains(string(out), text) == there
	}, eventMax, 10*time.Millisecond, text)
}

// TestLostSandbox kills the process that holds a pod together.
func TestLostSandbox(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: a}
spec:
  initContainers: [{name: i, command: ["true"]}]
  containers: [{name: c, command: [sleep, "1000"]}]
`)
	h.untilPhase("a", corev1.PodRunning)
	_, id, ok := h.agent.Find("default", "a", "c")
	require.True(t, ok)
	pod, err := h.agent.Runtime().Get(h.ctx, id.Pod)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pod.ShimPID, syscall.SIGKILL))
	h.untilEvent("a", "Normal SandboxChanged")
	h.Until("it runs again", func() bool {
		s := h.pod("a").Status
		return s.ContainerStatuses[0].RestartCount == 1 && s.ContainerStatuses[0].State.Running != nil && s.InitContainerStatuses[0].RestartCount == 1
	})
	h.exec("a", "c", "true")
	h.delete("a")
	h.untilClean("a")
}

// TestImagesAndPulls brings an image while the agent runs.
func TestImages(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	img, err := image.Build(image.Spec{Name: "late:1", From: newRootfs(t), Entrypoint: []string{"sleep", "1000"}, User: "web"})
	require.NoError(t, err)
	_, err = h.store.Add(h.ctx, "late:1", img)
	require.NoError(t, err)
	h.run(`
metadata: {name: a}
spec: {containers: [{name: c, image: "late:1", imagePullPolicy: Never}]}
`)
	h.untilPhase("a", corev1.PodRunning)
	require.Contains(t, h.exec("a", "c", "id"), "uid=1000(web)")
}

// TestPullSecret has a registry that asks who is there.
func TestPullSecret(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hush" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	img, err := image.Build(image.Spec{Name: "x:1", From: newRootfs(t), Entrypoint: []string{"sleep", "1000"}})
	require.NoError(t, err)
	tag, err := name.NewTag(at + "/lab/x:1")
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, img, remote.WithAuth(&authn.Basic{Username: "me", Password: "hush"})))
	h.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "login"}, Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"username":"me","password":"hush"}}}`, at)}})
	h.run(`
metadata: {name: without}
spec: {containers: [{name: c, image: ` + at + `/lab/x:1}]}
`)
	h.untilEvent("without", `Warning Failed: Failed to pull image "`+at+`/lab/x:1"`)
	h.run(`
metadata: {name: with}
spec: {imagePullSecrets: [{name: login}], containers: [{name: c, image: ` + at + `/lab/x:1}]}
`)
	p := h.untilPhase("with", corev1.PodRunning)
	require.Contains(t, p.Status.ContainerStatuses[0].ImageID, at+"/lab/x@sha256:")
}

func TestMadeVolumesChange(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"}, Data: map[string]string{"a": "1", "gone": "x"}})
	h.run(`
metadata: {name: a}
spec:
  volumes: [{name: m, configMap: {name: m}}]
  containers: [{name: c, command: [sleep, "1000"], volumeMounts: [{name: m, mountPath: /m}]}]
`)
	h.untilPhase("a", corev1.PodRunning)
	require.Equal(t, "1", h.exec("a", "c", "cat /m/a"))
	h.Write(api.Update(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"}, Data: map[string]string{"a": "2", "dir": "y"}}))
	h.agent.RefreshVolumes()
	h.exec("a", "c", "until test $(cat /m/a) = 2; do sleep 0.01; done")
	require.Equal(t, "a\ndir\n", h.exec("a", "c", "ls /m"))
}

func TestJoin(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	other := h.cfg
	other.DataDir = filepath.Join(t.TempDir(), "other")
	other.NodeName = "n9"
	for name, edit := range map[string]func(*agent.Config){
		"the token is refused":            func(c *agent.Config) { c.Token = "wrong" },
		"this is another cluster":         func(c *agent.Config) { c.CAHash = "sha256:" + strings.Repeat("ab", 32) },
		"CA hash \"\": want sha256":       func(c *agent.Config) { c.CAHash = "" },
		"want https://HOST:PORT":          func(c *agent.Config) { c.Server = "http://x" },
		"node name \"A_B\": want":         func(c *agent.Config) { c.NodeName = "A_B" },
		"network mode \"gre\"":            func(c *agent.Config) { c.NetworkMode = "gre" },
		agent.ErrNotJoined.Error():        func(c *agent.Config) { c.Token = "" },
		"node IP fd00::1: want an IPv4":   func(c *agent.Config) { c.NodeIP = netip.MustParseAddr("fd00::1") },
		"path \"data\": want an absolute": func(c *agent.Config) { c.DataDir = "data" },
	} {
		c := other
		edit(&c)
		_, err := agent.New(h.ctx, c)
		require.ErrorContains(t, err, name)
	}
	info, err := os.Stat(filepath.Join(h.cfg.DataDir, "pki", "member.json"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, []string{"10.0.0.1:7946"}, h.agent.Membership().Gossip)

	// What a node may not do is refused by the API, whatever the agent asks.
	c := h.agent.Client()
	_, err = c.Get(h.ctx, kinds.Ref{Kind: kinds.Secret, Key: kinds.Key{Namespace: "default", Name: "any"}})
	require.ErrorContains(t, err, "no relationship found between node 'n1' and this object")
	_, err = c.Do(h.ctx, api.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}))
	require.Error(t, err)

	// A restarted agent needs no token.
	h.stop()
	h.cfg.Token, h.cfg.CAHash = "", ""
	h.start()
	h.run(`
metadata: {name: a}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.untilPhase("a", corev1.PodRunning)
}

// TestServerAway stops the API while pods run: they run on, and what happened is told
// when it is back.
func TestServerAway(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: a}
spec:
  restartPolicy: Never
  containers: [{name: c, command: [sh, -c, "while ! test -e /tmp/end; do sleep 0.01; done; exit 5"]}]
`)
	h.untilPhase("a", corev1.PodRunning)
	h.GoAway()
	h.exec("a", "c", "touch /tmp/end")
	h.ComeBack()
	h.untilPhase("a", corev1.PodFailed)
}

// TestProgram is the verb as people start it: a process that joins, runs a pod, and on
// SIGTERM ends without the pod.
func TestProgram(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.forget()
	self := filepath.Join(t.TempDir(), "seatrial")
	out, err := exec.CommandContext(h.ctx, "go", "build", "-o", self, "seatrial.dev/seatrial/cmd/seatrial-agent").CombinedOutput()
	require.NoError(t, err, string(out))
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte(apitest.Token+"\n"), 0o600))
	start := func() *exec.Cmd {
		cmd := exec.CommandContext(h.ctx, self, "--server", h.URL, "--token-file", tokenFile, "--ca-hash", h.Hash, "--node-name", "n1",
			"--node-ip", hostIP, "--data-dir", h.cfg.DataDir, "--images-dir", h.cfg.ImageDir, "--runtime-binary", h.cfg.RuntimeBinary,
			"--cgroup-root", h.cfg.CgroupRoot, "--netns-dir", h.cfg.NetnsDir, "--capacity", "cpu=3", "--label", "rack=r1")
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		return cmd
	}
	cmd := start()
	h.run(`
metadata: {name: a}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.untilPhase("a", corev1.PodRunning)
	require.Equal(t, "3", h.node().Status.Capacity.Cpu().String())
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "RssAnon") {
			t.Log(strings.TrimSpace(line))
		}
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	cmd = start()
	h.run(`
metadata: {name: b}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.Until("b begins", func() bool { return h.pod("b").Status.StartTime != nil })
	require.NoError(t, cmd.Process.Kill(), "in the middle of a start")
	_ = cmd.Wait()
	h.start()
	h.untilPhase("b", corev1.PodRunning)
	h.delete("b")
	h.untilClean("b")
	before := h.pod("a").Status.ContainerStatuses[0]
	h.delete("a")
	h.untilClean("a")
	require.Zero(t, before.RestartCount)

	for want, args := range map[string][]string{
		"want a quantity":  {"--capacity", "cpu=much"},
		"want KEY[=VALUE]": {"--taint", "a"},
		"want an IPv4":     {"--node-ip", "x"},
		"no such file":     {"--token-file", "/no/such/file"},
		"the token alone":  {"--token-file", self},
		"not both":         {"--token-file", tokenFile, "--token", "x"},
	} {
		out, err := exec.CommandContext(h.ctx, self, append([]string{"--server", "https://127.0.0.1:1"}, args...)...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), want)
	}
}
