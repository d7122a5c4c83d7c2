package runtime_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime"
)

func TestStartLogsExit(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	spec := h.spec(pod, "app", `echo "hello $WHO"; echo oops >&2; printf part; exit 3`)
	spec.Env = []string{"WHO=world"}
	e, log := h.run(spec)
	require.Equal(t, 3, e.Code)
	require.Zero(t, e.Signal)
	require.False(t, e.OOMKilled)
	require.False(t, e.Finished.Before(e.Started))
	require.Contains(t, log, "stdout F hello world\n")
	require.Contains(t, log, "stderr F oops\n")
	require.Contains(t, log, "stdout P part\n")

	got, err := h.client.Get(h.ctx(), pod)
	require.NoError(t, err)
	require.Len(t, got.Containers, 1)
	require.Equal(t, e, *got.Containers[0].Exit)
	_, err = h.client.StartContainer(h.ctx(), spec)
	require.Equal(t, runtime.KindExists, runtime.KindOf(err))
	require.NoError(t, h.client.Remove(h.ctx(), spec.ID))
	got, err = h.client.Get(h.ctx(), pod)
	require.NoError(t, err)
	require.Empty(t, got.Containers)
}

func TestSignalDeath(t *testing.T) {
	h := newHost(t)
	id := h.start(h.spec(h.sandbox(), "app", "exec sleep 1000"))
	h.kill(id, syscall.SIGKILL, 0)
	e := h.wait(id)
	require.Equal(t, 137, e.Code)
	require.Equal(t, 9, e.Signal)
	require.False(t, e.OOMKilled)
}

func TestOOMKilled(t *testing.T) {
	h := newHost(t)
	spec := h.spec(h.sandbox(), "app", "tail /dev/zero")
	spec.Resources.MemoryBytes = 8 << 20
	e, _ := h.run(spec)
	require.Equal(t, 137, e.Code)
	require.True(t, e.OOMKilled)
}

func TestLimits(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox(func(s *runtime.SandboxSpec) {
		s.QoSResources = runtime.Resources{CPUShares: 1000, PIDs: 400}
		s.Resources = runtime.Resources{CPUShares: 512, CPUQuotaMicros: 50_000, MemoryBytes: 256 << 20, PIDs: 40}
	})
	spec := h.spec(pod, "app", `i=0; while [ $i -lt 30 ]; do sleep 1000 & i=$((i+1)); done; echo all; wait`)
	spec.Resources = runtime.Resources{PIDs: 10, MemoryBytes: 64 << 20, CPUShares: 100, CPUQuotaMicros: 20_000}
	e, log := h.run(spec)
	require.NotZero(t, e.Code, "fork must fail")
	require.Contains(t, log, "fork")

	spec = h.spec(pod, "busy", "while :; do :; done")
	spec.Resources = runtime.Resources{CPUQuotaMicros: 10_000}
	id := h.start(spec)
	require.Eventually(t, func() bool {
		list, err := h.client.Stats(h.ctx(), pod)
		require.NoError(t, err)
		require.Len(t, list, 2)
		require.Empty(t, list[0].Name)
		return list[1].Name == "busy" && list[1].CPUNanos > 0 && list[1].ThrottledNanos > 0 && list[1].MemoryBytes > 0 && list[1].PIDs == 1
	}, eventMax, 10*time.Millisecond)
	require.NoError(t, h.client.Update(h.ctx(), id, runtime.Resources{CPUQuotaMicros: 20_000, MemoryBytes: 32 << 20}))
	spec = h.spec(pod, "looks", "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us || cat memory.max cpu.max cpu.weight; test -d cpu && cd cpu; mkdir x || true")
	spec.Resources = runtime.Resources{MemoryBytes: 48 << 20, CPUShares: 200, CPUQuotaMicros: 30_000}
	_, log = h.run(spec)
	for _, want := range []string{"50331648", "30000", "Read-only"} {
		require.Contains(t, log, want)
	}
	require.NoError(t, h.client.UpdateSandbox(h.ctx(), pod, runtime.Resources{CPUShares: 256, MemoryBytes: 128 << 20}))
}

