package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// optionsBytesMax is how long the options of the older way to mount may be: a page.
const optionsBytesMax = 4095

// overlay mounts the layers, the top one first, on dir/rootfs; dir/upper takes what is
// written. Kernels from 6.5 on take the layers one by one; older ones in one string,
// which is why they are named by descriptors there.
func overlay(dir string, layers []string) error {
	err := overlayByOne(dir, layers)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		if second := overlayByString(dir, layers); second == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("mount an overlayfs of %d layers (its folder must not be on an overlayfs itself): %w", len(layers), err)
	}
	return nil
}

func overlayByOne(dir string, layers []string) error {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fd)
	for _, l := range layers {
		if err := unix.FsconfigSetString(fd, "lowerdir+", l); err != nil {
			return fmt.Errorf("layer %s: %w", l, os.NewSyscallError("fsconfig", err))
		}
	}
	for _, o := range [][2]string{{"upperdir", filepath.Join(dir, "upper")}, {"workdir", filepath.Join(dir, "work")}, {"source", "seatrial"}} {
		if err := unix.FsconfigSetString(fd, o[0], o[1]); err != nil {
			return fmt.Errorf("%s: %w", o[0], os.NewSyscallError("fsconfig", err))
		}
	}
	// What a container writes is not to survive the host: nothing needs to be synced.
	if err := unix.FsconfigSetFlag(fd, "volatile"); err != nil {
		return fmt.Errorf("volatile: %w", os.NewSyscallError("fsconfig", err))
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return fmt.Errorf("%w%s", os.NewSyscallError("fsconfig", err), said(fd))
	}
	mnt, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fsmount", err)
	}
	defer unix.Close(mnt)
	return os.NewSyscallError("move_mount", unix.MoveMount(mnt, "", unix.AT_FDCWD, filepath.Join(dir, "rootfs"), unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// said is what the kernel has to say about a mount it refused.
func said(fd int) string {
	buf := make([]byte, 4096)
	var out []string
	for len(out) < 8 {
		n, err := unix.Read(fd, buf)
		if err != nil || n == 0 {
			break
		}
		out = append(out, strings.TrimSpace(string(buf[:n])))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, "; ") + ")"
}

func overlayByString(dir string, layers []string) error {
	var names []string
	for _, l := range layers {
		fd, err := unix.Open(l, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		names = append(names, fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	base := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(names, ":"), filepath.Join(dir, "upper"), filepath.Join(dir, "work"))
	if len(base) > optionsBytesMax {
		return &LimitError{"optionsBytesMax", optionsBytesMax, fmt.Sprintf("%d layers on a kernel before 6.5", len(layers))}
	}
	for _, options := range []string{base + ",volatile", base} {
		err := unix.Mount("seatrial", filepath.Join(dir, "rootfs"), "overlay", 0, options)
		if !errors.Is(err, unix.EINVAL) {
			return os.NewSyscallError("mount", err)
		}
	}
	return unix.EINVAL
}
