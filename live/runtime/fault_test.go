package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime"
)

func TestSandboxFails(t *testing.T) {
	h := newHost(t)
	for name, spec := range map[string]runtime.SandboxSpec{
		"no such namespace": {Pod: "x", NetnsPath: "/no/such/netns"},
		"no namespace":      {Pod: "x", NetnsPath: "/etc/passwd"},
		"no such sysctl":    {Pod: "x", NetnsPath: h.netns("fails"), Sysctls: map[string]string{"net.ipv4.no_such_thing": "1"}},
		"bad value":         {Pod: "x", Sysctls: map[string]string{"kernel.msgmax": "many"}},
	} {
		_, err := h.client.MakeSandbox(h.ctx(), spec)
		require.Error(t, err, name)
		t.Logf("%s: %v", name, err)
		require.NotContains(t, strings.Join(residue(t).Picture(t), "\n"), "/pods/x", name)
		list, err := h.client.List(h.ctx())
		require.NoError(t, err)
		require.Empty(t, list)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := h.client.MakeSandbox(ctx, runtime.SandboxSpec{Pod: "x"})
	require.Error(t, err)
	_, err = h.client.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: "x"})
	require.NoError(t, err, "the name must be free")
	_, err = h.client.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: "x"})
	require.Equal(t, runtime.KindExists, runtime.KindOf(err))
}

func TestOpenRefuses(t *testing.T) {
	h := newHost(t)
	_, err := runtime.Open(h.config)
	require.Equal(t, runtime.KindExists, runtime.KindOf(err), "two agents: %v", err)
	for name, edit := range map[string]func(*runtime.Config){
		"relative":    func(c *runtime.Config) { c.StateDir = "state" },
		"no binary":   func(c *runtime.Config) { c.Binary = "/no/such/binary" },
		"root cgroup": func(c *runtime.Config) { c.CgroupRoot = "/" },
	} {
		config := h.config
		edit(&config)
		_, err := runtime.Open(config)
		require.Error(t, err, name)
		t.Logf("%s: %v", name, err)
	}
}

// TestFullDisk: a log that cannot be written must not stop the container.
func TestFullDisk(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("full", dir, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	spec := h.spec(h.sandbox(), "app", `i=0; while [ $i -lt 4000 ]; do echo "line $i of very many"; i=$((i+1)); done; exit 5`)
	spec.LogPath = filepath.Join(dir, "log")
	e := h.wait(h.start(spec))
	require.Equal(t, 5, e.Code)
	require.Contains(t, e.LogError, "no space left")
	data, err := os.ReadFile(spec.LogPath)
	require.NoError(t, err)
	require.True(t, bytes.HasSuffix(data, []byte(" of very many\n")), "half a line is no line: %q", data[max(0, len(data)-80):])
	require.Equal(t, bytes.Count(data, []byte("\n")), bytes.Count(data, []byte(" stdout F line ")))
}

// TestForkBomb: what forks without end dies all the same, with the pod's limit of
// processes.
func TestForkBomb(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox(func(s *runtime.SandboxSpec) { s.HostPID = true; s.Resources.PIDs = 200 })
	spec := h.spec(pod, "app", `while [ ! -e /tmp/go ]; do sleep 0.01; done; b() { b | b & b; }; b; sleep 1000`)
	id := h.start(spec)
	other := h.start(h.spec(pod, "other", `touch /tmp/go; while :; do sleep 1000 & done 2>/dev/null`))
	h.kill(id, syscall.SIGTERM, 100*time.Millisecond)
	h.wait(id)
	require.NoError(t, h.client.StopSandbox(h.ctx(), pod))
	require.NotZero(t, h.wait(other).Code, "the exit is told although the pod is gone")
}

// TestSlowReader: an attached client that reads nothing holds nobody up.
func TestSlowReader(t *testing.T) {
	h := newHost(t)
	spec := h.spec(h.sandbox(), "app", `read go; i=0; while [ $i -lt 300 ]; do head -c 40000 /dev/zero; i=$((i+1)); done; exit 6`)
	spec.Stdin, spec.LogBytesMax, spec.LogFiles = true, 1<<20, 2
	id := h.start(spec)
	ctx, cancel := context.WithCancel(h.ctx())
	defer cancel()
	stuck := make(chan error, 1)
	block := make(chan struct{})
	go func() {
		_, err := h.client.Attach(ctx, id, runtime.Streams{Stdout: blocked(block)})
		stuck <- err
	}()
	_, err := h.client.Attach(h.ctx(), id, runtime.Streams{Stdin: strings.NewReader("go\n")})
	require.NoError(t, err)
	require.Equal(t, 6, h.wait(id).Code)
	cancel()
	close(block)
	<-stuck
}

type blocked chan struct{}

func (b blocked) Write(p []byte) (int, error) { <-b; return len(p), nil }

// TestBrokenWriter: a client whose output fails does not stop an exec.
func TestBrokenWriter(t *testing.T) {
	h := newHost(t)
	id := h.start(h.spec(h.sandbox(), "app", "exec sleep 1000"))
	code, err := h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"sh", "-c", "head -c 1000000 /dev/zero; exit 3"}}, runtime.Streams{Stdout: broken{}})
	require.NoError(t, err)
	require.Equal(t, 3, code)

	// Something that stays in the background does not hold an exec up.
	began := time.Now()
	var out bytes.Buffer
	code, err = h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"sh", "-c", "sleep 1000 & echo done"}}, runtime.Streams{Stdout: &out})
	require.NoError(t, err)
	require.Zero(t, code)
	require.Equal(t, "done\n", out.String())
	require.Less(t, time.Since(began), eventMax/2)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestSessionLimit(t *testing.T) {
	h := newHost(t)
	id := h.start(h.spec(h.sandbox(), "app", "exec sleep 1000"))
	ctx, cancel := context.WithCancel(h.ctx())
	defer cancel()
	results := make(chan error, runtime.SessionsMax)
	for range runtime.SessionsMax {
		go func() {
			for { // again, as the exec below may have taken its place
				_, err := h.client.Attach(ctx, id, runtime.Streams{Stdout: &bytes.Buffer{}})
				if ctx.Err() != nil || err == nil || !strings.Contains(err.Error(), "the most") {
					results <- err
					return
				}
			}
		}()
	}
	require.Eventually(t, func() bool {
		_, err := h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"true"}}, runtime.Streams{})
		return err != nil && strings.Contains(err.Error(), "the most")
	}, eventMax, 5*time.Millisecond)
	cancel()
	for range runtime.SessionsMax {
		require.Error(t, <-results)
	}
	require.Eventually(t, func() bool {
		_, err := h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"true"}}, runtime.Streams{})
		return err == nil
	}, eventMax, 5*time.Millisecond)
}