func TestCannotStart(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	spec := h.spec(pod, "app", "")
	for _, args := range [][]string{{"no-such-command"}, {"/no/such/file"}, {"/etc/passwd"}, nil} {
		spec.Args = args
		_, err := h.client.StartContainer(h.ctx(), spec)
		require.Equal(t, runtime.KindStart, runtime.KindOf(err), "%v: %v", args, err)
		t.Log(err)
	}
	spec.Args = []string{"true"}
	require.Zero(t, h.wait(h.start(spec)).Code, "the name must be free again")
}

func TestExec(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	spec := h.spec(pod, "app", "exec sleep 1000")
	spec.Env = []string{"A=1", "B=1"}
	id := h.start(spec)

	var out, problem bytes.Buffer
	code, err := h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"sh", "-c", "cat; echo $A$B; echo bad >&2; exit 42"}, Env: []string{"B=2"}},
		runtime.Streams{Stdin: strings.NewReader("from outside\n"), Stdout: &out, Stderr: &problem})
	require.NoError(t, err)
	require.Equal(t, 42, code)
	require.Equal(t, "from outside\n12\n", out.String())
	require.Equal(t, "bad\n", problem.String())

	big := strings.Repeat("x", 3<<20)
	out.Reset()
	code, err = h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"cat"}}, runtime.Streams{Stdin: strings.NewReader(big), Stdout: &out})
	require.NoError(t, err)
	require.Zero(t, code)
	require.Equal(t, len(big), out.Len())

	_, err = h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"no-such-command"}}, runtime.Streams{})
	require.Equal(t, runtime.KindStart, runtime.KindOf(err), "%v", err)

	ctx, cancel := context.WithTimeout(h.ctx(), 50*time.Millisecond)
	defer cancel()
	_, err = h.client.Exec(ctx, runtime.ExecSpec{ID: id, Args: []string{"sh", "-c", "sleep 1001; true"}}, runtime.Streams{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Eventually(t, func() bool {
		_, ps := h.exec(id, "ps")
		return !strings.Contains(ps, "sleep 1001")
	}, eventMax, 10*time.Millisecond, "a probe that took too long must not stay")

	h.kill(id, syscall.SIGKILL, 0)
	h.wait(id)
	_, err = h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"true"}}, runtime.Streams{})
	require.Equal(t, runtime.KindGone, runtime.KindOf(err), "%v", err)
}

func TestTTY(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	spec := h.spec(pod, "app", `tty; read line; echo "got $line"; stty size; exit 5`)
	spec.TTY, spec.Stdin = true, true
	id := h.start(spec)
	h.until(spec, "/dev/pts/0")

	sizes := make(chan runtime.Size, 1)
	var out bytes.Buffer
	script := `stty size; while [ "$(stty size)" = "30 100" ]; do sleep 0.01; done; stty size; exit 6`
	code, err := h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"sh", "-c", script}, TTY: true, Width: 100, Height: 30},
		runtime.Streams{Stdout: resizer{&out, sizes}, Resize: sizes})
	require.NoError(t, err)
	require.Equal(t, 6, code)
	require.Equal(t, "30 100\r\n40 120\r\n", out.String())

	out.Reset()
	code, err = h.client.Attach(h.ctx(), id, runtime.Streams{Stdin: strings.NewReader("typed\n"), Stdout: &out})
	require.NoError(t, err)
	require.Equal(t, 5, code)
	require.Contains(t, out.String(), "got typed")
	require.Equal(t, 5, h.wait(id).Code)
	require.Contains(t, h.log(spec), "stdout F got typed\r\n")
}

// resizer changes the size of the terminal when it sees the first output.
type resizer struct {
	out   *bytes.Buffer
	sizes chan runtime.Size
}

func (r resizer) Write(p []byte) (int, error) {
	if r.out.Len() == 0 {
		r.sizes <- runtime.Size{Width: 120, Height: 40}
	}
	return r.out.Write(p)
}

