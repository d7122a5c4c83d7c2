package seccomp

/*
#cgo LDFLAGS: -Wl,--wrap=setgid
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static struct sock_filter *armed;
static unsigned short armed_len;

int __real_setgid(gid_t gid);

// Whoever becomes another user calls this once, when its namespaces and mounts are made
// and while it still may put a filter on itself without no_new_privs.
int __wrap_setgid(gid_t gid) {
	struct sock_fprog program = { .len = armed_len, .filter = armed };

	if (__real_setgid(gid) != 0)
		return -1;
	if (armed == NULL)
		return 0;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : -1;
}

static void arm(struct sock_filter *list, unsigned short len) {
	armed = list;
	armed_len = len;
}
*/
import "C"

import (
	"fmt"
)

// Arm has the calling process put a filter, as Encode gave it, on the thread that calls
// setgid next. None means no filter. It is called once, at the start.
func Arm(filter []byte) error {
	if len(filter)%instructionBytes != 0 || len(filter) > BytesMax {
		return fmt.Errorf("system call filter of %d bytes: want %d at most, in instructions of %d", len(filter), BytesMax, instructionBytes)
	}
	if n := len(filter) / instructionBytes; n > 0 {
		C.arm((*C.struct_sock_filter)(C.CBytes(filter)), C.ushort(n)) // kept until the process is another
	}
	return nil
}
