package tree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/tree"
)

// nest makes a folder in a folder in dir, so many times over, and a file in each of some.
func nest(t testing.TB, dir string, levels int) {
	fd, err := unix.Open(dir, unix.O_RDONLY, 0)
	require.NoError(t, err)
	for i := range levels {
		if i%100 == 0 {
			for _, name := range []string{"f", ".moved-1"} {
				f, err := unix.Openat(fd, name, unix.O_CREAT|unix.O_WRONLY, 0o600)
				require.NoError(t, err)
				require.NoError(t, unix.Close(f))
			}
		}
		name := fmt.Sprintf("d%d", i%3)
		require.NoError(t, unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_RDONLY, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		fd = next
	}
	require.NoError(t, unix.Close(fd))
}

// fewFiles lets this process have few files open until the test ends.
func fewFiles(t testing.TB, most uint64) {
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: was.Max}))
	t.Cleanup(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) })
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "kept"), nil, 0o600))
	top := filepath.Join(dir, "top")
	require.NoError(t, os.MkdirAll(filepath.Join(top, "a", "b"), 0o755))
	require.NoError(t, os.Symlink(outside, filepath.Join(top, "a", "link")))
	require.NoError(t, os.Symlink("/nowhere", filepath.Join(top, "broken")))
	for i := range 3000 {
		require.NoError(t, os.WriteFile(filepath.Join(top, "a", "b", fmt.Sprint(i)), nil, 0))
	}
	nest(t, top, 5000)
	nest(t, filepath.Join(top, "a"), 1000)
	fewFiles(t, 200)
	require.NoError(t, tree.Remove(top))
	require.NoFileExists(t, top)
	require.FileExists(t, filepath.Join(outside, "kept"))

	require.NoError(t, tree.Remove(top), "nothing is there")
	require.NoError(t, tree.Remove(filepath.Join(top, "below")))
	require.NoError(t, os.Symlink(outside, top))
	require.NoError(t, tree.Remove(top))
	require.FileExists(t, filepath.Join(outside, "kept"), "a link, not what it leads to")
	require.ErrorContains(t, tree.Remove(filepath.Join(outside, "kept", "x")), "not a directory")
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	used := func(most int) int64 {
		n, err := tree.Usage(dir, most)
		require.NoError(t, err)
		return n
	}
	empty := used(1000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o600))
	require.NoError(t, os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "g")))
	require.NoError(t, os.Symlink("/", filepath.Join(dir, "root")))
	require.InDelta(t, empty+1<<20, used(1000), 64<<10, "once, and nothing of the root")
	require.Less(t, used(0), int64(1<<20))
	nest(t, dir, 400)
	used(10_000)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "deeper"), 0o755))
	nest(t, filepath.Join(dir, "deeper"), 600)
	_, err := tree.Usage(dir, 10_000)
	require.ErrorIs(t, err, tree.ErrTooDeep)
	n, err := tree.Usage(filepath.Join(dir, "none"), 1)
	require.NoError(t, err)
	require.Zero(t, n)
}
