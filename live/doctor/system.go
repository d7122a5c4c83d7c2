package doctor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	kernelMajorMin, kernelMinorMin = 5, 3 // pidfd_open; open_tree and move_mount are of 5.2

	nofileWanted    = 65536 // for a server with many watches
	nofileMin       = 4096
	inotifyWanted   = 128
	pidsWanted      = 32768
	conntrackWanted = 65536
)

func kernelRows() []Row {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return []Row{tried("kernel", Required, "everything", "", err)}
	}
	release := unix.ByteSliceToString(u.Release[:])
	major, minor := version(release)
	ok := major > kernelMajorMin || major == kernelMajorMin && minor >= kernelMinorMin
	return []Row{
		{
			Feature: "kernel", Level: Required, OK: ok, Found: release, For: "pidfds, mounts by file descriptor",
			Do: unless(ok, "boot a kernel of %d.%d or newer", kernelMajorMin, kernelMinorMin),
		},
		tried("overlayfs", Required, "images of containers", "load it: modprobe overlay", inSpace(unix.CLONE_NEWNS, overlay)),
	}
}

// version reads the first two numbers of a kernel's release.
func version(release string) (major, minor int) {
	fields := strings.FieldsFunc(release, func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) > 1 {
		major, _ = strconv.Atoi(fields[0])
		minor, _ = strconv.Atoi(fields[1])
	}
	return major, minor
}

func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// inSpace runs something on a thread with namespaces of its own, which end with it.
func inSpace(flags int, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The process's first thread never ends; while it is held here, the next
			// try gets another.
			err := inSpace(flags, do)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		if err := unix.Unshare(flags); err != nil {
			done <- fmt.Errorf("no namespace to try it in: %w", err)
			return
		}
		done <- do() // never unlocked: the thread ends with the goroutine
	}()
	return <-done
}

// overlay mounts one over a file system in memory, at a place that is there anyway.
func overlay() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	const at = "/proc" // in this namespace only
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(at, d), 0o755); err != nil {
			return err
		}
	}
	options := "lowerdir=" + at + "/lower,upperdir=" + at + "/upper,workdir=" + at + "/work"
	return unix.Mount("overlay", at+"/merged", "overlay", 0, options)
}

func cgroupRows() []Row {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return []Row{tried("cgroups", Required, "limits of containers", "mount /proc", err)}
	}
	defer f.Close()
	v1, v2 := hierarchies(bufio.NewScanner(f))
	controllers := slices.Clone(v1)
	mode := "none"
	switch {
	case len(v1) > 0 && v2 != "":
		mode = "v1 and unified (hybrid)"
	case len(v1) > 0:
		mode = "v1"
	case v2 != "":
		mode = "v2"
		data, _ := os.ReadFile(filepath.Join(v2, "cgroup.controllers"))
		controllers = strings.Fields(string(data))
	}
	wanted := []string{"cpu", "memory", "pids"}
	if len(v1) > 0 {
		wanted = append(wanted, "devices", "freezer")
	}
	var missing []string
	for _, c := range wanted {
		if !slices.Contains(controllers, c) {
			missing = append(missing, c)
		}
	}
	slices.Sort(controllers)
	return []Row{
		{
			Feature: "cgroups", Level: Required, OK: mode != "none", Found: mode, For: "limits of containers",
			Do: unless(mode != "none", "mount them: mount -t cgroup2 none /sys/fs/cgroup"),
		},
		{
			Feature: "cgroup controllers", Level: Required, OK: len(missing) == 0, Found: strings.Join(controllers, " "), For: "limits, freezing, the killing of all in a group",
			Do: unless(len(missing) == 0, "enable %s in the kernel's command line or configuration", strings.Join(missing, ", ")),
		},
	}
}

// hierarchies are the controllers of v1 that are mounted, and where v2 is.
func hierarchies(mountinfo *bufio.Scanner) (v1 []string, v2 string) {
	for mountinfo.Scan() {
		before, after, _ := strings.Cut(mountinfo.Text(), " - ")
		front, back := strings.Fields(before), strings.Fields(after)
		if len(front) < 5 || len(back) < 3 {
			continue
		}
		switch back[0] {
		case "cgroup2":
			v2 = front[4]
		case "cgroup":
			for o := range strings.SplitSeq(back[2], ",") {
				if o != "rw" && o != "ro" && !strings.Contains(o, "=") && !slices.Contains(v1, o) {
					v1 = append(v1, o)
				}
			}
		}
	}
	return v1, v2
}

func namespaceRows() []Row {
	needed, more := []string{"mnt", "net", "pid", "uts", "ipc"}, []string{"user", "cgroup", "time"}
	var missing, found []string
	for _, n := range slices.Concat(needed, more) {
		if _, err := os.Stat("/proc/self/ns/" + n); err == nil {
			found = append(found, n)
		} else if slices.Contains(needed, n) {
			missing = append(missing, n)
		}
	}
	return []Row{
		{
			Feature: "namespaces", Level: Required, OK: len(missing) == 0, Found: strings.Join(found, " "), For: "pods, and hosts of a lab",
			Do: unless(len(missing) == 0, "a kernel with %s namespaces", strings.Join(missing, ", ")),
		},
		tried("new namespaces", Required, "pods, and hosts of a lab", "run as root, in no container that forbids it",
			inSpace(unix.CLONE_NEWNET|unix.CLONE_NEWNS|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC, func() error { return nil })),
	}
}

