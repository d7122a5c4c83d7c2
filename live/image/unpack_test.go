package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// needRoot skips, and says so in words that are looked for.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: unpacking and mounting images needs root, which this user is not")
	}
}

// TestUnpack plays testdata/unpack.txt. Its command "layer" unpacks an archive with
// these entries, a line each, into an empty folder, and prints what is there then:
//
//	dir NAME [MODE]            file NAME TEXT [MODE]    link NAME TO    hard NAME TO
//	char NAME    block NAME    pipe NAME    other NAME  sparse NAME BYTES
//	attr NAME KEY VALUE (a file with an extended attribute)
//
// The folder lies in one with a file "outside", which is printed if it has changed.
func TestUnpack(t *testing.T) {
	needRoot(t)
	datadriven.RunTest(t, "testdata/unpack.txt", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd != "layer" {
			t.Fatalf("there is no command %s", d.Cmd)
		}
		limits := Limits{}
		if d.HasArg("small") {
			limits = Limits{LayerBytesMax: 100, LayerEntries: 5, PathBytesMax: 40, XattrsMax: 1}
		}
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "outside"), []byte("untouched"), 0o600))
		root := filepath.Join(dir, "fs")
		require.NoError(t, os.Mkdir(root, 0o755))
		size, err := unpack(context.Background(), root, bytes.NewReader(layerOf(t, d.Input)), limits)
		raw, readErr := os.ReadFile(filepath.Join(dir, "outside"))
		require.NoError(t, readErr)
		require.Equal(t, "untouched", string(raw))
		entries, readErr := os.ReadDir(dir)
		require.NoError(t, readErr)
		require.Len(t, entries, 2, "something was put outside")
		if err != nil {
			return fmt.Sprintf("refused: %v\n", strings.ReplaceAll(err.Error(), dir, "DIR"))
		}
		return treeOf(t, root) + fmt.Sprintf("%d entries, %d bytes\n", size.Entries, size.Bytes)
	})
}

func layerOf(t testing.TB, lines string) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		arg := func(i int, def string) string {
			if i < len(f) {
				return strings.ReplaceAll(f[i], `\0`, "\x00")
			}
			return def
		}
		h := &tar.Header{Name: arg(1, ""), ModTime: time.Unix(1000, 0), Mode: 0o644}
		if h.Name == "LONG" {
			h.Name = strings.Repeat("x/", 30)
		}
		mode := func(i int, def string) {
			m, err := strconv.ParseInt(arg(i, def), 8, 64)
			require.NoError(t, err)
			h.Mode = m
		}
		text := ""
		switch f[0] {
		case "dir":
			h.Typeflag = tar.TypeDir
			mode(2, "755")
		case "file":
			h.Typeflag, text = tar.TypeReg, arg(2, "")
			mode(3, "644")
		case "attr":
			h.Typeflag = tar.TypeReg
			h.PAXRecords = map[string]string{}
			for i := 2; i+1 < len(f); i += 2 {
				h.PAXRecords[paxXattr+f[i]] = strings.ReplaceAll(f[i+1], "NET_RAW", netRaw)
			}
		case "link":
			h.Typeflag, h.Linkname = tar.TypeSymlink, arg(2, "")
		case "hard":
			h.Typeflag, h.Linkname = tar.TypeLink, arg(2, "")
		case "char":
			h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, 1, 3
		case "zero":
			h.Typeflag = tar.TypeChar
		case "block":
			h.Typeflag, h.Devmajor = tar.TypeBlock, 8
		case "pipe":
			h.Typeflag = tar.TypeFifo
		case "other":
			h.Typeflag = 'Z'
		case "owned":
			h.Typeflag, h.Uid, h.Gid = tar.TypeReg, 1000, 2000
			mode(2, "4755")
		default:
			t.Fatalf("there is no entry %q", f[0])
		}
		h.Size = int64(len(text))
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// netRaw is the file capability CAP_NET_RAW+ep, as the kernel keeps it.
const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// treeOf prints a folder: type and mode, owner, name, content or target, attributes.
func treeOf(t testing.TB, root string) string {
	var out strings.Builder
	require.NoError(t, filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(file, &st); err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%v %d:%d %s", info.Mode(), st.Uid, st.Gid, rel)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(file)
			out.WriteString(" -> " + to)
		case info.Mode().IsRegular():
			raw, _ := os.ReadFile(file)
			fmt.Fprintf(&out, " %q", raw)
			if st.Nlink > 1 {
				fmt.Fprintf(&out, " links=%d", st.Nlink)
			}
		case info.Mode()&fs.ModeCharDevice != 0:
			fmt.Fprintf(&out, " device %d", st.Rdev)
		}
		for _, a := range []string{opaqueXattr, "trusted.overlay.redirect", "user.note", "security.capability"} {
			buf := make([]byte, 100)
			if n, err := unix.Lgetxattr(file, a, buf); err == nil {
				fmt.Fprintf(&out, " %s=%q", a, buf[:n])
			} else if !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
				return err
			}
		}
		out.WriteString("\n")
		return nil
	}))
	return out.String()
}

