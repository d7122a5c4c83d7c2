//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWriteSecret: in a folder of many, what another user has put in the file's place
// gets nothing of it.
func TestWriteSecret(t *testing.T) {
	dir := t.TempDir()
	file, elsewhere := filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "elsewhere")
	require.NoError(t, os.WriteFile(elsewhere, []byte("old"), 0o666))
	for _, prepare := range []func() error{
		func() error { return nil },
		func() error { return os.Symlink(elsewhere, file) },
		func() error { return os.Link(elsewhere, file) },
	} {
		_ = os.Remove(file)
		require.NoError(t, prepare())
		require.NoError(t, writeSecret(file, []byte("secret")))
		info, err := os.Lstat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
		text, err := os.ReadFile(elsewhere)
		require.NoError(t, err)
		require.Equal(t, "old", string(text))
		list, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, list, 2)
	}
}