func securityRows() []Row {
	data, _ := os.ReadFile("/proc/self/status")
	fields := map[string]string{}
	for line := range bytes.Lines(data) {
		name, value, _ := strings.Cut(string(line), ":")
		fields[name] = strings.TrimSpace(value)
	}
	_, seccomp := fields["Seccomp"]
	effective, _ := strconv.ParseUint(fields["CapEff"], 16, 64)
	has := func(c int) bool { return effective>>c&1 == 1 }
	var lacking []string
	for name, c := range map[string]int{
		"CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_KILL": unix.CAP_KILL,
		"CAP_CHOWN": unix.CAP_CHOWN, "CAP_MKNOD": unix.CAP_MKNOD, "CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE,
	} {
		if !has(c) {
			lacking = append(lacking, name)
		}
	}
	slices.Sort(lacking)
	found := "all"
	if lacking != nil {
		found = "without " + strings.Join(lacking, ", ")
	}
	return []Row{
		{
			Feature: "root's capabilities", Level: Required, OK: lacking == nil, Found: found, For: "containers and networks",
			Do: unless(lacking == nil, "run as root (sudo)"),
		},
		{
			Feature: "CAP_SYS_RESOURCE", Level: Optional, OK: has(unix.CAP_SYS_RESOURCE), Found: yesNo(has(unix.CAP_SYS_RESOURCE)),
			For: "OOM scores that spare guaranteed pods and the agent, higher limits of open files",
			Do:  unless(has(unix.CAP_SYS_RESOURCE), "grant it to root; without it such settings are left out"),
		},
		{
			Feature: "seccomp", Level: Required, OK: seccomp, Found: yesNo(seccomp), For: "the system calls a container may make",
			Do: unless(seccomp, "a kernel with CONFIG_SECCOMP_FILTER"),
		},
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func limitRows() []Row {
	var nofile unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &nofile)
	out := []Row{tried("open files (hard limit)", Optional, "servers with many watches", "", err)}
	if err == nil {
		out[0].OK, out[0].Found = nofile.Max >= nofileWanted, fmt.Sprint(nofile.Max)
		if nofile.Max < nofileMin {
			out[0].Level = Required
		}
		out[0].Do = unless(out[0].OK, "raise it to %d: LimitNOFILE= of the service, or /etc/security/limits.conf", nofileWanted)
	}
	for _, s := range []struct {
		name, sysctl, need string
		wanted             int
	}{
		{"inotify instances", "fs/inotify/max_user_instances", "containers that watch files", inotifyWanted},
		{"process IDs", "kernel/pid_max", "many pods on a host", pidsWanted},
		{"conntrack entries", "net/netfilter/nf_conntrack_max", "connections through services", conntrackWanted},
	} {
		row := Row{Feature: s.name, Level: Optional, For: s.need, Found: "unknown"}
		data, err := os.ReadFile("/proc/sys/" + s.sysctl)
		if n, bad := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && bad == nil {
			row.Found, row.OK = strconv.Itoa(n), n >= s.wanted
		}
		row.Do = unless(row.OK, "sysctl -w %s=%d", strings.ReplaceAll(s.sysctl, "/", "."), s.wanted)
		out = append(out, row)
	}
	return out
}

func toolRows(binDir string) []Row {
	var out []Row
	for _, t := range []struct {
		name, pkg string
		level     Level
		need      string
	}{
		{"iptables-restore", "iptables", Required, "service addresses"},
		{"conntrack", "conntrack", Optional, "UDP clients that follow when a pod is gone"},
		{"nft", "nftables", Lab, "cuts between hosts of a lab"},
	} {
		path, err := exec.LookPath(t.name)
		row := Row{Feature: t.name, Level: t.level, OK: err == nil, Found: path, For: t.need}
		if err != nil {
			row.Found, row.Do = "no", "apt-get install "+t.pkg
		}
		out = append(out, row)
	}
	for _, t := range []struct {
		name  string
		level Level
		need  string
		do    string
	}{
		{"seatrial-runtime", Required, "containers", "make build"},
		{"kubectl", Optional, "looking at the cluster by seatrial kubectl", "make kubectl"},
	} {
		path := filepath.Join(binDir, t.name)
		info, err := os.Stat(path)
		if err == nil && info.Mode()&0o111 == 0 {
			err = errors.New("not executable")
		}
		row := Row{Feature: t.name, Level: t.level, OK: err == nil, Found: path, For: t.need}
		if err != nil {
			row.Found, row.Do = "not beside this program", fmt.Sprintf("%s, and keep it in %s", t.do, binDir)
		}
		out = append(out, row)
	}
	return out
}
