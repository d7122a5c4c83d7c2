package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// start is the calendar time at which each cluster begins: so long ago that what
// kubectl works out from its own clock, and not from the cluster's, comes out as some
// tens of years, which mask knows.
const start = "2000-01-01T00:00:00Z"

// server is a simulated cluster that seatrial serve has opened.
type server struct {
	url        string
	kubeconfig string
}

var servedAt = regexp.MustCompile(`is served at (https?://[^ ]+)`)

// serve opens the cluster of a scenario file, its clock paused, for as long as the
// test takes. dir is a folder of the test's own.
func serve(t *testing.T, dir, scenario string) *server {
	require.NoError(t, look())
	s := &server{kubeconfig: filepath.Join(dir, "kubeconfig")}
	cmd := exec.Command(seatrial, "serve", scenario, "--listen", "127.0.0.1:0", "--kubeconfig", s.kubeconfig, "--speed", "paused", "--start", start)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
	})
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if m := servedAt.FindStringSubmatch(lines.Text()); m != nil {
			s.url = m[1]
			return s
		}
	}
	t.Fatalf("seatrial serve did not say where: %s", said.String())
	return nil
}

// clock is the arguments of a seatrial clock command for this server.
func (s *server) clock(args ...string) []string {
	return append([]string{"clock", "--kubeconfig", s.kubeconfig}, args...)
}
