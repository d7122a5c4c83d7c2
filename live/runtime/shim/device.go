package shim

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime"
)

const devicesMax = 4096 // of a host, given to a privileged container

// device describes what is at path of the host as one to be made in a container.
func device(path string) (specs.LinuxDevice, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return specs.LinuxDevice{}, err
	}
	st := info.Sys().(*syscall.Stat_t)
	kind := "c"
	switch {
	case info.Mode()&fs.ModeDevice == 0:
		return specs.LinuxDevice{}, fmt.Errorf("%s is not a device", path)
	case info.Mode()&fs.ModeCharDevice == 0:
		kind = "b"
	}
	mode := info.Mode().Perm()
	return specs.LinuxDevice{
		Path: path, Type: kind, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
	}, nil
}

// hostDevices lists /dev without what each container gets its own of.
func hostDevices() ([]specs.LinuxDevice, error) {
	var out []specs.LinuxDevice
	err := filepath.WalkDir("/dev", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // gone meanwhile
		case d.IsDir():
			switch path {
			case "/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/hugepages", "/dev/.udev":
				return fs.SkipDir
			}
			return nil
		case d.Type()&fs.ModeDevice == 0 || path == "/dev/console" || path == "/dev/tty":
			return nil
		case len(out) >= devicesMax:
			return fmt.Errorf("/dev of the host holds more than %d devices", devicesMax)
		}
		if found, err := device(path); err == nil {
			out = append(out, found)
		}
		return nil
	})
	return out, err
}

func addDevices(l *specs.Linux, spec *runtime.ContainerSpec) error {
	if spec.Privileged {
		list, err := hostDevices()
		if err != nil {
			return &runtime.Error{Kind: runtime.KindHost, Text: err.Error()}
		}
		l.Devices = list
	}
	for _, want := range spec.Devices {
		d, err := device(want.HostPath)
		if err != nil {
			return &runtime.Error{Kind: runtime.KindStart, Text: fmt.Sprintf("device %s: %v", want.HostPath, err)}
		}
		d.Path = filepath.Clean(want.Path)
		l.Devices = append(l.Devices, d)
		l.Resources.Devices = append(l.Resources.Devices, specs.LinuxDeviceCgroup{
			Allow: true, Type: d.Type, Major: &d.Major, Minor: &d.Minor, Access: want.Permissions,
		})
	}
	return nil
}
