package tree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Limits.
const (
	// levelsOpen is how many levels are open at a time while a folder is removed.
	levelsOpen = 64
	// LevelsMax is how many levels of a folder Usage counts.
	LevelsMax = 512
	namesMax  = 1024 // read of a folder at a time

	blockBytes = 512 // of st_blocks
)

// ErrTooDeep is that of Usage for a folder with more than LevelsMax levels.
var ErrTooDeep = fmt.Errorf("it has folders in folders, more than %d levels", LevelsMax)

const openFolder = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func open(at int, name string) (*os.File, error) {
	fd, err := unix.Openat(at, name, openFolder, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func fdOf(f *os.File) int { return int(f.Fd()) }

// Remove removes a folder and all that is in it, or a file; nothing there is no error.
// Nothing may be mounted below it.
func Remove(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	// The way to it is the caller's own, links included.
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "remove", Path: path, Err: err}
	}
	defer unix.Close(fd)
	r := remover{top: -1}
	if err := r.remove(fd, filepath.Base(path), 0); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// remover removes one folder. What is too deep in it is moved up to the top, which is
// looked at until it is empty.
type remover struct {
	top   int // -1: not open yet
	moved int
}

func (r *remover) remove(at int, name string, level int) error {
	err := unix.Unlinkat(at, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return &os.PathError{Op: "unlinkat", Path: name, Err: err}
	}
	err = unix.Unlinkat(at, name, unix.AT_REMOVEDIR)
	switch {
	case err == nil || err == unix.ENOENT:
		return nil
	case err != unix.ENOTEMPTY && err != unix.EEXIST:
		return &os.PathError{Op: "unlinkat", Path: name, Err: err}
	case level == levelsOpen:
		return r.moveUp(at, name)
	}
	f, err := open(at, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if level == 0 {
		r.top = fdOf(f)
	}
	if err := r.empty(f, level); err != nil {
		return err
	}
	if err := unix.Unlinkat(at, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "unlinkat", Path: name, Err: err}
	}
	return nil
}

// empty removes all in a folder. Reading goes on from the beginning until nothing is
// found, since folders may come while it is read: to the top by moveUp.
func (r *remover) empty(f *os.File, level int) error {
	for {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		names, err := f.Readdirnames(namesMax)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := r.remove(fdOf(f), n, level+1); err != nil {
				return err
			}
		}
	}
}

func (r *remover) moveUp(at int, name string) error {
	for {
		r.moved++
		to := fmt.Sprintf(".moved-%d", r.moved)
		err := unix.Renameat2(at, name, r.top, to, unix.RENAME_NOREPLACE)
		if err == nil {
			return nil
		}
		if err != unix.EEXIST { // a name of the container's own
			return &os.PathError{Op: "renameat", Path: name, Err: err}
		}
	}
}

// Usage is what a folder takes of the disk, of filesMax files of it at most. Files that go
// while it looks are not counted, those with several names once. A folder that is not
// there takes nothing; of one that is too deep the error is ErrTooDeep.
func Usage(dir string, filesMax int) (bytes int64, err error) {
	c := counter{left: filesMax, seen: map[uint64]bool{}}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return 0, nil
	}
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	c.bytes = st.Blocks * blockBytes
	if err := c.count(f, 0); err != nil {
		return c.bytes, fmt.Errorf("usage of %s: %w", dir, err)
	}
	return c.bytes, nil
}

type counter struct {
	bytes int64
	left  int
	seen  map[uint64]bool // of what has several names
}

func (c *counter) count(f *os.File, level int) error {
	if level > LevelsMax {
		return ErrTooDeep
	}
	for c.left > 0 {
		names, err := f.Readdirnames(namesMax)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, n := range names {
			if c.left == 0 {
				return nil
			}
			if err := c.entry(fdOf(f), n, level); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *counter) entry(at int, name string, level int) error {
	var st unix.Stat_t
	err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	c.left--
	folder := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Nlink > 1 && !folder {
		if c.seen[st.Ino] {
			return nil
		}
		c.seen[st.Ino] = true
	}
	c.bytes += st.Blocks * blockBytes
	if !folder {
		return nil
	}
	f, err := open(at, name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // it went, or is something else by now
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return c.count(f, level+1)
}
