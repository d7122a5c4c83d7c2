package shim

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/capability"
	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/specconv"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/wire"
)

// What is hidden from a container that is not privileged: the list of runc and
// containerd.
func maskedPaths() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
		"/sys/firmware",
	}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// plan is a container ready for libcontainer. The held mounts are only needed until
// it has started: it has its own of the same by then.
type plan struct {
	config  *configs.Config
	process *specs.Process
	held    []held
	target  *os.File // the namespace of another container's processes; may be nil
}

// held is the mount that keeps a subPath as it was when it was checked.
type held struct {
	at      string
	subPath string
	target  string // in the container
}

func (p *plan) close() {
	if p.target != nil {
		p.target.Close()
	}
	for _, h := range p.held {
		if err := unix.Unmount(h.at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			fmt.Fprintf(os.Stderr, "unmounting %s: %v\n", h.at, err)
			continue
		}
		_ = os.Remove(h.at)
	}
}

// startError says why the container did not start. A held subPath may be removed by
// another container of the pod before this one has mounted it; all that the kernel
// says then is that a path of the host does not exist, which means nothing to a user.
func (p *plan) startError(err error) error {
	for _, h := range p.held {
		var now unix.Stat_t
		if unix.Stat(h.at, &now) == nil && now.Nlink == 0 {
			return subPathError(h.subPath, h.target, errors.New("it was removed while the container was started"))
		}
	}
	return &runtime.Error{Kind: runtime.KindStart, Text: err.Error()}
}

func subPathError(subPath, target string, err error) error {
	return &runtime.Error{Kind: runtime.KindStart, Text: fmt.Sprintf("subPath %q of the volume at %s: %v", subPath, target, err)}
}

// plan turns a spec into what libcontainer wants.
func (s *shim) plan(spec *runtime.ContainerSpec) (_ *plan, err error) {
	p := &plan{}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	if p.process, err = process(spec); err != nil {
		return nil, err
	}
	mounts, err := s.mounts(spec, p)
	if err != nil {
		return nil, err
	}
	if spec.Target.Name != "" && !s.sharesPIDs() {
		if p.target, err = s.pidsOf(spec.Target); err != nil {
			return nil, err
		}
	}
	oci := &specs.Spec{
		Version: specs.Version,
		Root:    &specs.Root{Path: spec.Rootfs, Readonly: spec.ReadonlyRootfs},
		Process: p.process,
		Mounts:  mounts,
		Linux: &specs.Linux{
			Namespaces:        s.namespaces(p.target),
			CgroupsPath:       filepath.Join(s.cgroupPath(), spec.ID.Local()),
			RootfsPropagation: rootPropagation(spec.Mounts),
			Resources:         &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: spec.Privileged, Access: "rwm"}}},
		},
	}
	if !spec.Privileged && !spec.UnmaskedProc {
		oci.Linux.MaskedPaths, oci.Linux.ReadonlyPaths = maskedPaths(), readonlyPaths()
	}
	if !spec.Privileged && !cgroups.IsCgroup2UnifiedMode() {
		// The hierarchies are, but not the file system in memory that has their folders.
		oci.Linux.ReadonlyPaths = append(oci.Linux.ReadonlyPaths, "/sys/fs/cgroup")
	}
	if err := addDevices(oci.Linux, spec); err != nil {
		return nil, err
	}
	p.config, err = specconv.CreateLibcontainerConfig(&specconv.CreateOpts{Spec: oci})
	if err != nil {
		return nil, &runtime.Error{Kind: runtime.KindInvalid, Text: err.Error()}
	}
	limit(p.config.Cgroups.Resources, spec.Resources)
	return p, nil
}

// limit sets limits beside the device rules that are there.
func limit(into *cgroups.Resources, r runtime.Resources) {
	limits := resources(r)
	limits.Devices, limits.SkipDevices = into.Devices, into.SkipDevices
	limits.Unified = into.Unified
	if cgroups.IsCgroup2UnifiedMode() && r.MemoryBytes > 0 {
		// A container out of memory ends as a whole, as with the kubelet.
		limits.Unified = map[string]string{"memory.oom.group": "1"}
	}
	*into = *limits
}

