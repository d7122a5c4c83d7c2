//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/live/agent/probe"
	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// eventMax is how long a test waits for what must come.
const eventMax = 20 * time.Second

// TestMain builds the program. Only one may be a main process at a time, as these
// processes share a mount namespace: no test runs beside another.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "seatrial-standin-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "standin")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var program string

// output is read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// child is a main process.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
	env []string
	out *output
}

func start(t *testing.T, b behaviour.Behaviour) *child {
	b.Image = "test"
	text, err := b.Text()
	require.NoError(t, err)
	c := &child{t: t, cmd: exec.Command(program, "any", "arguments"), env: []string{behaviour.Variable + "=" + text}, out: &output{}}
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr = c.env, c.out, c.out
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			c.cmd.Process.Kill()
			c.cmd.Wait()
		}
	})
	c.until(func() bool { _, err := c.exec("hook"); return err == nil || exitCode(err) == 1 })
	return c
}

// until waits for a state that must come.
func (c *child) until(ok func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), eventMax)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			require.FailNow(c.t, "it did not come", c.out)
		}
	}
}

// exec runs the program as a probe or a hook does. Nobody is asked where there is no main
// process, as the variable is not there.
func (c *child) exec(args ...string) (string, error) {
	cmd := &exec.Cmd{Path: program, Args: args, Env: c.env}
	if !c.open() {
		return "", errors.New("no main process")
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *child) open() bool {
	name, err := doorName()
	require.NoError(c.t, err)
	d, err := net.Dial("unix", name)
	if err == nil {
		d.Close()
	}
	return err == nil
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// target is the process as the agent's probes see it.
func (c *child) target() probe.Target {
	return probe.Target{IP: "127.0.0.1", Container: &corev1.Container{}, Exec: func(_ context.Context, command []string, w io.Writer) (int, error) {
		out, err := c.exec(command...)
		io.WriteString(w, out)
		if code := exitCode(err); err != nil && code >= 0 {
			return code, nil
		}
		return 0, err
	}}
}

func (c *child) probe(h corev1.ProbeHandler) bool {
	ctx, cancel := context.WithTimeout(c.t.Context(), eventMax)
	defer cancel()
	ok, _ := probe.Run(ctx, &h, c.target())
	return ok
}

func freePort(t *testing.T) int32 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// TestProbes asks by each kind of probe, before it is ready and after.
func TestProbes(t *testing.T) {
	plain, secure, probed := freePort(t), freePort(t), freePort(t)
	c := start(t, behaviour.Behaviour{
		Startup: behaviour.Duration(100 * time.Millisecond), ReadyAfter: behaviour.Duration(2 * time.Second), StopAfter: behaviour.Duration(time.Millisecond),
		Ports: []behaviour.Port{{Number: plain}, {Number: secure, TLS: true}, {Number: probed, Probed: true}},
		Hooks: []string{behaviour.ExecAsk([]string{"hook"})}, Liveness: []string{behaviour.HTTPAsk("/alive")},
	})
	get := func(port int32, path string, s corev1.URIScheme) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port), Scheme: s}}
	}
	probes := map[string]corev1.ProbeHandler{
		"http":  get(plain, "/", corev1.URISchemeHTTP),
		"https": get(secure, "/", corev1.URISchemeHTTPS),
		"tcp":   {TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(probed)}},
		"grpc":  {GRPC: &corev1.GRPCAction{Port: plain}},
		"exec":  {Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "test"}}},
	}
	for name, h := range probes {
		require.False(t, c.probe(h), name)
	}
	c.until(func() bool { return c.probe(get(plain, "/alive", corev1.URISchemeHTTP)) })
	_, err := c.exec("hook")
	require.NoError(t, err)
	require.NotContains(t, c.out.String(), "exited")
	for name, h := range probes {
		c.until(func() bool { return c.probe(h) })
		t.Log(name)
	}
	host, err := os.Hostname()
	require.NoError(t, err)
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", plain))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	require.Equal(t, host+"\n", string(body))

	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.cmd.Wait(), c.out)
	require.Equal(t, "started\nexited with code 0\n", c.out.String())
}

// TestEnd is a process that ends by itself, and what it writes.
func TestEnd(t *testing.T) {
	c := start(t, behaviour.Behaviour{Startup: behaviour.Duration(time.Second), RunFor: behaviour.Duration(300 * time.Millisecond), ExitCode: 7, Logs: []behaviour.Log{
		{Line: "begin {n}"}, {At: behaviour.Duration(50 * time.Millisecond), Every: behaviour.Duration(20 * time.Millisecond), Line: "line {n}"}}})
	require.Equal(t, 7, exitCode(c.cmd.Wait()), c.out)
	got := strings.Split(c.out.String(), "\n")
	require.Greater(t, len(got), 3)
	require.Equal(t, []string{"begin 0", "line 0", "line 1"}, got[:3])
}

// TestStop is stopped before it has started up.
func TestStop(t *testing.T) {
	c := start(t, behaviour.Behaviour{Startup: behaviour.Duration(time.Hour), StopAfter: behaviour.Duration(time.Millisecond)})
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.cmd.Wait())
}

// TestMemory reads how much of it the process has.
func TestMemory(t *testing.T) {
	c := start(t, behaviour.Behaviour{MemoryStart: 48 << 20, MemoryGrowth: 60 * 16 << 20})
	size := func() (pages int64) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.cmd.Process.Pid))
		require.NoError(t, err)
		_, err = fmt.Sscan(string(raw), new(int64), &pages)
		require.NoError(t, err)
		return pages * int64(os.Getpagesize())
	}
	c.until(func() bool { return size() >= 47<<20 })
	c.until(func() bool { return size() >= 60<<20 })
}

func TestWanted(t *testing.T) {
	require.EqualValues(t, 10, wanted(10, 0, time.Hour))
	require.EqualValues(t, 10+90, wanted(10, 60, 90*time.Second))
}

// TestBadBehaviour says what is wrong, and ends.
func TestBadBehaviour(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "EOF",
		"{":                        "EOF",
		`{"startup":"-1s"}`:        `duration "-1s": want one such as 300ms or 1m30s`,
		`{"ports":[{"number":0}]}`: "port 0: want 1 to 65535",
		`{"exitCode":256}`:         "exitCode 256: want 0 to 255",
		`{"unknown":1}`:            `unknown field "unknown"`,
	} {
		cmd := exec.Command(program)
		cmd.Env = []string{behaviour.Variable + "=" + text}
		out, err := cmd.CombinedOutput()
		require.Equal(t, wrong, exitCode(err), text)
		require.Contains(t, string(out), want)
	}
}

// TestProblem goes through a life of an hour.
func TestProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		minutes := func(n int) behaviour.Duration { return behaviour.Duration(time.Duration(n) * time.Minute) }
		p, err := newProcess(&behaviour.Behaviour{Startup: minutes(1), ReadyAfter: minutes(10), UnhealthyAfter: minutes(30),
			Hooks: []string{"EXEC a\nb"}, Liveness: []string{"GET /alive"}}, time.Now())
		require.NoError(t, err)
		ask := func() string {
			return strings.Join([]string{p.problem("EXEC a b"), p.problem("GET /alive"), p.problem("GET /")}, "|")
		}
		require.Equal(t, "||not ready yet", ask())
		<-time.After(11*time.Minute - 1)
		require.Equal(t, "||not ready yet", ask())
		<-time.After(1)
		require.Equal(t, "||", ask())
		<-time.After(20 * time.Minute)
		require.Equal(t, "|unhealthy|unhealthy", ask())
	})
}