func TestAttach(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	spec := h.spec(pod, "app", `while read line; do echo "got $line"; done; echo end; exit 4`)
	spec.Stdin, spec.StdinOnce = true, true
	id := h.start(spec)
	var out bytes.Buffer
	code, err := h.client.Attach(h.ctx(), id, runtime.Streams{Stdin: strings.NewReader("one\ntwo\n"), Stdout: &out})
	require.NoError(t, err)
	require.Equal(t, 4, code)
	require.Equal(t, "got one\ngot two\nend\n", out.String())
	require.Equal(t, 4, h.wait(id).Code)
	_, err = h.client.Attach(h.ctx(), id, runtime.Streams{Stdout: &out})
	require.Equal(t, runtime.KindGone, runtime.KindOf(err))
}

func TestSharedNamespaces(t *testing.T) {
	h := newHost(t)
	netns := h.netns("shared")
	pod := h.sandbox(func(s *runtime.SandboxSpec) {
		s.Hostname, s.NetnsPath = "web-0", netns
		s.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "1000", "kernel.shm_rmid_forced": "1"}
	})
	a := h.start(h.spec(pod, "a", "echo shared > /dev/shm/x; exec httpd -f -p 8080 -h /etc"))
	b := h.start(h.spec(pod, "b", "exec sleep 1000"))
	require.Eventually(t, func() bool {
		code, out := h.exec(b, "wget -qO- http://127.0.0.1:8080/passwd")
		return code == 0 && strings.Contains(out, "web")
	}, eventMax, 20*time.Millisecond)
	_, out := h.exec(b, "hostname; cat /dev/shm/x /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced")
	require.Equal(t, "web-0\nshared\n1000\n1\n", out)
	for _, ns := range []string{"net", "ipc", "uts"} {
		_, x := h.exec(a, "readlink /proc/self/ns/"+ns)
		_, y := h.exec(b, "readlink /proc/self/ns/"+ns)
		own, err := os.Readlink("/proc/self/ns/" + ns)
		require.NoError(t, err)
		require.Equal(t, x, y, ns)
		require.NotEqual(t, own+"\n", x, ns)
	}
	_, ps := h.exec(b, "ps")
	require.NotContains(t, ps, "httpd", "processes are not shared unless asked for")
	own, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	require.NoError(t, err)
	require.NotEqual(t, "1000\n", string(own), "the host's own value")
}

func TestHostNamespaces(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox(func(s *runtime.SandboxSpec) { s.HostPID, s.HostIPC = true, true })
	spec := h.spec(pod, "app", "for ns in net pid ipc uts; do readlink /proc/self/ns/$ns; done; sleep 1002 & sleep 1003 & exec sleep 1000")
	id := h.start(spec)
	h.until(spec, "uts:")
	for _, ns := range []string{"net", "pid", "ipc", "uts"} {
		own, err := os.Readlink("/proc/self/ns/" + ns)
		require.NoError(t, err)
		require.Contains(t, h.log(spec), own)
	}
	h.kill(id, syscall.SIGTERM, time.Minute)
	require.Equal(t, 143, h.wait(id).Code)
	require.Eventually(t, func() bool {
		list, err := h.client.Stats(h.ctx(), pod)
		require.NoError(t, err)
		return list[0].PIDs == 0 // those that init has still to reap count too
	}, eventMax, 5*time.Millisecond, "what it had started must go with it")
}

func TestSharedPID(t *testing.T) {
	h := newHost(t)
	netns := h.netns("pid")
	pod := h.sandbox(func(s *runtime.SandboxSpec) { s.SharePID, s.NetnsPath = true, netns })
	a := h.start(h.spec(pod, "a", "sleep 1002 & exec sleep 1000"))
	b := h.start(h.spec(pod, "b", "exec sleep 1001"))
	_, ps := h.exec(b, "ps -o pid,args")
	require.Contains(t, ps, "sleep 1000")
	require.Contains(t, ps, "sleep 1001")
	_, out := h.exec(b, "(sh -c 'sleep 0.01 & exec true'); sleep 0.2; ps -o stat,args | grep -c '^Z'; cat /proc/1/exe | wc -c; ls /proc/1/root/ 2>&1")
	require.Contains(t, out, "0\n", "the pause process reaps")
	require.Contains(t, out, "denied", "and shows nothing of the host")
	h.kill(a, syscall.SIGTERM, 0)
	require.Equal(t, 137, h.wait(a).Code)
	_, ps = h.exec(b, "ps -o args")
	require.NotContains(t, ps, "sleep 1002")
	require.Contains(t, ps, "sleep 1001")
}

