package stream_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
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
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth/audit"
	"seatrial.dev/seatrial/live/agent/stream"
	"seatrial.dev/seatrial/live/runtime"
)

// kubectl is the real one against a front, a relay, an endpoint and containers.
type kubectl struct {
	t          testing.TB
	path, url  string
	home       string
	upgrades   atomic.Int64 // requests of the user's that were WebSockets
	switched   atomic.Int64 // requests in the audit log that became streams
	containers *containers
}

// the pod web has a server that listens on localhost alone and has restarted once; the
// pod talk has a container that answers what it is told.
func newKubectl(t testing.TB) *kubectl {
	h := newContainers(t)
	path, err := exec.LookPath("../../../bin/kubectl")
	if err != nil {
		path, err = exec.LookPath("kubectl")
	}
	require.NoError(t, err, "build one by: make kubectl")
	path, err = filepath.Abs(path)
	require.NoError(t, err)
	k := &kubectl{t: t, path: path, home: t.TempDir(), containers: h}

	ca, pods := newAuthority(t, "cluster"), &places{}
	netns := h.sandbox("uid-web")
	first := h.run(runtime.ContainerSpec{ID: runtime.ID{Pod: "uid-web", Name: "web"}}, "echo from the first run")
	second := h.run(runtime.ContainerSpec{ID: runtime.ID{Pod: "uid-web", Name: "web", Run: 1}},
		"echo one; echo two; httpd -f -p 127.0.0.1:8080 -h /www & while ! wget -qO /dev/null http://127.0.0.1:8080/index.html 2>/dev/null; do :; done; echo three; wait")
	at := stream.Place{UID: "uid-web", Netns: netns, Run: second.ID, Log: second.LogPath, PreviousLog: first.LogPath}
	pods.put("web", "web", at)
	pods.put("web", "", stream.Place{UID: at.UID, Netns: netns})
	talk := h.sandbox("uid-talk")
	echo := h.run(runtime.ContainerSpec{ID: runtime.ID{Pod: "uid-talk", Name: "echo"}, Stdin: true},
		`echo ready; while read line; do echo "heard $line"; [ "$line" = bye ] && exit 4; done`)
	pods.put("talk", "echo", stream.Place{UID: "uid-talk", Netns: talk, Run: echo.ID, Log: echo.LogPath})
	pods.put("talk", "other", stream.Place{UID: "uid-talk", Netns: talk, Run: runtime.ID{Pod: "uid-talk", Name: "other"}})

	term := h.run(runtime.ContainerSpec{ID: runtime.ID{Pod: "uid-talk", Name: "term"}, Stdin: true, TTY: true}, "read line; echo got $line; exit 5")
	counts := h.run(runtime.ContainerSpec{ID: runtime.ID{Pod: "uid-talk", Name: "counts"}, Stdin: true, LogBytesMax: 2000, LogFiles: 3},
		`i=0; while read line; do n=0; while [ $n -lt $line ]; do i=$((i+1)); n=$((n+1)); echo "line $i"; done; done`)
	pods.put("talk", "counts", stream.Place{UID: "uid-talk", Netns: talk, Run: counts.ID, Log: counts.LogPath})
	pods.put("talk", "term", stream.Place{UID: "uid-talk", Netns: talk, Run: term.ID, Log: term.LogPath})

	c, url := newControl(t, ca, endpoint(t, ca, pods, h.client), apiserver.Config{Authenticate: func(r *http.Request) (apiserver.Caller, error) {
		if r.Header.Get("Upgrade") == "websocket" {
			k.upgrades.Add(1)
		}
		return apiserver.Caller{}, nil
	}, Audit: func(r *audit.Record) {
		if r.Code == http.StatusSwitchingProtocols {
			k.switched.Add(1)
		}
	}})
	c.pod(t, "web", corev1.Container{Name: "web", Ports: []corev1.ContainerPort{{ContainerPort: 8080}}})
	c.pod(t, "talk", corev1.Container{Name: "echo", Stdin: true}, corev1.Container{Name: "other"}, corev1.Container{Name: "term", Stdin: true, TTY: true}, corev1.Container{Name: "counts", Stdin: true})
	k.url = url
	require.Eventually(t, func() bool {
		data, _ := os.ReadFile(second.LogPath)
		return strings.Contains(string(data), "three")
	}, eventMax, 10*time.Millisecond)
	return k
}