// sharesPIDs says that no container of the pod has processes of its own.
func (s *shim) sharesPIDs() bool { return s.pod.Spec.SharePID || s.pod.Spec.HostPID }

// pidsOf opens the namespace of a container's processes. It is held open, and looked at
// again, since a process that ends leaves its number to any other of the host.
func (s *shim) pidsOf(id runtime.ID) (*os.File, error) {
	r, err := s.find(wire.Target{Name: id.Name, Run: id.Run}, true)
	if err != nil {
		return nil, err
	}
	gone := &runtime.Error{Kind: runtime.KindGone, Text: fmt.Sprintf("container %s does not run", id)}
	if r.container == nil { // it is being started
		return nil, gone
	}
	f, err := os.Open(namespacePath(r.status.PID, "pid"))
	if err != nil {
		return nil, gone
	}
	if now, err := r.container.Status(); err != nil || now == libcontainer.Stopped {
		f.Close()
		return nil, gone
	}
	return f, nil
}

// namespaces of a container: its own mounts, its own processes unless shared with all or
// with one, all else the pod's.
func (s *shim) namespaces(target *os.File) []specs.LinuxNamespace {
	spec, pause := &s.pod.Spec, s.pod.PausePID
	out := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	switch {
	case spec.SharePID:
		out = append(out, specs.LinuxNamespace{Type: specs.PIDNamespace, Path: namespacePath(pause, "pid")})
	case target != nil:
		out = append(out, specs.LinuxNamespace{Type: specs.PIDNamespace, Path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), target.Fd())})
	case !spec.HostPID:
		out = append(out, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}
	if !spec.HostIPC {
		out = append(out, specs.LinuxNamespace{Type: specs.IPCNamespace, Path: namespacePath(pause, "ipc")})
	}
	if !spec.HostNetwork() {
		out = append(out,
			specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: namespacePath(pause, "net")},
			specs.LinuxNamespace{Type: specs.UTSNamespace, Path: namespacePath(pause, "uts")})
	}
	if cgroups.IsCgroup2UnifiedMode() {
		out = append(out, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	return out
}

func process(spec *runtime.ContainerSpec) (*specs.Process, error) {
	caps, err := capabilities(spec)
	if err != nil {
		return nil, err
	}
	adj, err := oomScoreAdj(spec.OOMScoreAdj)
	if err != nil {
		return nil, err
	}
	cwd := spec.Cwd
	if cwd == "" {
		cwd = "/"
	}
	defaults := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if spec.TTY {
		defaults = append(defaults, "TERM=xterm")
	}
	return &specs.Process{
		Args: spec.Args, Env: overlaid(defaults, spec.Env), Cwd: path.Clean(cwd),
		User:            specs.User{UID: spec.UID, GID: spec.GID, AdditionalGids: spec.Groups},
		Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		NoNewPrivileges: spec.NoNewPrivileges,
		OOMScoreAdj:     &adj,
		Terminal:        spec.TTY,
	}, nil
}

// capabilities are those asked for; what this process has not got it cannot give.
func capabilities(spec *runtime.ContainerSpec) ([]string, error) {
	own, err := capability.NewPid2(0)
	if err == nil {
		err = own.Load()
	}
	if err != nil {
		return nil, err
	}
	var all []string
	for _, c := range capability.ListKnown() {
		if own.Get(capability.EFFECTIVE, c) && own.Get(capability.BOUNDING, c) {
			all = append(all, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	if spec.Privileged || slices.Contains(spec.Capabilities, runtime.AllCapabilities) {
		return all, nil
	}
	for _, c := range spec.Capabilities {
		if !slices.Contains(all, c) {
			return nil, &runtime.Error{Kind: runtime.KindStart, Text: fmt.Sprintf("capability %s: this host's runtime has it not to give", c)}
		}
	}
	return spec.Capabilities, nil
}

// oomScoreAdj is the value asked for, or the lowest that is allowed here: below its
// own, a process needs CAP_SYS_RESOURCE.
func oomScoreAdj(want int) (int, error) {
	data, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0, err
	}
	var own int
	if _, err := fmt.Sscan(string(data), &own); err != nil {
		return 0, err
	}
	if want >= own {
		return want, nil
	}
	c, err := capability.NewPid2(0)
	if err == nil {
		err = c.Load()
	}
	if err != nil {
		return 0, err
	}
	if c.Get(capability.EFFECTIVE, capability.CAP_SYS_RESOURCE) {
		return want, nil
	}
	return own, nil
}

// mounts are those every container has, without those the spec has its own for, and
// then the spec's.
func (s *shim) mounts(spec *runtime.ContainerSpec, p *plan) ([]specs.Mount, error) {
	sysMode := "ro"
	if spec.Privileged {
		sysMode = "rw"
	}
	shm := s.path(wire.DirShm)
	if s.pod.Spec.HostIPC {
		shm = "/dev/shm"
	}
	out := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "bind", Source: shm, Options: []string{"rbind", "nosuid", "nodev", "noexec", "rw", "rprivate"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", sysMode}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", sysMode}},
	}
	out = slices.DeleteFunc(out, func(m specs.Mount) bool {
		return slices.ContainsFunc(spec.Mounts, func(own runtime.Mount) bool { return path.Clean(own.Target) == m.Destination })
	})
	for i := range spec.Mounts {
		m, err := mount(&spec.Mounts[i], p, filepath.Join(s.path(wire.DirHeld), fmt.Sprintf("%s.%d", spec.ID.Local(), i)))
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func mount(m *runtime.Mount, p *plan, at string) (specs.Mount, error) {
	mode := "rw"
	if m.ReadOnly {
		mode = "ro"
	}
	target := path.Clean(m.Target)
	if m.Kind == runtime.MountTmpfs {
		options := []string{"nosuid", "nodev", "mode=1777", mode}
		if m.SizeBytes > 0 {
			options = append(options, fmt.Sprintf("size=%d", m.SizeBytes))
		}
		return specs.Mount{Destination: target, Type: "tmpfs", Source: "tmpfs", Options: options}, nil
	}
	source := m.Source
	if m.SubPath != "" {
		if err := hold(m.Source, m.SubPath, at); err != nil {
			return specs.Mount{}, subPathError(m.SubPath, target, err)
		}
		p.held = append(p.held, held{at: at, subPath: m.SubPath, target: target})
		source = at
	}
	propagation := map[string]string{
		runtime.PropagationNone:            "rprivate",
		runtime.PropagationHostToContainer: "rslave",
		runtime.PropagationBidirectional:   "rshared",
	}[m.Propagation]
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"rbind", mode, propagation}}, nil
}

// hold binds what is at sub below dir to a path nobody else can change: between the
// check and the start of the container, another container of the pod could put a
// link to anywhere in its place.
func hold(dir, sub, at string) error {
	f, err := openBelow(dir, sub)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(at, 0o700)
	} else {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return err
	}
	from := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		_ = os.Remove(at)
		return os.NewSyscallError("mount", err)
	}
	return nil
}

// openBelow opens what is at sub below dir, without ever leaving dir, by a link or
// otherwise. A folder is made where nothing is.
func openBelow(dir, sub string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if _, err := root.Stat(sub); os.IsNotExist(err) {
		if err := root.MkdirAll(sub, 0o750); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	top, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	fd, err := unix.Openat2(int(top.Fd()), sub, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, os.NewSyscallError("openat2", err)
	}
	return os.NewFile(uintptr(fd), sub), nil
}

func rootPropagation(mounts []runtime.Mount) string {
	if slices.ContainsFunc(mounts, func(m runtime.Mount) bool { return m.Propagation == runtime.PropagationBidirectional }) {
		return "rshared"
	}
	return "rslave"
}