func TestUnpackSetsTimesOfFolders(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	_, err := unpack(context.Background(), dir, bytes.NewReader(layerOf(t, "dir a\nfile a/b text\n")), Limits{})
	require.NoError(t, err)
	for _, name := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, int64(1000), info.ModTime().Unix(), name)
	}
}

// TestUnpackRefusesASparseBomb has a header that promises an exabyte of zeros.
func TestUnpackRefusesASparseBomb(t *testing.T) {
	needRoot(t)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Size: 1 << 60, Format: tar.FormatGNU}))
	_, err := unpack(context.Background(), t.TempDir(), bytes.NewReader(out.Bytes()), Limits{})
	var limit *LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, "LayerBytesMax", limit.Limit)
}

func TestUnpackStopsWhenTold(t *testing.T) {
	needRoot(t)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	_, err := unpack(ctx, t.TempDir(), bytes.NewReader(layerOf(t, "file a text\n")), Limits{})
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzUnpack makes archives of names, targets and types, and looks for anything made
// outside of the folder.
func FuzzUnpack(f *testing.F) {
	for _, s := range []string{
		"2a|..\n0a/b|", "2a|/\n0a/b|", "2a|../outside\n1b|a", "5a|\n2a/b|..\n2c|a/b/..\n0c/x|", "0.wh...|", "0.wh.a|\n0a/b|", "1x|../outside",
		"0a/.wh..wh..opq|\n5a|", "6p|\n0p/x|", "2a|b\n2b|a\n0a/x|", "5a/b|\n2a|.\n0a/c|", "0../x|", "0/../x|", "5.|", "0.|", "0|",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, entries string) {
		needRoot(t)
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for line := range strings.SplitSeq(entries, "\n") {
			if line == "" || strings.IndexByte("01256", line[0]) < 0 {
				continue
			}
			name, to, _ := strings.Cut(line[1:], "|")
			if err := w.WriteHeader(&tar.Header{Name: name, Linkname: to, Typeflag: line[0], Mode: 0o755}); err != nil {
				continue
			}
		}
		w.Close()
		dir := t.TempDir()
		outside := filepath.Join(dir, "outside")
		require.NoError(t, os.WriteFile(outside, []byte("untouched"), 0o600))
		before, err := os.Stat(outside)
		require.NoError(t, err)
		root := filepath.Join(dir, "fs")
		require.NoError(t, os.Mkdir(root, 0o755))
		_, _ = unpack(context.Background(), root, bytes.NewReader(out.Bytes()), Limits{LayerEntries: 100})
		list, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, list, 2)
		raw, err := os.ReadFile(outside)
		require.NoError(t, err)
		require.Equal(t, "untouched", string(raw))
		after, err := os.Stat(outside)
		require.NoError(t, err)
		require.Equal(t, before.Mode(), after.Mode())
		var st unix.Stat_t
		require.NoError(t, unix.Stat(outside, &st))
		require.Equal(t, 1, int(st.Nlink), "a hard link to what is outside")
	})
}

// TestUnpackRemembersOnlySoManyFolders has an archive that names one folder a hundred
// times: small when zipped, and every name would be kept in memory to the end.
func TestUnpackRemembersOnlySoManyFolders(t *testing.T) {
	needRoot(t)
	name := strings.Repeat("d", 200)
	_, err := unpack(context.Background(), t.TempDir(), bytes.NewReader(layerOf(t, strings.Repeat("dir "+name+"\n", 100))), Limits{FolderBytes: 10_000})
	var over *LimitError
	require.ErrorAs(t, err, &over)
	require.Equal(t, "FolderBytes", over.Limit)
}