// TestTarget: a container may be among the processes of one other, and with what it has
// started it ends at the latest with that.
func TestTarget(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox(func(s *runtime.SandboxSpec) { s.NetnsPath = h.netns("target") })
	a := h.start(h.spec(pod, "a", "exec sleep 1001"))
	h.start(h.spec(pod, "b", "exec sleep 1002"))
	guest := func(name string) runtime.ContainerSpec {
		s := h.spec(pod, name, "sleep 1004 & exec sleep 1003")
		s.Target = a
		return s
	}
	g := h.start(guest("guest"))
	code, ps := h.exec(g, "ps -o pid,args; grep Seccomp: /proc/self/status; ls /proc/1/root/bin/busybox")
	require.Zero(t, code, ps)
	require.Contains(t, ps, "1 sleep 1001")
	require.Contains(t, ps, "sleep 1003")
	require.Contains(t, ps, "Seccomp:\t2")
	require.NotContains(t, ps, "sleep 1002")
	h.kill(g, syscall.SIGTERM, time.Minute)
	require.Equal(t, 143, h.wait(g).Code)
	_, ps = h.exec(a, "ps -o args")
	require.Contains(t, ps, "sleep 1001")
	require.NotContains(t, ps, "sleep 1004")

	g = h.start(guest("other"))
	h.kill(a, syscall.SIGKILL, 0)
	require.Equal(t, 137, h.wait(g).Code)
	h.wait(a)
	_, err := h.client.StartContainer(h.ctx(), guest("late"))
	require.Equal(t, runtime.KindGone, runtime.KindOf(err))
	require.ErrorContains(t, err, "does not run")
	own := guest("self")
	own.Target = own.ID
	_, err = h.client.StartContainer(h.ctx(), own)
	require.Equal(t, runtime.KindInvalid, runtime.KindOf(err))
}

func TestReadonlyRootAndMounts(t *testing.T) {
	h := newHost(t)
	volume := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(volume, "x"), []byte("from the volume\n"), 0o644))
	spec := h.spec(h.sandbox(), "app", `touch /etc/new || echo root-ro; cat /data/x; touch /data/y || echo data-ro; touch /rw/y && echo rw-ok; touch /cache/z && echo tmp-ok; cat /one; df -k /cache | tail -1`)
	spec.ReadonlyRootfs = true
	spec.Mounts = []runtime.Mount{
		{Source: volume, Target: "/data", ReadOnly: true},
		{Source: volume, SubPath: "made/here", Target: "/rw"},
		{Source: volume, SubPath: "x", Target: "/one"},
		{Kind: runtime.MountTmpfs, Target: "/cache", SizeBytes: 1 << 20},
	}
	e, log := h.run(spec)
	require.Zero(t, e.Code, log)
	for _, want := range []string{"root-ro", "from the volume", "data-ro", "rw-ok", "tmp-ok", "1024"} {
		require.Contains(t, log, want)
	}
	require.FileExists(t, filepath.Join(volume, "made/here/y"))
	require.NoFileExists(t, filepath.Join(h.rootfs, "etc/new"))
}

func TestIdentity(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	show := `id -u; id -g; id -G; grep -E "Cap(Eff|Bnd)|NoNewPrivs" /proc/self/status; cat /proc/self/oom_score_adj; pwd; echo to-stdout > /dev/stdout`
	spec := h.spec(pod, "app", show)
	spec.UID, spec.GID, spec.Groups = 1000, 1001, []uint32{1002, 2000}
	spec.Capabilities = runtime.Capabilities([]string{"NET_ADMIN"}, []string{"ALL"})
	spec.NoNewPrivileges, spec.OOMScoreAdj, spec.Cwd = true, 900, "/made/cwd"
	e, log := h.run(spec)
	require.Zero(t, e.Code, log)
	for _, want := range []string{"F 1000\n", "F 1001\n", "F 1001 1002 2000\n", "CapEff:\t0000000000000000", "CapBnd:\t0000000000001000", "NoNewPrivs:\t1", "F 900\n", "F /made/cwd\n", "to-stdout"} {
		require.Contains(t, log, want)
	}

	spec = h.spec(pod, "root", show+"; mount -t tmpfs x /tmp || echo no-mount; cat /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/panic || echo no-sysctl; ls /dev | grep -c vd; mknod /tmp/vda b 254 0 && cat /tmp/vda | wc -c")
	spec.OOMScoreAdj = -998
	e, log = h.run(spec)
	for _, want := range []string{"CapEff:\t00000000a80425fb", "NoNewPrivs:\t0", "no-mount", "F 0\n", "no-sysctl"} {
		require.Contains(t, log, want, "exit %d", e.Code)
	}
	require.Contains(t, log, "Operation not permitted", "a device of the host made by mknod")

	spec = h.spec(pod, "privileged", "mount -t tmpfs x /tmp && echo mounted; test -c /dev/kmsg && echo devices; grep -c . /proc/interrupts")
	spec.Privileged = true
	e, log = h.run(spec)
	require.Zero(t, e.Code, log)
	require.Contains(t, log, "mounted")
	require.Contains(t, log, "devices")
}

