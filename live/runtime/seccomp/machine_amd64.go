package seccomp

import "golang.org/x/sys/unix"

// numberMax is the newest system call that the list has judged: file_setattr of Linux 6.17.
const (
	auditArch       = unix.AUDIT_ARCH_X86_64
	numberMax       = 469
	sysOpenTreeAttr = 467
)

func machineGuarded() []rule {
	raw := []string{"CAP_SYS_RAWIO"}
	return []rule{
		{unix.SYS_IOPL, raw}, {unix.SYS_IOPERM, raw},
		{unix.SYS_CREATE_MODULE, nil}, {unix.SYS_GET_KERNEL_SYMS, nil}, {unix.SYS_QUERY_MODULE, nil},
		{unix.SYS_USELIB, nil}, {unix.SYS_USTAT, nil}, {unix.SYS_SYSFS, nil}, {unix.SYS__SYSCTL, nil},
	}
}
