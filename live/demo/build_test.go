package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/image"
)

func built(t *testing.T) (layout string) {
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	layout = filepath.Join(t.TempDir(), "images")
	require.NoError(t, Build(ctx, "../..", layout))
	return layout
}

// TestImages builds them twice, and runs the programs out of them.
func TestImages(t *testing.T) {
	layout := built(t)
	index, err := os.ReadFile(filepath.Join(layout, "index.json"))
	require.NoError(t, err)
	again, err := os.ReadFile(filepath.Join(built(t), "index.json"))
	require.NoError(t, err)
	require.Equal(t, string(index), string(again), "the same digests each time")
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: running the demo images' programs needs root, to unpack them")
	}
	s, err := image.Open(filepath.Join(t.TempDir(), "store"), image.Config{})
	require.NoError(t, err)
	list, err := s.Import(t.Context(), layout)
	require.NoError(t, err)
	require.Len(t, list, len(Names()))
	program := func(name string) string {
		rootfs, err := s.Mount(Repository+name, strings.ReplaceAll(name, ":", "-"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Unmount(strings.ReplaceAll(name, ":", "-"))) })
		im, err := s.Find(Repository + name)
		require.NoError(t, err)
		return filepath.Join(rootfs, im.Run.Entrypoint[0])
	}

	web, url := start(t, program("web:v2"), "--listen", "127.0.0.1:0", "--drain", "1ms")
	require.Contains(t, get(t, url), "HOSTNAME=")
	require.Equal(t, "ok\n", get(t, url+"healthz"))
	out, err := exec.Command(program("load:v1"), "--url", url, "--rate", "100", "--duration", "200ms").Output()
	require.NoError(t, err)
	var sum struct{ Requests, Succeeded int }
	require.NoError(t, json.Unmarshal(bytes.TrimSpace(out), &sum))
	require.Positive(t, sum.Succeeded)
	require.Equal(t, sum.Requests, sum.Succeeded)
	require.NoError(t, web.Process.Signal(syscall.SIGTERM))
	require.NoError(t, web.Wait())

	dir := t.TempDir()
	kv, url := start(t, program("kv:v1"), "--listen", "127.0.0.1:0", "--dir", dir)
	put, err := http.NewRequest(http.MethodPut, url+"a", strings.NewReader("b"))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(put)
	require.NoError(t, err)
	resp.Body.Close()
	require.NoError(t, kv.Process.Kill())
	require.Error(t, kv.Wait())
	kv, url = start(t, program("kv:v1"), "--listen", "127.0.0.1:0", "--dir", dir)
	require.Equal(t, "b", get(t, url+"a"))
	require.NoError(t, kv.Process.Signal(syscall.SIGTERM))
	require.NoError(t, kv.Wait())

	var exit *exec.ExitError
	require.ErrorAs(t, exec.Command(program("worker:v1"), "--units", "2", "--each", "1ms", "--exit", "7", "--memory", "4").Run(), &exit)
	require.Equal(t, 7, exit.ExitCode())
}

// start waits for the first line, in which the server says where it listens.
func start(t *testing.T, program string, args ...string) (cmd *exec.Cmd, url string) {
	cmd = exec.Command(program, args...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	f := strings.Fields(line)
	require.Greater(t, len(f), 2, line)
	return cmd, "http://" + f[2] + "/"
}

func get(t *testing.T, url string) string {
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(raw)
}