func TestKillGrace(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	spec := h.spec(pod, "polite", `trap "echo bye; exit 7" TERM; echo up; while :; do sleep 0.05; done`)
	id := h.start(spec)
	h.until(spec, "up")
	h.kill(id, syscall.SIGTERM, time.Minute)
	require.Equal(t, 7, h.wait(id).Code)
	require.Contains(t, h.log(spec), "bye")

	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE, syscall.SIGUSR1} {
		spec = h.spec(pod, fmt.Sprintf("trap-%d", sig), fmt.Sprintf(`trap "exit 5" %d; echo up; while :; do sleep 0.01; done`, sig))
		id = h.start(spec)
		h.until(spec, "up")
		h.kill(id, sig, time.Minute)
		require.Equal(t, 5, h.wait(id).Code, "%v must not be ignored from the start", sig)
	}

	spec = h.spec(pod, "stubborn", `trap "" TERM; echo up; while :; do sleep 0.05; done`)
	id = h.start(spec)
	h.until(spec, "up")
	began := time.Now()
	h.kill(id, syscall.SIGTERM, 200*time.Millisecond)
	require.Equal(t, 137, h.wait(id).Code)
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
	h.kill(id, syscall.SIGTERM, 0) // of what has ended: no error
}

func TestLogRotation(t *testing.T) {
	h := newHost(t)
	spec := h.spec(h.sandbox(), "app", `i=0; while [ $i -lt 2000 ]; do echo "line $i of many"; i=$((i+1)); done`)
	spec.LogBytesMax, spec.LogFiles = 20_000, 3
	e, _ := h.run(spec)
	require.Zero(t, e.Code)
	files, err := filepath.Glob(spec.LogPath + "*")
	require.NoError(t, err)
	require.Len(t, files, 3)
	require.Contains(t, h.log(spec), "line 1999 of many")
}

func TestAgentRestart(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	stays := h.start(h.spec(pod, "stays", "exec sleep 1000"))
	spec := h.spec(pod, "ends", `while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 9`)
	ends := h.start(spec)
	early := h.start(h.spec(pod, "early", "exit 8"))
	require.Equal(t, 8, h.wait(early).Code)
	h.client.Close()

	require.NoError(t, os.WriteFile(filepath.Join(h.rootfs, "tmp/go"), nil, 0o644))
	exit := filepath.Join(h.config.StateDir, "pods", pod, "runs", ends.Local(), "exit.json")
	require.Eventually(t, func() bool { _, err := os.Stat(exit); return err == nil }, eventMax, 5*time.Millisecond)

	h.open()
	require.Equal(t, 9, h.wait(ends).Code)
	require.Equal(t, 8, h.wait(early).Code, "told again, as it was not removed")
	list, err := h.client.List(h.ctx())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.True(t, list[0].Ready)
	require.Len(t, list[0].Containers, 3)
	require.Equal(t, stays, list[0].Containers[2].ID)
	require.Nil(t, list[0].Containers[2].Exit)
	code, out := h.exec(stays, "echo still here")
	require.Zero(t, code)
	require.Equal(t, "still here\n", out)
	h.kill(stays, syscall.SIGKILL, 0)
	require.Equal(t, 137, h.wait(stays).Code)
}

