package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(withBinary(m.Run)) }

func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "seatrial-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "seatrial")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return run()
}

// deadline is for one call of the command.
const deadline = 2 * time.Minute

// TestTranscripts plays testdata/*.txt, each in an empty folder of its own that has
// the repository's scenarios in it. Their commands:
//
//	file name=PATH     writes a file; its text is the input
//	folder name=PATH   makes a folder
//	remove name=PATH   removes a file or folder
//	seatrial           runs the command, its arguments being the input
//	show name=PATH     prints a file
//	list name=PATH     prints the names of a folder's files
//
// What a controller's change would alter in every transcript is masked: the wall
// time, the number of events and the hash, for which sim/play has tests. Rewrite the
// transcripts with go test ./cmd/seatrial -rewrite.
func TestTranscripts(t *testing.T) {
	scenarios, err := filepath.Abs("../../scenarios")
	require.NoError(t, err)
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if !strings.HasSuffix(path, ".txt") {
			return
		}
		dir := t.TempDir()
		copyYAML(t, filepath.Join(dir, "scenarios"), scenarios)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			name := func() string {
				var s string
				d.ScanArgs(t, "name", &s)
				return filepath.Join(dir, filepath.FromSlash(s))
			}
			switch d.Cmd {
			case "file":
				write(t, name(), d.Input+"\n")
				return ""
			case "folder":
				require.NoError(t, os.MkdirAll(name(), 0o755))
				return ""
			case "remove":
				require.NoError(t, os.RemoveAll(name()))
				return ""
			case "seatrial":
				return call(t, dir, strings.Fields(d.Input)...).transcript()
			case "show":
				text, err := os.ReadFile(name())
				require.NoError(t, err)
				return mask(string(text))
			case "list":
				return list(t, name())
			}
			t.Fatalf("there is no command %s", d.Cmd)
			return ""
		})
	})
}

func write(t *testing.T, file, text string) {
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

func copyYAML(t *testing.T, to, from string) {
	require.NoError(t, filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		write(t, filepath.Join(to, rel), string(text))
		return err
	}))
}

func list(t *testing.T, dir string) string {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "there is no such folder\n"
	}
	require.NoError(t, err)
	var out strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&out, e.Name())
	}
	return out.String()
}

// result is what a call of the command said and how it ended.
type result struct {
	out, err string
	code     int
}

func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	ctx, stop := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(stop)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = dir
	return cmd
}

func call(t *testing.T, dir string, args ...string) result {
	cmd := command(t, dir, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// transcript shows standard output, standard error after a bar, and the exit
// status.
func (r result) transcript() string {
	var out strings.Builder
	out.WriteString(mask(r.out))
	for line := range strings.Lines(mask(r.err)) {
		out.WriteString("| " + line)
	}
	fmt.Fprintf(&out, "exit status %d\n", r.code)
	return out.String()
}

var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`events=\d+ hash=[0-9a-f]{16} wall=[0-9.]+(m?s|µs|m[0-9.]+s)`), "events=... hash=... wall=..."},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:..."}, // differs between processors
	{regexp.MustCompile(`(name="hash" value=")[0-9a-f]{16}"`), `$1..."`},
	{regexp.MustCompile(`(name="events" value=")\d+"`), `$1..."`},
	{regexp.MustCompile(`( time=")0\.\d+(">)`), `$1...$2`},
}

func mask(s string) string {
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return s
}

func TestVersion(t *testing.T) {
	r := call(t, t.TempDir(), "version")
	require.Zero(t, r.code)
	require.Regexp(t, `^seatrial \S+ go1\.\S+ \S+/\S+ k8s\.io/api v0\.\d+\.\d+\n$`, r.out)
}

// TestInterruptStopsATest lets a call that would take long begin, and interrupts it.
func TestInterruptStopsATest(t *testing.T) {
	dir := t.TempDir()
	copyYAML(t, filepath.Join(dir, "scenarios"), "../../scenarios")
	cmd := command(t, dir, "test", "scenarios/guestbook.yaml", "--seeds", "1-1000000")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "no verdict")
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	n := 1
	for lines.Scan() {
		n++
	}
	require.Error(t, cmd.Wait())
	require.Equal(t, exitStopped, cmd.ProcessState.ExitCode(), stderr.String())
	require.Contains(t, stderr.String(), fmt.Sprintf("seatrial: stopped after %d of 1000000 runs", n))
}
