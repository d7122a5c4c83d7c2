package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	depthMax     = 16      // of groups below the one to be removed
	lineBytesMax = 1 << 20 // of mountinfo
	retryPause   = 2 * time.Millisecond
)

// Check says what is wrong with the path of a group that may be removed with all
// below it: it must be clean, absolute and not the root.
func Check(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" || strings.ContainsAny(path, "\n\x00") {
		return fmt.Errorf("cgroup %q: want a clean absolute path below the root, like /seatrial", path)
	}
	return nil
}

// Hierarchies are the mount points of all of them: each controller of v1, and the
// unified one. Of several mounts of one, it is the first of the whole, or else the
// first.
func Hierarchies() ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return hierarchies(f)
}

func hierarchies(mountinfo io.Reader) ([]string, error) {
	type mount struct {
		device, at string
		whole      bool
	}
	var found []mount
	lines := bufio.NewScanner(mountinfo)
	lines.Buffer(nil, lineBytesMax)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		front, back := strings.Fields(before), strings.Fields(after)
		if !ok || len(front) < 5 || len(back) < 1 || back[0] != "cgroup" && back[0] != "cgroup2" {
			continue
		}
		m := mount{device: front[2], at: front[4], whole: front[3] == "/"}
		i := slices.IndexFunc(found, func(o mount) bool { return o.device == m.device })
		switch {
		case i < 0:
			found = append(found, m)
		case m.whole && !found[i].whole:
			found[i] = m
		}
	}
	var out []string
	for _, m := range found {
		out = append(out, m.at)
	}
	return out, lines.Err()
}

// Below lists the groups right below path, of all hierarchies together, by name.
func Below(path string) ([]string, error) {
	roots, err := Hierarchies()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, root := range roots {
		list, err := os.ReadDir(filepath.Join(root, path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range list {
			if e.IsDir() && !slices.Contains(out, e.Name()) {
				out = append(out, e.Name())
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// Remove kills whatever is in the group and below, and removes the groups. It
// answers how many it removed, counting each hierarchy; a group that is not there is
// no error.
func Remove(ctx context.Context, path string) (int, error) {
	if err := Check(path); err != nil {
		return 0, err
	}
	roots, err := Hierarchies()
	if err != nil {
		return 0, err
	}
	removed := 0
	for {
		var errs []error
		for _, root := range roots {
			n, err := removeTree(filepath.Join(root, path), 0)
			removed += n
			errs = append(errs, err)
		}
		err := errors.Join(errs...)
		if err == nil {
			return removed, nil
		}
		// A killed process leaves its group a moment later.
		select {
		case <-ctx.Done():
			return removed, fmt.Errorf("removing cgroup %s: %w", path, err)
		case <-time.After(retryPause):
		}
	}
}

// Kill sends SIGKILL to all in the group and below, once.
func Kill(path string) error {
	if err := Check(path); err != nil {
		return err
	}
	roots, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		killTree(filepath.Join(root, path), 0)
	}
	return nil
}

// Pids are the processes in the group and below, in any hierarchy, in order.
func Pids(path string) ([]int, error) {
	roots, err := Hierarchies()
	if err != nil {
		return nil, err
	}
	var out []int
	for _, root := range roots {
		_ = filepath.WalkDir(filepath.Join(root, path), func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil // gone meanwhile, or a file
			}
			out = append(out, pidsOf(p)...)
			return nil
		})
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func removeTree(dir string, depth int) (int, error) {
	removed := 0
	for _, sub := range subdirs(dir, depth) {
		n, err := removeTree(sub, depth+1)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	killGroup(dir)
	switch err := unix.Rmdir(dir); err {
	case nil:
		return removed + 1, nil
	case unix.ENOENT, unix.ENODEV:
		return removed, nil
	default:
		return removed, &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
}

func killTree(dir string, depth int) {
	for _, sub := range subdirs(dir, depth) {
		killTree(sub, depth+1)
	}
	killGroup(dir)
}

// killGroup thaws the group too: in v1 a frozen process does not die.
func killGroup(dir string) {
	if os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) == nil {
		return
	}
	for _, pid := range pidsOf(dir) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	if _, err := os.Stat(filepath.Join(dir, "freezer.state")); err == nil {
		_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0)
	}
}

func subdirs(dir string, depth int) []string {
	if depth >= depthMax {
		return nil
	}
	list, _ := os.ReadDir(dir)
	var out []string
	for _, e := range list {
		if e.IsDir() {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

func pidsOf(dir string) []int {
	data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	var out []int
	for _, field := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
			out = append(out, pid)
		}
	}
	return out
}