func (k *kubectl) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), eventMax)
	k.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, k.path, append([]string{"--server", k.url, "--insecure-skip-tls-verify", "--token", "secret", "--cache-dir", k.home}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG=/dev/null", "HOME="+k.home, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true")
	return cmd
}

// run gives what kubectl says, errors included, and its exit code.
func (k *kubectl) run(in string, env []string, args ...string) (string, int) {
	k.t.Helper()
	cmd := k.command(args...)
	cmd.Stdin, cmd.Env = strings.NewReader(in), append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		require.NoError(k.t, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

var spdyOnly = []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false"}

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)`)

func TestKubectl(t *testing.T) {
	k := newKubectl(t)
	long := strings.Repeat("0123456789abcdef", 256<<10/16)
	for _, step := range []struct {
		args, in, want string
		code           int
	}{
		{"exec web -- echo hello", "", "hello\n", 0},
		{"exec web -- sh -c exit\t42", "", "command terminated with exit code 42\n", 42},
		{"exec web -- sh -c echo\tto\tstderr>&2;exit\t7", "", "to stderr\ncommand terminated with exit code 7\n", 7},
		{"exec -i web -- cat", "piped\n", "piped\n", 0},
		{"exec -i web -- wc -c", long, "262144\n", 0},
		{"exec -i web -- head -c 3", long, "012", 0},
		{"exec -i web -- cat", long, long, 0},
		{"exec web -- no-such-program", "", "no-such-program", 1},
		{"exec web -c none -- true", "", "container none is not valid for pod web", 1},
		{"exec none -- true", "", `pods "none" not found`, 1},
		{"exec talk -c other -- true", "", `container not found ("other")`, 1},
		{"exec web -- tail -1 /proc/net/tcp", "", "", 0},
	} {
		args := strings.Split(step.args, " ")
		for i := range args { // a tab is a space within an argument
			args[i] = strings.ReplaceAll(args[i], "\t", " ")
		}
		for name, env := range map[string][]string{"websocket": nil, "spdy": spdyOnly} {
			before, switched := k.upgrades.Load(), k.switched.Load()
			out, code := k.run(step.in, env, args...)
			require.Equal(t, step.code, code, "%s: kubectl %s: %.500s", name, step.args, out)
			require.True(t, strings.Contains(out, step.want), "%s: kubectl %s: %.500s", name, step.args, out)
			if code != 1 { // else it may not have come to that
				require.Equal(t, name == "websocket", k.upgrades.Load() > before, "%s: kubectl %s", name, step.args)
				require.Eventually(t, func() bool { return k.switched.Load() > switched }, eventMax, time.Millisecond, "%s: kubectl %s", name, step.args)
			}
		}
	}
}

func TestKubectlLogs(t *testing.T) {
	k := newKubectl(t)
	for _, step := range []struct{ args, want string }{
		{"logs web", "one\ntwo\nthree\n"},
		{"logs web --tail=1", "three\n"},
		{"logs web --timestamps --tail=1", "TIME three\n"},
		{"logs web --previous", "from the first run\n"},
		{"logs talk -c echo --previous", "Error from server (BadRequest): previous terminated container \"echo\" in pod \"talk\" not found\n"},
		{"logs web --since=1h --limit-bytes=5", "one\nt"},
		{"logs web --since-time=2100-01-01T00:00:00Z", ""},
		{"get --raw /api/v1/nodes/n1/proxy/healthz", "ok"},
		{"get --raw /api/v1/nodes/n1/proxy/containerLogs/default/web/web?tailLines=1", "three\n"},
		{"get --raw /api/v1/nodes/n1/proxy/exec/default/web/web?command=id&stdout=1",
			`Error from server (Forbidden): GET of "exec/default/web/web": of a node can be read healthz, pods and containerLogs/NAMESPACE/POD/CONTAINER` + "\n"},
		{"get --raw /api/v1/namespaces/default/pods/web:8080/proxy/index.html", "only on localhost\n"},
		{"get --raw /api/v1/namespaces/default/pods/web/proxy/", "only on localhost\n"},
	} {
		out, _ := k.run("", nil, strings.Fields(step.args)...)
		require.Equal(t, step.want, timestamp.ReplaceAllString(out, "TIME"), "kubectl %s", step.args)
	}
}

// TestKubectlRotation: a log is read over all its files that are kept, and followed from
// one into the next without a line lost or told twice.
func TestKubectlRotation(t *testing.T) {
	k := newKubectl(t)
	follow := k.command("logs", "-f", "talk", "-c", "counts")
	out, err := follow.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, follow.Start())
	lines := bufio.NewScanner(out)
	const rounds, each = 12, 30
	log := filepath.Join(k.containers.dir, "uid-talk-counts.0.log")
	attach := k.command("attach", "-i", "talk", "-c", "counts")
	in, err := attach.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, attach.Start())
	at := 0
	for range rounds {
		_, err := fmt.Fprintln(in, each)
		require.NoError(t, err)
		for range each {
			at++
			require.True(t, lines.Scan(), "the log ended: %v", lines.Err())
			require.Equal(t, fmt.Sprintf("line %d", at), lines.Text())
		}
	}
	for _, c := range []*exec.Cmd{follow, attach} {
		require.NoError(t, c.Process.Kill())
		_ = c.Wait()
	}
	for _, name := range []string{log, log + ".1", log + ".2"} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(2000), name)
	}
	require.NoFileExists(t, log+".3")

	text, _ := k.run("", nil, "logs", "talk", "-c", "counts", "--tail=60")
	want := ""
	for i := rounds*each - 59; i <= rounds*each; i++ {
		want += fmt.Sprintf("line %d\n", i)
	}
	require.Equal(t, want, text, "the newest file alone has fewer lines")
}

// TestKubectlFollow: a log is followed as it is written, and to the end of the container.
func TestKubectlFollow(t *testing.T) {
	k := newKubectl(t)
	follow := k.command("logs", "-f", "talk", "-c", "echo")
	out, err := follow.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, follow.Start())
	lines := bufio.NewScanner(out)
	next := func() string {
		require.True(t, lines.Scan(), "the log ended: %v", lines.Err())
		return lines.Text()
	}
	require.Equal(t, "ready", next())

	attach := k.command("attach", "-i", "talk", "-c", "echo")
	in, err := attach.StdinPipe()
	require.NoError(t, err)
	var said bytes.Buffer
	attach.Stdout = &said
	require.NoError(t, attach.Start())
	for _, word := range []string{"a", "b", "bye"} {
		_, err = io.WriteString(in, word+"\n")
		require.NoError(t, err)
		require.Equal(t, "heard "+word, next())
	}
	require.False(t, lines.Scan(), "after the end")
	require.NoError(t, follow.Wait())
	_ = attach.Wait()
	require.Equal(t, "heard a\nheard b\nheard bye\n", said.String())
	require.Zero(t, attach.ProcessState.ExitCode(), "how the container ended is for its status to say")
}

func TestKubectlPortForward(t *testing.T) {
	k := newKubectl(t)
	for name, env := range map[string][]string{"websocket": {"KUBECTL_PORT_FORWARD_WEBSOCKETS=true"}, "spdy": spdyOnly} {
		before := k.upgrades.Load()
		cmd := k.command("port-forward", "web", ":8080", ":9")
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		var failures bytes.Buffer
		cmd.Stderr = &failures
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		require.True(t, lines.Scan())
		var local int
		_, err = fmt.Sscanf(lines.Text(), "Forwarding from 127.0.0.1:%d -> 8080", &local)
		require.NoError(t, err, lines.Text())
		go func() {
			for lines.Scan() {
			}
		}()
		for range 20 {
			answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/index.html", local))
			require.NoError(t, err, name)
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			answer.Body.Close()
			require.Equal(t, "only on localhost\n", string(text))
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		_ = cmd.Wait()
		require.Equal(t, name == "websocket", k.upgrades.Load() > before, name)
	}
}

// TestKubectlPortForwardRefused: nobody listens in the pod.
func TestKubectlPortForwardRefused(t *testing.T) {
	k := newKubectl(t)
	cmd := k.command("port-forward", "web", ":9")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	failures, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	var local int
	_, err = fmt.Sscanf(lines.Text(), "Forwarding from 127.0.0.1:%d -> 9", &local)
	require.NoError(t, err, lines.Text())
	_, err = http.Get(fmt.Sprintf("http://127.0.0.1:%d/", local))
	require.Error(t, err)
	said := bufio.NewScanner(failures)
	for found := false; !found; found = strings.Contains(said.Text(), "connection refused") {
		require.True(t, said.Scan(), "kubectl does not say why")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestKubectlCopy(t *testing.T) {
	k := newKubectl(t)
	from := filepath.Join(t.TempDir(), "from")
	data := bytes.Repeat([]byte("some data\n"), 200_000)
	require.NoError(t, os.WriteFile(from, data, 0o600))
	out, code := k.run("", nil, "cp", from, "web:/tmp/copied")
	require.Zero(t, code, out)
	back := from + ".back"
	out, code = k.run("", nil, "cp", "web:/tmp/copied", back)
	require.Zero(t, code, out)
	got, err := os.ReadFile(back)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got), "%d bytes became %d", len(data), len(got))
}

// TestKubectlTerminal: exec -it has a terminal of the size of the user's, which follows it.
func TestKubectlTerminal(t *testing.T) {
	k := newKubectl(t)
	for name, env := range map[string][]string{"websocket": nil, "spdy": spdyOnly} {
		master, slave := terminal(t)
		require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}))
		cmd := k.command("exec", "-it", "web", "--", "sh", "-c", "echo at $(tty) $TERM; while ! stty size | grep 100; do :; done; echo grow; while ! stty size | grep 120; do :; done; read x; echo got $x; exit 3")
		cmd.Env = append(cmd.Env, env...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		require.NoError(t, cmd.Start())
		slave.Close()
		lines := bufio.NewScanner(master)
		until := func(want string) {
			for !strings.Contains(lines.Text(), want) {
				require.True(t, lines.Scan(), "%s: no %q", name, want)
			}
		}
		until("xterm")
		until("30 100")
		until("grow")
		require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}))
		until("40 120")
		_, err := master.WriteString("typed\n")
		require.NoError(t, err)
		until("got typed")
		_ = cmd.Wait()
		require.Equal(t, 3, cmd.ProcessState.ExitCode(), name)
		master.Close()
	}
}

// TestKubectlGone: a command ends with the kubectl that runs it.
func TestKubectlGone(t *testing.T) {
	k := newKubectl(t)
	for name, env := range map[string][]string{"websocket": nil, "spdy": spdyOnly} {
		cmd := k.command("exec", "web", "--", "sh", "-c", "echo $$; exec sleep 1000")
		cmd.Env = append(cmd.Env, env...)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		var pid int
		_, err = fmt.Fscan(out, &pid)
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		require.Eventually(t, func() bool {
			code, err := k.containers.client.Exec(context.Background(), runtime.ExecSpec{ID: runtime.ID{Pod: "uid-web", Name: "web", Run: 1},
				Args: []string{"kill", "-0", fmt.Sprint(pid)}}, runtime.Streams{})
			return err == nil && code != 0
		}, eventMax, 20*time.Millisecond, name)
	}
}

// BenchmarkExec is a whole kubectl exec of a command that does nothing, and one of a
// command that says much.
func BenchmarkExec(b *testing.B) {
	k := newKubectl(b)
	b.Run("true", func(b *testing.B) {
		for b.Loop() {
			if out, code := k.run("", nil, "exec", "web", "--", "true"); code != 0 {
				b.Fatal(out)
			}
		}
	})
	const bytesMax = 64 << 20
	for name, env := range map[string][]string{"websocket": nil, "spdy": spdyOnly} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(bytesMax)
			for b.Loop() {
				cmd := k.command("exec", "web", "--", "head", "-c", fmt.Sprint(bytesMax), "/dev/zero")
				cmd.Env = append(cmd.Env, env...)
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestKubectlAttachWithoutTerminal: the container has one, its user does not want it.
func TestKubectlAttachWithoutTerminal(t *testing.T) {
	k := newKubectl(t)
	cmd := k.command("attach", "-i", "talk", "-c", "term")
	cmd.Env = append(cmd.Env, spdyOnly...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.WriteString(in, "hello\n")
	require.NoError(t, err)
	lines := bufio.NewScanner(out)
	for !strings.Contains(lines.Text(), "got hello") {
		require.True(t, lines.Scan(), "no answer")
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	require.Zero(t, cmd.ProcessState.ExitCode())
}

// terminal makes a pair of ends.
func terminal(t testing.TB) (master, slave *os.File) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	return master, slave
}
