package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime/cgroup"
	"seatrial.dev/seatrial/live/runtime/wire"
)

// killPause is how often it is asked whether a killed process is gone.
const killPause = 2 * time.Millisecond

// Swept counts what was removed.
type Swept struct {
	Pods, Cgroups int
}

// Sweep removes what belongs to no pod of List: folders without a sandbox, control
// groups without a folder.
func (c *Client) Sweep(ctx context.Context) (Swept, error) {
	var out Swept
	list, err := os.ReadDir(wire.PodsDir(c.config.StateDir))
	if err != nil {
		return out, err
	}
	var errs []error
	for _, e := range list {
		if c.known(e.Name()) || !isUID(e.Name()) {
			continue
		}
		if err := c.clean(ctx, e.Name()); err != nil {
			errs = append(errs, err)
			continue
		}
		out.Pods++
	}
	groups, err := c.podGroups()
	errs = append(errs, err)
	for _, g := range groups {
		if c.known(strings.TrimPrefix(filepath.Base(g), "pod")) {
			continue
		}
		n, err := cgroup.Remove(ctx, g)
		out.Cgroups += n
		errs = append(errs, err)
	}
	return out, errors.Join(errs...)
}

// Purge stops all pods and removes every trace of this runtime from the host, but
// the state folder itself. The client is of no use afterwards but for Close.
func (c *Client) Purge(ctx context.Context) error {
	pods, err := c.List(ctx)
	errs := []error{err}
	for _, p := range pods {
		errs = append(errs, c.StopSandbox(ctx, p.Spec.Pod))
	}
	_, err = c.Sweep(ctx)
	errs = append(errs, err)
	_, err = cgroup.Remove(ctx, c.config.CgroupRoot)
	errs = append(errs, err, os.RemoveAll(wire.PodsDir(c.config.StateDir)))
	return errors.Join(errs...)
}

func (c *Client) known(pod string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pods[pod] != nil
}

// podGroups are the control groups of pods, right below the root or one deeper.
func (c *Client) podGroups() ([]string, error) {
	var out []string
	top, err := cgroup.Below(c.config.CgroupRoot)
	if err != nil {
		return nil, err
	}
	for _, name := range top {
		path := filepath.Join(c.config.CgroupRoot, name)
		switch {
		case strings.HasPrefix(name, "pod"):
			out = append(out, path)
		case isQoS(name):
			inner, err := cgroup.Below(path)
			if err != nil {
				return nil, err
			}
			for _, n := range inner {
				if strings.HasPrefix(n, "pod") {
					out = append(out, filepath.Join(path, n))
				}
			}
		}
	}
	return out, nil
}

// clean removes all that a pod may have left, its shim included, whatever state it
// is in.
func (c *Client) clean(ctx context.Context, pod string) error {
	dir := c.dir(pod)
	if err := killShims(ctx, dir); err != nil {
		return err
	}
	groups, err := c.podGroups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if filepath.Base(g) == "pod"+pod {
			if _, err := cgroup.Remove(ctx, g); err != nil {
				return err
			}
		}
	}
	// Never remove a folder with something mounted in it: that would empty the source.
	if err := unmountBelow(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// killShims kills the shim of a folder, and its pause process, and waits until they
// are gone.
func killShims(ctx context.Context, dir string) error {
	for {
		pids := shimsOf(dir)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("killing the shim of %s (processes %v): %w", dir, pids, ctx.Err())
		case <-time.After(killPause):
		}
	}
}

// shimsOf finds processes by the arguments that startShim and the shim give them; a
// file with a number could mean another process by now.
func shimsOf(dir string) []int {
	var out []int
	list, _ := os.ReadDir("/proc")
	for _, e := range list {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		args := bytes.Split(line, []byte{0})
		if len(args) < 3 || string(args[0]) != "seatrial-runtime" {
			continue
		}
		if string(args[2]) == dir && (string(args[1]) == "shim" || string(args[1]) == "pause") {
			out = append(out, pid)
		}
	}
	return out
}

// unmountBelow unmounts all at and below dir, the last mounted first.
func unmountBelow(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mounts, err := mountsBelow(real)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL {
			return &fs.PathError{Op: "unmount", Path: m, Err: err}
		}
	}
	if mounts, err = mountsBelow(real); err == nil && len(mounts) > 0 {
		err = fmt.Errorf("still mounted below %s: %v", dir, mounts)
	}
	return err
}

func mountsBelow(dir string) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at := unescape.Replace(fields[4]); at == dir || strings.HasPrefix(at, dir+"/") {
			out = append(out, at)
		}
	}
	return out, nil
}
