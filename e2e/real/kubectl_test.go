package real

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stream is a kubectl that goes on until it is ended; its lines come as it prints them.
type stream struct {
	t     testing.TB
	lines chan string
	stdin io.WriteCloser
	end   context.CancelFunc
}

func (c *cluster) stream(args ...string) *stream {
	ctx, end := context.WithTimeout(context.Background(), callMax)
	cmd := exec.CommandContext(ctx, built.kubectl, append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(c.t, err)
	cmd.Stderr = cmd.Stdout
	in, err := cmd.StdinPipe()
	require.NoError(c.t, err)
	require.NoError(c.t, cmd.Start())
	s := &stream{t: c.t, lines: make(chan string, 1000), stdin: in, end: end}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.lines)
		for l := bufio.NewScanner(out); l.Scan(); {
			s.lines <- l.Text()
		}
	}()
	c.t.Cleanup(func() {
		end()
		for range s.lines { // whatever is left
		}
		<-read
		_ = cmd.Wait() // it was killed
	})
	return s
}

// next waits for a line that fits.
func (s *stream) next(pattern string) string {
	s.t.Helper()
	deadline := time.After(eventMax)
	var before []string
	for {
		select {
		case line, ok := <-s.lines:
			if regexp.MustCompile(pattern).MatchString(line) {
				return line
			}
			before = append(before, line)
			require.True(s.t, ok, "it ended before a line like %q; there were: %q", pattern, before)
		case <-deadline:
			require.Fail(s.t, "no such line", "%q; there were: %q", pattern, before)
		}
	}
}

func testKubectl(c *cluster, ns string) {
	watch := c.stream("get", "pods", "-n", ns, "--watch", "--output-watch-events")
	c.apply(ns, shell("sh", "node-0")+`
---
apiVersion: batch/v1
kind: Job
metadata: {name: count}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: "seatrial.dev/demo/worker:v1", args: [--units, "20", --each, 50ms]}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "`+busybox+`", stdin: true, command: [sh, -c, "while read l; do echo got $l; done"]}]}
`+web("web", "1", ""))
	watch.next(`^MODIFIED +sh +1/1 +Running`)
	c.kubectl("wait", "-n", ns, "--for=condition=Ready", "pod/sh", "pod/echo", "--timeout=60s")

	until(c.t, eventMax, "the job has a pod, which may have ended by now", func() error {
		if !strings.Contains(c.kubectl("get", "pods", "-n", ns, "-o", "name"), "pod/count-") {
			return errors.New("not yet")
		}
		return nil
	})
	logs := c.stream("logs", "-n", ns, "-f", "job/count", "--pod-running-timeout=30s")
	for i := range 20 {
		logs.next(fmt.Sprintf(`^unit %d of 20$`, i+1))
	}
	logs.next("^done")
	_, more := <-logs.lines
	require.False(c.t, more, "logs -f ends with the container")
	require.Equal(c.t, 21, strings.Count(c.kubectl("logs", "-n", ns, "job/count"), "\n"))
	require.Equal(c.t, "done, 20 parts of memory eaten\n", c.kubectl("logs", "-n", ns, "job/count", "--tail=1"))

	exec := func(stdin string, args ...string) result {
		return c.try(stdin, append([]string{"exec", "-n", ns, "-i", "sh", "--"}, args...)...)
	}
	require.Equal(c.t, 42, exec("", "sh", "-c", "echo out; echo err >&2; exit 42").code)
	r := exec("", "sh", "-c", "echo out; echo err >&2")
	require.Equal(c.t, "out\n", r.out)
	require.Equal(c.t, "err\n", r.err)
	big := strings.Repeat("0123456789abcde\n", 64<<10)
	require.Equal(c.t, big, exec(big, "cat").out, "a MiB there and back")
	require.NotZero(c.t, exec("", "/no/such").code)

	testCopy(c, ns)
	testDebug(c, ns)

	attach := c.stream("attach", "-n", ns, "-i", "echo")
	_, err := io.WriteString(attach.stdin, "hello\n")
	require.NoError(c.t, err)
	attach.next("^got hello$")
	attach.end()

	c.kubectl("rollout", "status", "-n", ns, "deployment/web", "--timeout=60s")
	forward := c.stream("port-forward", "-n", ns, "service/web", ":80")
	port := regexp.MustCompile(`127.0.0.1:(\d+)`).FindStringSubmatch(forward.next("Forwarding from 127.0.0.1"))[1]
	for range 5 {
		require.Contains(c.t, fetch(c.t, "http://127.0.0.1:"+port), "HOSTNAME=web-")
	}
	forward.end()

	c.kubectl("delete", "-n", ns, "pod/sh", "--wait=false")
	watch.next(`^DELETED +sh `)
	described := c.kubectl("describe", "-n", ns, "pod", "-l", "app=web")
	for _, want := range []string{"Scheduled", "Pulled", "Created", "Started", "node-", "10.244."} {
		require.Contains(c.t, described, want)
	}
	require.Contains(c.t, c.kubectl("events", "-n", ns), "SuccessfulCreate")
}

