package agent_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/agent"
	"seatrial.dev/seatrial/live/apitest"
	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/testbed/machine"
)

const (
	eventMax = apitest.EventMax // how long a test waits for what must come
	hostIP   = "192.168.77.1"
	inside   = "SEATRIAL_TEST_HOST"  // says that this process has namespaces of its own
	fetch    = "SEATRIAL_TEST_FETCH" // makes this process fetch an address and end
	busybox  = "seatrial.test/busybox:1"
)

// atOnce is how many tests run side by side: mostly they wait.
const atOnce = "6"

// TestMain is also a host, and what asks for an address in one.
func TestMain(m *testing.M) {
	if url := os.Getenv(fetch); url != "" {
		os.Exit(fetchURL(url))
	}
	flag.Parse()
	if os.Getenv(inside) == "" && flag.Lookup("test.bench").Value.String() != "" && len(machine.Missing("iptables")) == 0 {
		if err := hostProcess(os.Stdout, os.Args[1:]...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	os.Exit(machine.Run(m))
}

// hostProcess runs this program once more, in a network and mounts of its own: a host.
func hostProcess(out io.Writer, args ...string) error {
	goruntime.LockOSThread() // the process ends with the thread that started it
	defer goruntime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// ownHost runs a test on a host of its own, beside others, and says whether it has. On
// that host it has not.
func ownHost(t *testing.T) bool {
	t.Helper()
	machine.Need(t, "iptables")
	if os.Getenv(inside) != "" {
		return false
	}
	t.Parallel()
	_, err := machine.Runtime()
	require.NoError(t, err)
	args := []string{"-test.run=^" + t.Name() + "$", fmt.Sprintf("-test.v=%t", testing.Verbose())}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+time.Until(deadline).String())
	}
	var out bytes.Buffer
	err = hostProcess(&out, args...)
	// What frames the output is left out: it would be taken for this test's own.
	said := framing.ReplaceAllString(out.String(), "")
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	t.Log(said)
	return true
}

var framing = regexp.MustCompile(`(?m)^( *--- |=== |PASS$|FAIL$).*\n?`)

// fetchURL prints what an address answers: the test goes into a pod's network by it.
func fetchURL(url string) int {
	resp, err := (&http.Client{Timeout: time.Second}).Get(url)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return 1
	}
	return 0
}

func needHost(t testing.TB) {
	t.Helper()
	machine.Need(t, "iptables")
	require.NotEmpty(t, os.Getenv(inside), "a test that needs a host begins with: if ownHost(t) { return }")
	require.NoError(t, prepared())
}

// prepared makes the network of this process a host's. The one who is to be gossiped with
// first is not there, which is told at once: an agent that dials ends seconds later.
var prepared = sync.OnceValue(func() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	for _, line := range []string{
		"link set lo up", "link add up0 type veth peer name up1", "link set up0 up", "link set up1 up",
		"addr add " + hostIP + "/24 dev up0", "route add default via 192.168.77.254 dev up0", "route add unreachable 10.0.0.1",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return nil
})

var hosts atomic.Int64

// host is a server and one agent, in this process.
type host struct {
	*apitest.Server
	t     testing.TB
	ctx   context.Context
	cfg   agent.Config
	store *image.Store
	agent *agent.Agent
	end   context.CancelFunc
	ended chan error
}

func newHost(t testing.TB, edit ...func(*agent.Config)) *host {
	needHost(t)
	path, err := machine.Runtime()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	h := &host{Server: apitest.New(t, hostIP+":0"), t: t, ctx: ctx}
	dir := t.TempDir()
	h.cfg = agent.Config{
		Server: h.URL, Token: apitest.Token, CAHash: h.Hash, NodeName: "n1", NodeIP: netip.MustParseAddr(hostIP),
		DataDir: filepath.Join(dir, "agent"), ImageDir: filepath.Join(dir, "images"), RuntimeBinary: path, NetnsDir: filepath.Join(dir, "netns"),
		CgroupRoot: fmt.Sprintf("/seatrial-test-agent-%d-%d", os.Getpid(), hosts.Add(1)),
		Log:        func(line string) { t.Log("agent:", line) },
	}
	for _, e := range edit {
		e(&h.cfg)
	}
	h.store, err = image.Open(h.cfg.ImageDir, image.Config{})
	require.NoError(t, err)
	img, err := image.Build(image.Spec{Name: busybox, From: newRootfs(t), Cmd: []string{"sh"}, Env: []string{"PATH=/bin", "OF_IMAGE=1"}})
	require.NoError(t, err)
	_, err = h.store.Add(h.ctx, busybox, img)
	require.NoError(t, err)
	t.Cleanup(h.sweep)
	h.start()
	h.Until("the node is registered", func() bool { return h.node() != nil })
	n := h.node().DeepCopy()
	n.Spec.PodCIDR, n.Spec.PodCIDRs = "10.244.1.0/24", []string{"10.244.1.0/24"}
	h.Write(api.Update(n))
	return h
}