func TestShimDies(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	id := h.start(h.spec(pod, "app", "exec sleep 1000"))
	got, err := h.client.Get(h.ctx(), pod)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(got.ShimPID, syscall.SIGKILL))
	require.True(t, h.wait(id).Lost)
	require.True(t, h.wait(runtime.ID{Pod: pod}).Lost)
	require.Eventually(t, func() bool { return syscall.Kill(got.Containers[0].PID, 0) != nil }, eventMax, 5*time.Millisecond, "nobody would ever see it end")
	h.client.Close()
	h.open()
	require.True(t, h.wait(id).Lost)
	got, err = h.client.Get(h.ctx(), pod)
	require.NoError(t, err)
	require.False(t, got.Ready)
	require.NoError(t, h.client.StopSandbox(h.ctx(), pod))
	require.NoError(t, h.client.StopSandbox(h.ctx(), pod), "a second time")
	_, err = h.client.Get(h.ctx(), pod)
	require.Equal(t, runtime.KindGone, runtime.KindOf(err))
}

func TestPauseDies(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	got, err := h.client.Get(h.ctx(), pod)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(got.PausePID, syscall.SIGKILL))
	require.True(t, h.wait(runtime.ID{Pod: pod}).Lost)
	_, err = h.client.StartContainer(h.ctx(), h.spec(pod, "app", "true"))
	require.Equal(t, runtime.KindGone, runtime.KindOf(err))
}