func testCopy(c *cluster, ns string) {
	dir := c.t.TempDir()
	require.NoError(c.t, os.MkdirAll(filepath.Join(dir, "tree", "deep"), 0o755))
	require.NoError(c.t, os.WriteFile(filepath.Join(dir, "tree", "deep", "file"), []byte("content"), 0o640))
	c.kubectl("cp", "-n", ns, filepath.Join(dir, "tree"), "sh:/data/tree")
	require.Equal(c.t, "content", c.kubectl("exec", "-n", ns, "sh", "--", "cat", "/data/tree/deep/file"))
	c.kubectl("cp", "-n", ns, "sh:/data/tree", filepath.Join(dir, "back"))
	text, err := os.ReadFile(filepath.Join(dir, "back", "deep", "file"))
	require.NoError(c.t, err)
	require.Equal(c.t, "content", string(text))
}

// testDebug looks into a pod that runs, and at the processes of its container.
func testDebug(c *cluster, ns string) {
	before := c.kubectl("get", "-n", ns, "pod/sh", "-o", "jsonpath={.status.containerStatuses[0].containerID} {.metadata.uid}")
	c.kubectl("debug", "-n", ns, "sh", "--image="+busybox, "-c", "guest", "--target=c", "--profile=general", "--", "sh", "-c", "echo hello; exec sleep 1000")
	until(c.t, eventMax, "the ephemeral container runs", func() error {
		if c.kubectl("get", "-n", ns, "pod/sh", "-o", "jsonpath={.status.ephemeralContainerStatuses[?(@.name=='guest')].state.running.startedAt}") == "" {
			return errors.New("not yet")
		}
		return nil
	})
	require.Equal(c.t, "hello\n", c.kubectl("logs", "-n", ns, "sh", "-c", "guest"))
	require.Regexp(c.t, `(?m)^ +1 sleep 100000$`, c.kubectl("exec", "-n", ns, "sh", "-c", "guest", "--", "ps", "-o", "pid,args"))

	typing := c.stream("debug", "-n", ns, "sh", "-it", "--image="+busybox, "--profile=general", "--", "sh", "-c", "while read l; do echo got $l; done")
	_, err := io.WriteString(typing.stdin, "hello\n")
	require.NoError(c.t, err)
	typing.next("^got hello$")
	typing.end()
	require.Equal(c.t, before, c.kubectl("get", "-n", ns, "pod/sh", "-o", "jsonpath={.status.containerStatuses[0].containerID} {.metadata.uid}"))
	require.Equal(c.t, "true", c.kubectl("get", "-n", ns, "pod/sh", "-o", "jsonpath={.status.containerStatuses[0].ready}"))
}

// fetch asks a URL from this machine, on a connection of its own.
func fetch(t testing.TB, url string) string {
	t.Helper()
	text, err := get(url)
	require.NoError(t, err)
	return text
}

var oneShot = http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func get(url string) (string, error) {
	resp, err := oneShot.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}