func (h *host) node() *corev1.Node {
	n, _ := h.Get(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: "n1"}}).(*corev1.Node)
	return n
}

func (h *host) start() {
	ctx, cancel := context.WithCancel(h.ctx)
	var err error
	h.agent, err = agent.New(ctx, h.cfg)
	require.NoError(h.t, err)
	h.end, h.ended = cancel, make(chan error, 1)
	go func(a *agent.Agent, ended chan error) {
		err := a.Run(ctx)
		a.Close()
		ended <- err
	}(h.agent, h.ended)
}

// stop ends the agent; its pods run on.
func (h *host) stop() {
	if h.end == nil {
		return
	}
	h.end()
	h.end = nil
	select {
	case err := <-h.ended:
		require.NoError(h.t, err)
	case <-time.After(eventMax):
		h.t.Fatal("the agent does not end")
	}
}

// forget stops the agent and takes its certificate from it, and its lease from the
// cluster: who has lost the certificate of a node that lives is not let in again.
func (h *host) forget() {
	lease := kinds.Ref{Kind: kinds.Lease, Key: kinds.Key{Namespace: "kube-node-lease", Name: "n1"}}
	h.Until("the lease", func() bool { return h.Get(lease) != nil })
	h.stop()
	h.Write(api.Delete(lease, ""))
	require.NoError(h.t, os.Remove(filepath.Join(h.cfg.DataDir, "pki", "member.json")))
}

// sweep takes all pods away, by an agent that finds none of them in the API, and sees
// that nothing is left.
func (h *host) sweep() {
	h.stop()
	ctx, cancel := context.WithTimeout(context.Background(), eventMax)
	defer cancel()
	c, err := runtime.Open(runtime.Config{StateDir: filepath.Join(h.cfg.DataDir, "runtime"), Binary: h.cfg.RuntimeBinary, CgroupRoot: h.cfg.CgroupRoot})
	require.NoError(h.t, err)
	require.NoError(h.t, c.Purge(ctx))
	c.Close()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(h.t, err)
	var at []string
	for line := range strings.Lines(string(mounts)) {
		if m := strings.Fields(line)[4]; strings.HasPrefix(m, filepath.Dir(h.cfg.DataDir)+"/") {
			at = append(at, m)
		}
	}
	for _, m := range slices.Backward(at) {
		require.NoError(h.t, unix.Unmount(m, unix.MNT_DETACH))
	}
	_ = exec.Command("ip", "link", "del", "seatrial0").Run() // the next test's is another
}

// run creates a pod of this YAML on the node.
func (h *host) run(text string) string {
	h.t.Helper()
	p := &corev1.Pod{}
	require.NoError(h.t, yaml.UnmarshalStrict([]byte(text), p))
	p.Namespace, p.Spec.NodeName = "default", "n1"
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Image == "" {
			p.Spec.Containers[i].Image = busybox
		}
	}
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Image == "" {
			p.Spec.InitContainers[i].Image = busybox
		}
	}
	if p.Spec.TerminationGracePeriodSeconds == nil {
		grace := int64(1)
		p.Spec.TerminationGracePeriodSeconds = &grace
	}
	h.Create(p)
	return p.Name
}

// untilPhase waits for a pod's phase.
func (h *host) untilPhase(name string, oneOf ...corev1.PodPhase) *corev1.Pod {
	h.t.Helper()
	defer func() {
		if h.t.Failed() {
			h.explain(name)
		}
	}()
	h.Until(fmt.Sprintf("pod %s is %v", name, oneOf), func() bool {
		p := h.pod(name)
		return p != nil && slices.Contains(oneOf, p.Status.Phase)
	})
	return h.pod(name)
}

