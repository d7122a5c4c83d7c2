package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// servedCluster is a seatrial serve that runs in a folder of its own.
type servedCluster struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	errs *bytes.Buffer
}

// serveIn starts seatrial serve with the clock paused, and waits until it says that it
// serves.
func serveIn(t *testing.T, args ...string) *servedCluster {
	s := &servedCluster{t: t, dir: t.TempDir(), errs: &bytes.Buffer{}}
	copyYAML(t, filepath.Join(s.dir, "scenarios"), "../../scenarios")
	write(t, filepath.Join(s.dir, "tokens.csv"), "jane-secret,jane,1,dev\n")
	s.cmd = command(t, s.dir, append([]string{"serve", "scenarios/guestbook.yaml", "--listen", "127.0.0.1:0", "--speed", "paused"}, args...)...)
	s.cmd.Stderr = s.errs
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "it said nothing: %s", s.errs)
	require.Contains(t, lines.Text(), "guestbook is served at ")
	return s
}

// stop interrupts it and waits for its end.
func (s *servedCluster) stop() {
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(s.t, s.cmd.Wait(), s.errs.String())
}

// kubectl runs the real one: that of make kubectl, or the one on the PATH.
func (s *servedCluster) kubectl(args ...string) string {
	path, err := filepath.Abs("../../bin/kubectl")
	require.NoError(s.t, err)
	if _, err := os.Stat(path); err != nil {
		path, err = exec.LookPath("kubectl")
		require.NoError(s.t, err, "there is no bin/kubectl; build it with: make kubectl")
	}
	cmd := exec.CommandContext(s.t.Context(), path, append([]string{"--kubeconfig", loginFile, "--cache-dir", filepath.Join(s.dir, "cache")}, args...)...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "HOME="+s.dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(out)
}

// TestServeToKubectl: what people type.
func TestServeToKubectl(t *testing.T) {
	s := serveIn(t, "--token-auth-file", "tokens.csv", "--audit-log", "audit.log", "--record", "recorded.yaml")
	require.Contains(t, call(t, s.dir, "clock", "step", "1m").out, "1m0s")
	require.Contains(t, s.kubectl("get", "pods"), "Running")
	require.Contains(t, s.kubectl("auth", "whoami"), "kubernetes-admin")
	require.Contains(t, s.kubectl("auth", "can-i", "delete", "nodes"), "yes")
	require.Contains(t, s.kubectl("auth", "can-i", "list", "pods", "--as", "jane"), "no")
	require.Contains(t, s.kubectl("get", "pods", "--as", "jane"), `User "jane" cannot list resource "pods"`)
	require.Contains(t, s.kubectl("create", "rolebinding", "jane", "--clusterrole", "view", "--user", "jane"), "created")
	require.Contains(t, s.kubectl("auth", "can-i", "list", "pods", "--as", "jane"), "yes")
	require.Contains(t, s.kubectl("get", "pods", "--as", "jane"), "Running")
	require.Contains(t, s.kubectl("auth", "can-i", "--list", "--as", "jane"), "pods")
	require.Contains(t, s.kubectl("auth", "can-i", "post", "/seatrial.dev/clock", "--as", "jane"), "no")
	require.Regexp(t, `^eyJ\S+$`, strings.TrimSpace(s.kubectl("create", "token", "default")))
	clock := call(t, s.dir, "clock", "step", "10s")
	s.stop()
	info, err := os.Stat(filepath.Join(s.dir, loginFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	log := string(read(t, s.dir, "audit.log"))
	require.Contains(t, log, `"impersonatedUser":{"username":"jane"`)
	require.NotContains(t, log+s.errs.String(), "jane-secret")

	hash := regexp.MustCompile(`hash=(\S+)`)
	again := call(t, s.dir, "run", "recorded.yaml")
	require.Zero(t, again.code, again.err)
	require.Equal(t, hash.FindString(clock.out), hash.FindString(again.out), "the recorded run differs:\n%s%s", clock.out, again.out)
}

// TestServeInsecure: as plain as it gets.
func TestServeInsecure(t *testing.T) {
	s := serveIn(t, "--insecure")
	require.Contains(t, string(read(t, s.dir, loginFile)), "server: http://127.0.0.1:")
	require.Contains(t, call(t, s.dir, "clock", "step", "1m").out, "1m0s")
	url := regexp.MustCompile(`http://[0-9.:]+`).FindString(string(read(t, s.dir, loginFile)))
	require.Contains(t, call(t, s.dir, "clock", "--server", url).out, "paused")
	if out := s.kubectl("get", "pods"); !strings.Contains(out, "Running") {
		t.Error(out)
	}
	s.stop()
}
