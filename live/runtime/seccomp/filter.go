package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// BytesMax is the kernel's limit of one filter: BPF_MAXINSNS, in bytes.
const BytesMax = 4096 * instructionBytes

const instructionBytes = 8

// Where a filter finds what it judges (struct seccomp_data). The low half of the first
// argument is meant: both machines that this is built for have it first.
const (
	atNumber = 0
	atArch   = 4
	atArg0   = 16
)

const (
	namespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
		unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	afVSOCK = 40 // to the hypervisor, past the pod's network

	deny    = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	unknown = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	allow   = unix.SECCOMP_RET_ALLOW
)

// rule is a system call that needs one of some capabilities; none is enough if there are
// none.
type rule struct {
	number uint32
	caps   []string
}

// guarded lists what is refused on every machine.
func guarded() []rule {
	admin := []string{"CAP_SYS_ADMIN"}
	trace := []string{"CAP_SYS_PTRACE"}
	module := []string{"CAP_SYS_MODULE"}
	clock := []string{"CAP_SYS_TIME"}
	nice := []string{"CAP_SYS_NICE"}
	return []rule{
		{unix.SYS_ADD_KEY, nil}, {unix.SYS_KEYCTL, nil}, {unix.SYS_REQUEST_KEY, nil}, // keys know no namespace
		{unix.SYS_KEXEC_LOAD, nil}, {unix.SYS_KEXEC_FILE_LOAD, nil},
		{unix.SYS_SWAPON, nil}, {unix.SYS_SWAPOFF, nil}, {unix.SYS_PIVOT_ROOT, nil}, {unix.SYS_NFSSERVCTL, nil},
		{unix.SYS_USERFAULTFD, nil}, {unix.SYS_MOVE_PAGES, nil}, {unix.SYS_MIGRATE_PAGES, nil},
		{unix.SYS_IO_URING_SETUP, nil}, {unix.SYS_IO_URING_ENTER, nil}, {unix.SYS_IO_URING_REGISTER, nil},

		{unix.SYS_MOUNT, admin}, {unix.SYS_UMOUNT2, admin}, {unix.SYS_MOUNT_SETATTR, admin}, {unix.SYS_MOVE_MOUNT, admin},
		{unix.SYS_FSOPEN, admin}, {unix.SYS_FSCONFIG, admin}, {unix.SYS_FSMOUNT, admin}, {unix.SYS_FSPICK, admin},
		{unix.SYS_OPEN_TREE, admin}, {sysOpenTreeAttr, admin}, {unix.SYS_SETNS, admin}, {unix.SYS_UNSHARE, admin},
		{unix.SYS_SETHOSTNAME, admin}, {unix.SYS_SETDOMAINNAME, admin}, {unix.SYS_QUOTACTL, admin}, {unix.SYS_QUOTACTL_FD, admin},
		{unix.SYS_FANOTIFY_INIT, admin}, {unix.SYS_LOOKUP_DCOOKIE, admin},
		{unix.SYS_BPF, []string{"CAP_SYS_ADMIN", "CAP_BPF"}},
		{unix.SYS_PERF_EVENT_OPEN, []string{"CAP_SYS_ADMIN", "CAP_PERFMON"}},
		{unix.SYS_SYSLOG, []string{"CAP_SYS_ADMIN", "CAP_SYSLOG"}},

		{unix.SYS_KCMP, trace}, {unix.SYS_PIDFD_GETFD, trace}, {unix.SYS_PROCESS_MADVISE, trace},
		{unix.SYS_INIT_MODULE, module}, {unix.SYS_FINIT_MODULE, module}, {unix.SYS_DELETE_MODULE, module},
		{unix.SYS_SETTIMEOFDAY, clock}, {unix.SYS_CLOCK_SETTIME, clock},
		{unix.SYS_MBIND, nice}, {unix.SYS_GET_MEMPOLICY, nice}, {unix.SYS_SET_MEMPOLICY, nice}, {unix.SYS_SET_MEMPOLICY_HOME_NODE, nice},
		{unix.SYS_REBOOT, []string{"CAP_SYS_BOOT"}},
		{unix.SYS_CHROOT, []string{"CAP_SYS_CHROOT"}},
		{unix.SYS_ACCT, []string{"CAP_SYS_PACCT"}},
		{unix.SYS_VHANGUP, []string{"CAP_SYS_TTY_CONFIG"}},
		{unix.SYS_OPEN_BY_HANDLE_AT, []string{"CAP_DAC_READ_SEARCH"}},
	}
}

// Default is the filter of a container that has the capabilities given, in the form of
// the kernel.
func Default(capabilities []string) []unix.SockFilter {
	var p program
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, atArch)
	p.unless(unix.BPF_JEQ, auditArch, unknown)
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, atNumber)
	p.when(unix.BPF_JGT, numberMax, unknown) // numbers of x32 are above it, too
	p.when(unix.BPF_JEQ, unix.SYS_CLONE3, unknown)
	for _, r := range append(guarded(), machineGuarded()...) {
		if !slices.ContainsFunc(r.caps, func(c string) bool { return slices.Contains(capabilities, c) }) {
			p.when(unix.BPF_JEQ, r.number, deny)
		}
	}
	if !slices.Contains(capabilities, "CAP_SYS_ADMIN") {
		p.byArgument(unix.SYS_CLONE, func() { p.when(unix.BPF_JSET, namespaceFlags, deny) })
	}
	p.byArgument(unix.SYS_SOCKET, func() { p.when(unix.BPF_JEQ, afVSOCK, deny) })
	p.byArgument(unix.SYS_PERSONALITY, func() {
		for _, harmless := range []uint32{0, 0x8, 0x20000, 0x20008, 0xffffffff} {
			p.when(unix.BPF_JEQ, harmless, allow)
		}
		p.add(unix.BPF_RET|unix.BPF_K, deny)
	})
	p.add(unix.BPF_RET|unix.BPF_K, allow)
	return p.list
}

// program is a filter being written: straight on, with jumps over the next instructions
// only.
type program struct{ list []unix.SockFilter }

func (p *program) add(code uint16, k uint32) {
	p.list = append(p.list, unix.SockFilter{Code: code, K: k})
}

// when answers if what is loaded compares so.
func (p *program) when(compare uint16, k, answer uint32) {
	p.list = append(p.list, unix.SockFilter{Code: unix.BPF_JMP | compare | unix.BPF_K, Jf: 1, K: k})
	p.add(unix.BPF_RET|unix.BPF_K, answer)
}

func (p *program) unless(compare uint16, k, answer uint32) {
	p.list = append(p.list, unix.SockFilter{Code: unix.BPF_JMP | compare | unix.BPF_K, Jt: 1, K: k})
	p.add(unix.BPF_RET|unix.BPF_K, answer)
}

// byArgument judges a system call by its first argument; what inner does not answer is
// allowed.
func (p *program) byArgument(number uint32, inner func()) {
	at := len(p.list)
	p.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, number)
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, atArg0)
	inner()
	p.add(unix.BPF_RET|unix.BPF_K, allow)
	p.list[at].Jf = uint8(len(p.list) - at - 1)
}

// Encode gives a filter as the bytes that Arm takes.
func Encode(list []unix.SockFilter) []byte {
	var out []byte
	for _, f := range list {
		out = binary.NativeEndian.AppendUint16(out, f.Code)
		out = append(out, f.Jt, f.Jf)
		out = binary.NativeEndian.AppendUint32(out, f.K)
	}
	return out
}