// explain logs all that is known of a pod.
func (h *host) explain(name string) {
	if p := h.pod(name); p != nil {
		text, _ := yaml.Marshal(p.Status)
		h.t.Log(string(text))
	}
	h.t.Log(strings.Join(h.Events(name), "\n"))
}

// untilEvent waits for an event that begins with a text.
func (h *host) untilEvent(name, text string) string {
	h.t.Helper()
	found := ""
	defer func() {
		if found == "" {
			h.explain(name)
		}
	}()
	h.Until(fmt.Sprintf("event of %s: %s", name, text), func() bool {
		for _, e := range h.Events(name) {
			if strings.HasPrefix(e, text) {
				found = e
			}
		}
		return found != ""
	})
	return found
}

// delete deletes a pod and waits until it is gone.
func (h *host) delete(name string) {
	h.t.Helper()
	h.Write(api.Delete(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: "default", Name: name}}, ""))
	h.Until("pod "+name+" is gone", func() bool { return h.pod(name) == nil })
}

// log is what a container has written, without times.
func (h *host) log(pod, container string, run int) string {
	h.t.Helper()
	list, err := filepath.Glob(filepath.Join(h.cfg.DataDir, "logs", "default_"+pod+"_*", container, fmt.Sprintf("%d.log", run)))
	require.NoError(h.t, err)
	require.Len(h.t, list, 1)
	raw, err := os.ReadFile(list[0])
	require.NoError(h.t, err)
	var b strings.Builder
	for line := range strings.Lines(string(raw)) {
		if parts := strings.SplitN(line, " ", 4); len(parts) == 4 {
			b.WriteString(parts[3])
		}
	}
	return b.String()
}

// untilLog waits for a line in a log. Logs are written without the API's knowledge, so
// this asks again and again.
func (h *host) untilLog(pod, container string, run int, line string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return strings.Contains(h.log(pod, container, run), line) }, eventMax, 5*time.Millisecond, "%s", line)
}

// exec runs a script in a container.
func (h *host) exec(pod, container, script string) string {
	h.t.Helper()
	_, id, ok := h.agent.Find("default", pod, container)
	require.True(h.t, ok)
	var out bytes.Buffer
	code, err := h.agent.Runtime().Exec(h.ctx, runtime.ExecSpec{ID: id, Args: []string{"sh", "-c", "exec 2>&1; " + script}}, runtime.Streams{Stdout: &out})
	require.NoError(h.t, err)
	require.Zero(h.t, code, out.String())
	return out.String()
}

// newRootfs makes a root file system of busybox.
func newRootfs(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "rootfs")
	require.NoError(t, machine.Rootfs(dir))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "www/index.html"), []byte("hello\n"), 0o644))
	return dir
}

// eventsInOrder are the first events of a pod, as they were written.
func (h *host) eventsInOrder(name string, most int) []string {
	h.t.Helper()
	var list []string
	h.Until("events of "+name, func() bool { list = h.Events(name); return len(list) >= most })
	return list[:most]
}

func (h *host) pod(name string) *corev1.Pod {
	p, _ := h.Get(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: "default", Name: name}}).(*corev1.Pod)
	return p
}

// anythingOf says whether the host has anything of a pod.
func (h *host) anythingOf(uid string) bool {
	for _, pattern := range []string{"agent/pods/" + uid, "agent/logs/*_" + uid, "agent/containers/" + uid + "-*", "agent/runtime/*/" + uid, "netns/*" + uid, "images/mounts/" + uid + "*"} {
		list, err := filepath.Glob(filepath.Join(filepath.Dir(h.cfg.DataDir), pattern))
		require.NoError(h.t, err)
		if len(list) > 0 {
			return true
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(h.t, err)
	return strings.Contains(string(mounts), uid)
}

// untilClean waits until nothing is left of any pod of this name.
func (h *host) untilClean(name string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		list, err := filepath.Glob(filepath.Join(h.cfg.DataDir, "logs", "default_"+name+"_*"))
		require.NoError(h.t, err)
		return len(list) == 0
	}, eventMax, 5*time.Millisecond)
}
