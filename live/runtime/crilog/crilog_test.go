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
// write; N*"x" repeats), end, reopen, move, show of all files, and read [tail=N]
// [since=MILLIS] [stream=S] [bytes=N] [timestamps].
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
			case "read":
				return read(t, file, d)
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

func read(t *testing.T, file string, d *datadriven.TestData) string {
	tail, since, size := -1, 0, 0
	o := Options{Timestamps: d.HasArg("timestamps")}
	d.MaybeScanArgs(t, "tail", &tail)
	d.MaybeScanArgs(t, "since", &since)
	d.MaybeScanArgs(t, "bytes", &size)
	d.MaybeScanArgs(t, "stream", &o.Stream)
	o.Tail, o.BytesMax = int64(tail), int64(size)
	if since > 0 {
		o.Since = time.Date(2026, 1, 2, 3, 4, 5, since*1e6, time.UTC)
	}
	var out strings.Builder
	if err := Read(file, o, &out); err != nil {
		return "error: " + strings.ReplaceAll(err.Error(), filepath.Dir(file), "DIR")
	}
	lines := strings.SplitAfter(out.String(), "\n")
	for i, l := range lines {
		if len(l) > 80 {
			lines[i] = fmt.Sprintf("%s... %d bytes\n", l[:40], len(l))
		}
	}
	return strings.Join(lines, "")
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

// TestFollow: a reader that follows sees every line once and in order, whatever files
// the log went through meanwhile.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, "follow-"+strconv.Itoa(runs))
		files := rapid.IntRange(6, 12).Draw(t, "files")
		write := func() {}
		var want bytes.Buffer
		if rapid.Bool().Draw(t, "begun") {
			write = writer(t, path, files, &want)
			write()
		}
		rounds := rapid.IntRange(0, 20).Draw(t, "rounds")
		var got bytes.Buffer
		err := Read(path, Options{Tail: -1, Wait: func() bool {
			require.True(t, bytes.Equal(want.Bytes(), got.Bytes()), "%d bytes became %d", want.Len(), got.Len())
			if want.Len() == 0 && rounds > 0 {
				write = writer(t, path, files, &want)
			}
			if rounds--; rounds < 0 {
				return false
			}
			write()
			return true
		}}, &got)
		require.NoError(t, err)
		require.Equal(t, want.String(), got.String())
	})
}

// writer writes a few lines each time; the log has files of 100 bytes, so that not all
// of those of one time are kept when there are more.
func writer(t *rapid.T, path string, files int, want *bytes.Buffer) func() {
	log, err := Open(path, 100, files)
	require.NoError(t, err)
	s := log.Stream("stdout", time.Now)
	return func() {
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			line := strings.Repeat("x", rapid.IntRange(0, 60).Draw(t, "bytes")) + "\n"
			want.WriteString(line)
			_, _ = s.Write([]byte(line))
		}
	}
}

// TestTail: the tail of a log is what it ends in, over all its files.
func TestTail(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		path := filepath.Join(dir, strconv.Itoa(runs))
		log, err := Open(path, 60_000, 1000)
		require.NoError(t, err)
		defer log.Close()
		s := log.Stream("stdout", time.Now)
		var lines []string
		for range rapid.IntRange(0, 30).Draw(t, "lines") {
			line := strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 100, LineBytesMax, 40_000, 100_000}).Draw(t, "bytes")) + "\n"
			lines = append(lines, line)
			_, _ = s.Write([]byte(line))
		}
		n := rapid.IntRange(0, 32).Draw(t, "tail")
		var got strings.Builder
		require.NoError(t, Read(path, Options{Tail: int64(n)}, &got))
		require.Equal(t, len(strings.Join(lines[max(0, len(lines)-n):], "")), len(got.String()))
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
