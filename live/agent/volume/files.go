package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"seatrial.dev/seatrial/nodeagent/inject"
)

// The names by which the files of a volume are changed in one step: dataLink points to
// the folder that has them, and each name in the volume is a link through it.
const (
	dataLink    = "..data"
	dataNewLink = "..data_tmp"
	dataFolder  = "..files-"
)

// owner says to whom the files of a volume belong; -1 is root.
type owner struct {
	uid, gid int
}

// writeFiles makes the files of a volume those given, if they are not. Nobody but this
// host's agent writes to the folder.
func writeFiles(dir string, files map[string]inject.File, to owner) error {
	now, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if now != "" && same(filepath.Join(dir, now), files, to) {
		return link(dir, files)
	}
	next, err := os.MkdirTemp(dir, dataFolder)
	if err != nil {
		return err
	}
	if err := fill(next, files, to); err != nil {
		return errors.Join(err, os.RemoveAll(next))
	}
	// A link of an earlier attempt may be left.
	if err := os.Remove(filepath.Join(dir, dataNewLink)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Base(next), filepath.Join(dir, dataNewLink)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, dataNewLink), filepath.Join(dir, dataLink)); err != nil {
		return err
	}
	if err := link(dir, files); err != nil {
		return err
	}
	return removeOld(dir, filepath.Base(next))
}

// modeFor is a file's mode as it is to be, given who it belongs to: a token is for its
// owner alone, and a group of the volume's can read all there is.
func modeFor(f inject.File, to owner) fs.FileMode {
	mode := fs.FileMode(f.Mode) & fs.ModePerm
	if f.Token && (to.uid >= 0 || to.gid >= 0) {
		mode = 0o600
	}
	if to.gid >= 0 {
		mode |= 0o440
	}
	return mode
}

// same says whether a folder has just these files.
func same(dir string, files map[string]inject.File, to owner) bool {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, ok := files[rel]
		if !ok {
			return fs.ErrNotExist
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if info.Mode().Perm() != modeFor(want, to) || !bytes.Equal(data, want.Data) {
			return fs.ErrInvalid
		}
		found++
		return nil
	})
	return err == nil && found == len(files)
}

func fill(dir string, files map[string]inject.File, to owner) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := own(dir, to); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := makeFolders(dir, filepath.Dir(name), to); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name].Data, 0o600); err != nil {
			return err
		}
		if err := own(path, to); err != nil {
			return err
		}
		if err := os.Chmod(path, modeFor(files[name], to)); err != nil { // after chown, which takes bits away
			return err
		}
	}
	return nil
}

func makeFolders(dir, name string, to owner) error {
	if name == "." {
		return nil
	}
	if err := makeFolders(dir, filepath.Dir(name), to); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return own(path, to)
}

func own(path string, to owner) error {
	if to.uid < 0 && to.gid < 0 {
		return nil
	}
	return os.Lchown(path, to.uid, to.gid)
}

// link makes a link for each name at the volume's top, and takes those away that have
// nothing to point to any more.
func link(dir string, files map[string]inject.File) error {
	want := map[string]bool{}
	for name := range files {
		top, _, _ := strings.Cut(name, "/")
		want[top] = true
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		at := filepath.Join(dir, name)
		if _, err := os.Lstat(at); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join(dataLink, name), at); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !want[e.Name()] && !strings.HasPrefix(e.Name(), "..") && e.Type() == fs.ModeSymlink {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func removeOld(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), dataFolder) && e.Name() != keep {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove what a volume had before: %w", err)
			}
		}
	}
	return nil
}