func TestSweep(t *testing.T) {
	h := newHost(t)
	keep, lost := h.sandbox(), h.sandbox(func(s *runtime.SandboxSpec) { s.SharePID = true; s.NetnsPath = h.netns("sweep") })
	h.start(h.spec(keep, "app", "exec sleep 1000"))
	h.start(h.spec(lost, "app", "sleep 1001 & exec sleep 1000"))
	got, err := h.client.Get(h.ctx(), lost)
	require.NoError(t, err)
	h.client.Close()
	require.NoError(t, syscall.Kill(got.ShimPID, syscall.SIGKILL))
	require.NoError(t, os.Remove(filepath.Join(h.config.StateDir, "pods", lost, "sandbox.json")))
	stray := filepath.Join(h.config.StateDir, "pods", "stray")
	require.NoError(t, os.MkdirAll(filepath.Join(stray, "shm"), 0o700))
	require.NoError(t, syscall.Mount("stray", filepath.Join(stray, "shm"), "tmpfs", 0, ""))

	h.open()
	n, err := h.client.Sweep(h.ctx())
	require.NoError(t, err)
	require.Equal(t, 2, n.Pods)
	list, err := h.client.List(h.ctx())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, keep, list[0].Spec.Pod)
	require.Nil(t, list[0].Containers[0].Exit)
	for _, left := range residue(t).Picture(t) {
		require.NotContains(t, left, lost)
		require.NotContains(t, left, "stray")
	}
	require.Eventually(t, func() bool { return syscall.Kill(got.Containers[0].PID, 0) != nil }, eventMax, 5*time.Millisecond)
	n, err = h.client.Sweep(h.ctx())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestEscapes(t *testing.T) {
	h := newHost(t)
	pod := h.sandbox()
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.Mkdir(secret, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(secret, "key"), []byte("the host's\n"), 0o600))
	volume := t.TempDir()
	require.NoError(t, os.Symlink(secret, filepath.Join(volume, "out")))
	require.NoError(t, os.Symlink(strings.Repeat("../", 20)+secret, filepath.Join(volume, "up")))
	require.NoError(t, os.Symlink(secret, filepath.Join(h.rootfs, "link")))
	require.NoError(t, os.Symlink("/etc", filepath.Join(h.rootfs, "inner")))

	for name, edit := range map[string]func(*runtime.ContainerSpec){
		"name":           func(s *runtime.ContainerSpec) { s.ID.Name = "../x" },
		"pod":            func(s *runtime.ContainerSpec) { s.ID.Pod = "../" + pod },
		"run":            func(s *runtime.ContainerSpec) { s.ID.Run = -1 },
		"cwd":            func(s *runtime.ContainerSpec) { s.Cwd = "/../../etc" },
		"target":         func(s *runtime.ContainerSpec) { s.Mounts = []runtime.Mount{{Source: volume, Target: "/a/../../x"}} },
		"target is root": func(s *runtime.ContainerSpec) { s.Mounts = []runtime.Mount{{Source: volume, Target: "//"}} },
		"sub path up": func(s *runtime.ContainerSpec) {
			s.Mounts = []runtime.Mount{{Source: volume, SubPath: "../x", Target: "/x"}}
		},
		"sub path link": func(s *runtime.ContainerSpec) {
			s.Mounts = []runtime.Mount{{Source: volume, SubPath: "out", Target: "/x"}}
		},
		"sub path through link": func(s *runtime.ContainerSpec) {
			s.Mounts = []runtime.Mount{{Source: volume, SubPath: "up/key", Target: "/x"}}
		},
		"over proc": func(s *runtime.ContainerSpec) { s.Mounts = []runtime.Mount{{Source: volume, Target: "/proc/self"}} },
		"propagation": func(s *runtime.ContainerSpec) {
			s.Mounts = []runtime.Mount{{Source: volume, Target: "/x", Propagation: "Bidirectional"}}
		},
		"zero byte":  func(s *runtime.ContainerSpec) { s.Args = []string{"a\x00b"} },
		"env":        func(s *runtime.ContainerSpec) { s.Env = []string{"NOVALUE"} },
		"capability": func(s *runtime.ContainerSpec) { s.Capabilities = []string{"CAP_NONSENSE"} },
		"log":        func(s *runtime.ContainerSpec) { s.LogPath = "/dev/null" },
	} {
		spec := h.spec(pod, "bad", "cat /x/key /x; sleep 1000")
		edit(&spec)
		_, err := h.client.StartContainer(h.ctx(), spec)
		require.Error(t, err, name)
		t.Logf("%s: %v", name, err)
	}
	for _, id := range []string{"", "..", "a/b", "../x", strings.Repeat("a", 64)} {
		_, err := h.client.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: id})
		require.Equal(t, runtime.KindInvalid, runtime.KindOf(err), id)
		require.Error(t, h.client.StopSandbox(h.ctx(), id), id)
	}
	for _, name := range []string{"kernel.panic", "net.ipv4.ip_forward", "net/../kernel/panic", "vm.swappiness"} {
		_, err := h.client.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: "x", Sysctls: map[string]string{name: "1"}})
		require.Equal(t, runtime.KindInvalid, runtime.KindOf(err), name)
	}

	// A link in the image does not lead a mount out of it.
	spec := h.spec(pod, "link", "cat /link/key; ls /inner/mounted; true")
	spec.Mounts = []runtime.Mount{{Source: volume, Target: "/link/sub"}, {Source: volume, Target: "/inner/mounted"}}
	_, log := h.run(spec)
	require.NotContains(t, log, "the host's")
	entries, err := os.ReadDir(secret)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing may be made on the host")
}

func TestConcurrentPods(t *testing.T) {
	h := newHost(t)
	const pods, containers = 6, 3
	errs := make(chan error)
	for i := range pods {
		go func() {
			pod := fmt.Sprintf("many-%d", i)
			_, err := h.client.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: pod})
			for j := range containers {
				if err == nil {
					_, err = h.client.StartContainer(h.ctx(), h.spec(pod, fmt.Sprintf("c-%d", j), fmt.Sprintf("exit %d", 10*i+j)))
				}
			}
			errs <- err
		}()
	}
	for range pods {
		require.NoError(t, <-errs)
	}
	for i := range pods {
		for j := range containers {
			require.Equal(t, 10*i+j, h.wait(runtime.ID{Pod: fmt.Sprintf("many-%d", i), Name: fmt.Sprintf("c-%d", j)}).Code)
		}
	}
}

// Pods of one class that start at once, each with what the class has by then.
func TestClassAtOnce(t *testing.T) {
	h := newHost(t)
	const pods = 16
	errs := make(chan error)
	for i := range pods {
		go func() {
			_, err := h.client.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: fmt.Sprintf("class-%d", i), QoS: "burstable",
				QoSResources: runtime.Resources{CPUShares: uint64(100 + i)}})
			errs <- err
		}()
	}
	for range pods {
		require.NoError(t, <-errs)
	}
}
