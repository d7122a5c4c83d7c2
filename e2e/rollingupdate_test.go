package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRollingUpdateSaysThatTheClockStandsStill starts an update of a cluster whose
// clock is paused, and interrupts it once it has said so.
func TestRollingUpdateSaysThatTheClockStandsStill(t *testing.T) {
	p := &player{dir: t.TempDir()}
	require.NoError(t, os.CopyFS(p.dir, os.DirFS("testdata/files")))
	p.server = serve(t, p.dir, "cluster.yaml")
	rc := `{"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"},
		"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "example.com/web:1"}]}}}}`
	require.Zero(t, p.call(t, find(t, "kubectl"), rc, []string{"create", "-f", "-"}, "").code)

	cmd := exec.Command(seatrial, "kubectl", "rolling-update", "web", "--image", "example.com/web:2", "--kubeconfig", p.server.kubeconfig)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	lines := bufio.NewScanner(stderr)
	require.True(t, lines.Scan(), "it said nothing")
	require.Contains(t, lines.Text(), "The cluster's clock stands still")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "call it again to go on")
	_ = cmd.Wait()
	require.Equal(t, 130, cmd.ProcessState.ExitCode())
}
