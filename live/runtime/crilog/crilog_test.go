package crilog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestLog: open [size=N] [files=N], write STREAM (Go-quoted text, a line for each
// write; N*"x" repeats), end, reopen, move, and show of all files.
func TestLog(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var log *Log
		streams := map[string]*Stream{}
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		clock := func() time.Time { now = now.Add(time.Millisecond); return now }
		file := filepath.Join(t.TempDir(), "0.log")
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var err error
			switch d.Cmd {
			case "open":
				size, files := 0, 0
				d.MaybeScanArgs(t, "size", &size)
				d.MaybeScanArgs(t, "files", &files)
				log, err = Open(file, int64(size), files)
				require.NoError(t, err)
				streams = map[string]*Stream{"stdout": log.Stream("stdout", clock), "stderr": log.Stream("stderr", clock)}
			case "write":
				for line := range strings.Lines(d.Input) {
					n, err := streams[d.CmdArgs[0].Key].Write([]byte(unquoted(t, line)))
					require.NoError(t, err)
					require.Equal(t, len(unquoted(t, line)), n)
				}
			case "end":
				streams[d.CmdArgs[0].Key].End()
			case "move":
				require.NoError(t, os.Rename(file, file+".moved"))
			case "reopen":
				require.NoError(t, log.Reopen())
			case "show":
			default:
				d.Fatalf(t, "unknown command")
			}
			if d.Cmd != "show" {
				return ""
			}
			return shown(t, file)
		})
		require.NoError(t, log.Close())
	})
}

func unquoted(t *testing.T, line string) string {
	line = strings.TrimSpace(line)
	count, text, ok := strings.Cut(line, "*")
	if !ok || strings.HasPrefix(line, `"`) {
		count, text = "1", line
	}
	n, err := strconv.Atoi(count)
	require.NoError(t, err)
	s, err := strconv.Unquote(text)
	require.NoError(t, err)
	return strings.Repeat(s, n)
}

func shown(t *testing.T, file string) string {
	list, err := filepath.Glob(file + "*")
	require.NoError(t, err)
	var out strings.Builder
	for _, name := range list {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		fmt.Fprintf(&out, "%s: %d bytes\n", filepath.Base(name), len(data))
		for line := range strings.Lines(string(data)) {
			if len(line) > 80 {
				line = fmt.Sprintf("%s... %d bytes\n", line[:60], len(line))
			}
			out.WriteString("  " + line)
		}
	}
	return out.String()
}

// TestBytesComeBack: whatever is written, in whatever pieces, a reader gets it back.
func TestBytesComeBack(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, strconv.Itoa(runs))
		log, err := Open(path, 0, 1)
		require.NoError(t, err)
		s := log.Stream("stdout", time.Now)
		var want bytes.Buffer
		for range rapid.IntRange(0, 10).Draw(t, "writes") {
			piece := strings.Repeat(rapid.SampledFrom([]string{"a", "\n", "b\n", "c\nd", "\x00\xff"}).Draw(t, "text"), rapid.IntRange(0, 9000).Draw(t, "times"))
			want.WriteString(piece)
			_, _ = s.Write([]byte(piece))
		}
		s.End()
		require.NoError(t, log.Close())
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		var got bytes.Buffer
		for line := range bytes.Lines(data) {
			fields := bytes.SplitN(line, []byte(" "), 4)
			require.Len(t, fields, 4)
			text := bytes.TrimSuffix(fields[3], []byte("\n"))
			require.LessOrEqual(t, len(text), LineBytesMax)
			got.Write(text)
			if string(fields[2]) == "F" {
				got.WriteByte('\n')
			}
		}
		require.True(t, bytes.Equal(want.Bytes(), got.Bytes()), "%d bytes became %d", want.Len(), got.Len())
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir, 0, 1)
	require.Error(t, err)
	require.NoError(t, os.Symlink("/tmp/elsewhere", filepath.Join(dir, "link")))
	_, err = Open(filepath.Join(dir, "link"), 0, 1)
	require.Error(t, err)
	_, err = Open("/dev/null", 0, 1)
	require.ErrorContains(t, err, "not a regular file")
}
