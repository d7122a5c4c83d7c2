package seccomp

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// answer is what a filter says to a system call, by the rules of the kernel.
func answer(t *testing.T, list []unix.SockFilter, arch, number, arg0 uint32) uint32 {
	var loaded uint32
	for at := 0; at < len(list); at++ {
		switch f := list[at]; f.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			loaded = map[uint32]uint32{atNumber: number, atArch: arch, atArg0: arg0}[f.K]
		case unix.BPF_RET | unix.BPF_K:
			return f.K
		default:
			ok := map[uint16]bool{
				unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:  loaded == f.K,
				unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:  loaded > f.K,
				unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K: loaded&f.K != 0,
			}
			require.Contains(t, ok, f.Code)
			if ok[f.Code] {
				at += int(f.Jt)
			} else {
				at += int(f.Jf)
			}
		}
	}
	t.Fatal("a filter must end in an answer")
	return 0
}

func TestDefault(t *testing.T) {
	plain := Default([]string{"CAP_CHOWN"})
	require.Less(t, len(Encode(plain)), BytesMax)
	rules := append(guarded(), machineGuarded()...)
	listed := map[uint32]bool{}
	for _, r := range rules {
		listed[r.number] = true
		require.Equal(t, deny, answer(t, plain, auditArch, r.number, 0), r.number)
		for _, c := range r.caps {
			require.Equal(t, uint32(allow), answer(t, Default([]string{c}), auditArch, r.number, 0), r.number)
		}
	}
	for n := range uint32(numberMax + 1) {
		if !listed[n] && n != unix.SYS_CLONE3 {
			require.Equal(t, uint32(allow), answer(t, plain, auditArch, n, 0), n)
		}
	}
	for _, n := range []uint32{unix.SYS_CLONE3, numberMax + 1, 0x40000000, 0xffffffff} {
		require.Equal(t, unknown, answer(t, plain, auditArch, n, 0), n)
	}
	require.Equal(t, unknown, answer(t, plain, unix.AUDIT_ARCH_I386, 0, 0), "another machine's numbers mean other calls")
	require.Equal(t, deny, answer(t, plain, auditArch, unix.SYS_CLONE, unix.CLONE_NEWUSER|unix.CLONE_VM))
	require.Equal(t, uint32(allow), answer(t, plain, auditArch, unix.SYS_CLONE, unix.CLONE_VM|uint32(unix.SIGCHLD)))
	require.Equal(t, uint32(allow), answer(t, Default([]string{"CAP_SYS_ADMIN"}), auditArch, unix.SYS_CLONE, unix.CLONE_NEWUSER))
}