// TestManyMounts: the order of mounts is kept, defaults give way, and nothing of a
// run stays mounted on the host, whether it could start or not.
func TestManyMounts(t *testing.T) {
	h := newHost(t)
	volume := t.TempDir()
	for _, sub := range []string{"a", "b"} {
		require.NoError(t, os.Mkdir(filepath.Join(volume, sub), 0o755))
	}
	pod := h.sandbox()
	spec := h.spec(pod, "app", "mount | grep -c ' /dev/shm '; touch /m/inner/x; ls /m")
	spec.Mounts = []runtime.Mount{
		{Source: volume, SubPath: "a", Target: "/m"},
		{Source: volume, SubPath: "b", Target: "/m/inner", Propagation: runtime.PropagationHostToContainer},
		{Kind: runtime.MountTmpfs, Target: "/dev/shm"},
	}
	e, log := h.run(spec)
	require.Zero(t, e.Code, log)
	require.Contains(t, log, "F 1\n")
	require.Contains(t, log, "F inner\n")
	require.FileExists(t, filepath.Join(volume, "b/x"))
	spec.ID.Run, spec.Args = 1, []string{"no-such-command"}
	_, err := h.client.StartContainer(h.ctx(), spec)
	require.Error(t, err)
	for _, left := range residue(t).Picture(t) {
		require.NotContains(t, left, "held")
	}
	require.DirExists(t, filepath.Join(volume, "a"))
}

// TestShimEnds: a runtime that cannot work here says why, and the pod's place is free.
func TestShimEnds(t *testing.T) {
	h := newHost(t)
	for script, want := range map[string]string{
		"echo there are no groups here >&2; exit 1": "there are no groups here",
		"kill -9 $$": "said nothing",
		"echo ''; head -c 9000 /dev/zero | tr '\\0' x; echo; echo the last words": "xxx; the last words",
	} {
		binary := filepath.Join(t.TempDir(), "seatrial-runtime")
		require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		config := h.config
		config.Binary, config.StateDir = binary, t.TempDir()
		c, err := runtime.Open(config)
		require.NoError(t, err)
		_, err = c.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: "x"})
		require.ErrorContains(t, err, "the shim of pod x ended at once")
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 1200)
		list, err := c.List(h.ctx())
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoError(t, c.Purge(h.ctx()))
		c.Close()
	}
}

// TestNoGroups: a host whose control groups cannot be written to, or are not there, says
// so for each pod.
func TestNoGroups(t *testing.T) {
	h := newHost(t)
	for _, cover := range []string{
		"mount -t tmpfs none /sys/fs/cgroup",
		"for m in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do mount -o remount,bind,ro $m; done",
	} {
		binary := filepath.Join(t.TempDir(), "seatrial-runtime")
		script := "#!/bin/sh\nexec unshare -m sh -c '" + cover + "; exec \"$@\"' sh " + h.config.Binary + " \"$@\"\n"
		require.NoError(t, os.WriteFile(binary, []byte(strings.ReplaceAll(script, "'$3 ~ /^cgroup/ {print $2}'", `"\$3 ~ /^cgroup/ {print \$2}"`)), 0o755))
		config := h.config
		config.Binary, config.StateDir = binary, t.TempDir()
		c, err := runtime.Open(config)
		require.NoError(t, err)
		_, err = c.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: "x"})
		require.Error(t, err)
		t.Logf("%s: %v", cover, err)
		require.Regexp(t, "cgroup|control group|read-only", err.Error())
		require.NotContains(t, err.Error(), "connection reset")
		require.NoError(t, c.Purge(h.ctx()))
		c.Close()
	}
}
