// The pause process of a pod: what holds its namespaces, and reaps orphans when the
// PID namespace is shared. It runs before the Go runtime and instead of it, so that
// it costs a page table and a stack. It asks for nothing but what fd 3 and two
// variables of the environment give.
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65535

static void must(int ok, const char *what)
{
	if (ok)
		return;
	dprintf(3, "%s: %s", what, strerror(errno));
	_exit(1);
}

__attribute__((constructor)) static void pause_pod(void)
{
	const char *root = getenv("SEATRIAL_PAUSE_ROOT");
	const char *name = getenv("SEATRIAL_PAUSE_HOSTNAME");
	struct sigaction reap;

	if (!root)
		return;
	if (name && *name)
		must(!sethostname(name, strlen(name)), "setting the host name");

	must(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "making mounts private");
	must(!mount("pause", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=555"), "mounting the root");
	must(!mount(NULL, root, NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "making the root read-only");
	must(!chdir(root), "entering the root");
	must(!syscall(SYS_pivot_root, ".", "."), "changing the root");
	must(!umount2(".", MNT_DETACH), "leaving the old root");
	must(!chdir("/"), "entering the new root");

	must(!setgroups(0, NULL), "dropping groups");
	must(!setresgid(NOBODY, NOBODY, NOBODY), "dropping the group");
	must(!setresuid(NOBODY, NOBODY, NOBODY), "dropping the user");
	must(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "forbidding privileges");
	must(!prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "hiding from others");

	memset(&reap, 0, sizeof(reap));
	reap.sa_handler = SIG_DFL;
	reap.sa_flags = SA_NOCLDWAIT;
	must(!sigaction(SIGCHLD, &reap, NULL), "reaping orphans");

	must(write(3, "ok", 2) == 2, "telling the shim");
	close(3);
	close(4);
	for (;;)
		pause();
}
