package auditfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
	"seatrial.dev/seatrial/cluster/auth/auditfile"
)

// TestRotation writes more than the files may hold, from several goroutines, and
// goes on after a restart.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "audit.log")
	cfg := audit.Config{FileBytesMax: 128 << 10, FilesMax: 2}
	r := &audit.Record{ID: "i", Attributes: &auth.Attributes{Verb: "get", Path: "/" + strings.Repeat("x", 900)}, URI: "/" + strings.Repeat("x", 900), Code: 200}
	for range 2 {
		l, err := auditfile.Open(path, cfg)
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 100 {
					if err := l.Write(r); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, l.Close())
	}
	all, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	require.Len(t, all, 3)
	for _, name := range all {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		require.LessOrEqual(t, info.Size(), cfg.FileBytesMax)
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.True(t, bytes.HasSuffix(text, []byte("}\n")), name)
	}
}

func TestBadPath(t *testing.T) {
	_, err := auditfile.Open("/dev/null/x/audit.log", audit.Preset())
	require.ErrorContains(t, err, "/dev/null/x/audit.log")
}
