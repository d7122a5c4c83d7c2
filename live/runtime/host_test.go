package runtime_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/cgroup"
)

// eventMax is how long a test waits for what must come.
const eventMax = 20 * time.Second

// needHost says, loudly, why the tests that run containers cannot run here; nothing
// else in this package skips.
func needHost(t testing.TB) {
	t.Helper()
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, program := range []string{"busybox", "gcc", "go", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, "the program "+program)
		}
	}
	if roots, err := cgroup.Hierarchies(); err != nil || len(roots) == 0 {
		missing = append(missing, "control groups")
	}
	if len(missing) > 0 {
		t.Skipf("NOT RUN, containers need: %s (apt-get install busybox-static gcc iproute2)", strings.Join(missing, ", "))
	}
}

// program builds seatrial-runtime once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "seatrial-runtime-")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "seatrial-runtime")
	out, err := exec.Command("go", "build", "-o", path, "seatrial.dev/seatrial/cmd/seatrial-runtime").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// built is the folder of the program, once there is one.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

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
	needHost(t)
	path, err := program()
	require.NoError(t, err)
	before := residue(t)
	h := &host{t: t, config: runtime.Config{
		StateDir:   filepath.Join(t.TempDir(), strings.Repeat("deep", 20), "state"), // longer than a socket's address may be
		Binary:     path,
		CgroupRoot: fmt.Sprintf("/seatrial-test-%d-%d", os.Getpid(), hosts.Add(1)),
	}}
	h.rootfs = newRootfs(t)
	h.open()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), eventMax)
		defer cancel()
		require.NoError(t, h.client.Purge(ctx))
		h.client.Close()
		require.Equal(t, before, residue(t), "left on the machine")
	})
	return h
}

func (h *host) open() {
	var err error
	h.client, err = runtime.Open(h.config)
	require.NoError(h.t, err)
	h.ended = map[runtime.ID]runtime.Exit{}
}

// newRootfs makes a root file system of busybox.
func newRootfs(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "rootfs")
	for _, d := range []string{"bin", "tmp", "etc", "proc", "dev", "sys", "home"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, "tmp"), 0o1777))
	found, err := exec.LookPath("busybox")
	require.NoError(t, err)
	data, err := os.ReadFile(found)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bin/busybox"), data, 0o755))
	list, err := exec.Command(found, "--list").Output()
	require.NoError(t, err)
	for _, name := range strings.Fields(string(list)) {
		if name != "busybox" {
			require.NoError(t, os.Symlink("busybox", filepath.Join(dir, "bin", name)))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0::/:/bin/sh\nweb:x:1000:1001::/home:/bin/sh\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "etc/group"), []byte("web:x:1001:\nstaff:x:1002:web\n"), 0o644))
	return dir
}

// residue lists whatever a test could leave behind: mounts and processes of its
// folder, control groups and processes in them.
func residue(t testing.TB) []string {
	folder := filepath.Dir(t.TempDir())
	group := fmt.Sprintf("/seatrial-test-%d-", os.Getpid())
	var out []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, folder+"/") {
			out = append(out, "mount "+at)
		}
	}
	groups, err := cgroup.Below("/")
	require.NoError(t, err)
	for _, g := range groups {
		if strings.HasPrefix("/"+g, group) {
			out = append(out, "cgroup "+g)
		}
	}
	list, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range list {
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		in, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		if len(line) == 0 {
			continue // a zombie, which is for init to reap
		}
		if bytes.Contains(line, []byte(folder+"/")) || bytes.Contains(in, []byte(group)) {
			out = append(out, "process "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	slices.Sort(out)
	return out
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
