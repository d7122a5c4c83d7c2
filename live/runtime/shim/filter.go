package shim

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/seccomp"
)

// filterFD is where a process that becomes a container's finds its filter: the first of
// the files that libcontainer passes on. Each is given one; without a filter it is empty.
const filterFD = 3

func confined(spec *runtime.ContainerSpec) bool { return !spec.Privileged && !spec.Unconfined }

// giveFilter has a process of a container get the container's filter. The file is the
// caller's to close once the process has started.
func giveFilter(p *libcontainer.Process, spec *runtime.ContainerSpec) (*os.File, error) {
	fd, err := unix.MemfdCreate("filter", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "filter")
	if confined(spec) {
		if _, err := f.WriteAt(seccomp.Encode(seccomp.Default(p.Capabilities.Bounding)), 0); err != nil {
			f.Close()
			return nil, err
		}
	}
	p.ExtraFiles = []*os.File{f}
	return f, nil
}

// armFilter takes the filter in the process that becomes the container's. The file stays
// open until then, so that nothing else comes to have its number, which would be passed on.
func armFilter() error {
	unix.CloseOnExec(filterFD)
	data := make([]byte, seccomp.BytesMax+1)
	n, err := unix.Pread(filterFD, data, 0)
	if err != nil {
		return os.NewSyscallError("pread", err)
	}
	return seccomp.Arm(data[:n])
}

// checkFilter sees that a container's process has its filter before it is let go: how the
// filter gets there is not for libcontainer to know.
func checkFilter(pid int, spec *runtime.ContainerSpec) error {
	if !confined(spec) {
		return nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	if !bytes.Contains(status, []byte("\nSeccomp:\t2\n")) {
		return errors.New("the filter of system calls is not in force: this host's kernel must have CONFIG_SECCOMP_FILTER")
	}
	return nil
}
