package runtime_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/testbed/machine"
)

// eventMax is how long a test waits for what must come.
const eventMax = 20 * time.Second

func TestMain(m *testing.M) { os.Exit(machine.Run(m)) }

var hosts atomic.Int64

// host is a state folder and a control group of its own, with a client.
type host struct {
	t      testing.TB
	config runtime.Config
	client *runtime.Client
	rootfs string
	pods   int
	ended  map[runtime.ID]runtime.Exit
}

func newHost(t testing.TB) *host {
	machine.Need(t)
	path, err := machine.Runtime()
	require.NoError(t, err)
	before := residue(t).Picture(t)
	h := &host{t: t, config: runtime.Config{
		StateDir:   filepath.Join(t.TempDir(), strings.Repeat("deep", 20), "state"), // longer than a socket's address may be
		Binary:     path,
		CgroupRoot: fmt.Sprintf("/seatrial-test-%d-%d", os.Getpid(), hosts.Add(1)),
	}}
	h.rootfs = filepath.Join(t.TempDir(), "rootfs")
	require.NoError(t, machine.Rootfs(h.rootfs))
	h.open()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventMax)
		defer cancel()
		require.NoError(t, h.client.Purge(ctx))
		h.client.Close()
		residue(t).Same(t, before, 0)
	})
	return h
}

func (h *host) open() {
	var err error
	h.client, err = runtime.Open(h.config)
	require.NoError(h.t, err)
	h.ended = map[runtime.ID]runtime.Exit{}
}

// residue is whatever a test could leave behind: mounts and processes of its folder,
// control groups and processes in them.
func residue(t testing.TB) machine.Residue {
	folder := filepath.Dir(t.TempDir()) + "/"
	return machine.Residue{Marks: []string{folder}, Commands: []string{folder}, Groups: []string{fmt.Sprintf("/seatrial-test-%d-*", os.Getpid())}}
}

func (h *host) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), eventMax)
	h.t.Cleanup(cancel)
	return ctx
}

// netns makes a network namespace that goes with the test.
func (h *host) netns(name string) string {
	name = fmt.Sprintf("seatrial-test-%d-%s", os.Getpid(), name)
	for _, args := range [][]string{{"netns", "add", name}, {"-n", name, "link", "set", "lo", "up"}} {
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(h.t, err, string(out))
	}
	h.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	return "/var/run/netns/" + name
}

// sandbox makes a pod; edit may change its spec.
func (h *host) sandbox(edit ...func(*runtime.SandboxSpec)) string {
	h.pods++
	spec := runtime.SandboxSpec{Pod: fmt.Sprintf("0000-pod-%d", h.pods), QoS: "burstable"}
	for _, e := range edit {
		e(&spec)
	}
	pod, err := h.client.MakeSandbox(h.ctx(), spec)
	require.NoError(h.t, err)
	require.True(h.t, pod.Ready)
	return spec.Pod
}

// spec is that of a shell script in a pod.
func (h *host) spec(pod, name, script string) runtime.ContainerSpec {
	return runtime.ContainerSpec{
		ID: runtime.ID{Pod: pod, Name: name}, Rootfs: h.rootfs, Args: []string{"sh", "-c", script},
		Capabilities: runtime.DefaultCapabilities(), LogPath: filepath.Join(filepath.Dir(h.rootfs), pod+"-"+name+".log"),
	}
}

func (h *host) start(spec runtime.ContainerSpec) runtime.ID {
	h.t.Helper()
	k, err := h.client.StartContainer(h.ctx(), spec)
	require.NoError(h.t, err)
	require.Positive(h.t, k.PID)
	return spec.ID
}

// wait gives the end of a run.
func (h *host) wait(id runtime.ID) runtime.Exit {
	h.t.Helper()
	deadline := time.After(eventMax)
	for {
		if e, ok := h.ended[id]; ok {
			return e
		}
		select {
		case e := <-h.client.Exits():
			_, twice := h.ended[e.ID]
			require.False(h.t, twice, "told twice: %v", e)
			h.ended[e.ID] = e
		case <-deadline:
			h.t.Fatalf("%s does not end", id)
		}
	}
}

var stamp = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d) `)

// log is what the log of a container has, without times.
func (h *host) log(spec runtime.ContainerSpec) string {
	data, err := os.ReadFile(spec.LogPath)
	require.NoError(h.t, err)
	return stamp.ReplaceAllString(string(data), "")
}

// run starts a script and gives its end and its log.
func (h *host) run(spec runtime.ContainerSpec) (runtime.Exit, string) {
	h.t.Helper()
	e := h.wait(h.start(spec))
	return e, h.log(spec)
}

// until waits for a line to be in a log.
func (h *host) until(spec runtime.ContainerSpec, line string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return strings.Contains(h.log(spec), line) }, eventMax, 5*time.Millisecond)
}

// exec runs a script in a container.
func (h *host) exec(id runtime.ID, script string) (int, string) {
	h.t.Helper()
	var out bytes.Buffer
	code, err := h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"sh", "-c", "exec 2>&1; " + script}}, runtime.Streams{Stdout: &out})
	require.NoError(h.t, err)
	return code, out.String()
}

func (h *host) kill(id runtime.ID, sig syscall.Signal, grace time.Duration) {
	require.NoError(h.t, h.client.Kill(h.ctx(), id, sig, grace))
}
