package runtime_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime"
)

// calls makes each system call named in its arguments with arguments of zero, and says
// how it ended.
const calls = `
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <unistd.h>
#include <sys/syscall.h>
int main(int n, char **v) {
	for (int i = 1; i + 1 < n; i += 2) {
		long got = syscall(atol(v[i]), strtoul(v[i+1], 0, 0), 0, 0, 0, 0, 0);
		printf("%s(%s) %s\n", v[i], v[i+1], got < 0 ? strerrorname_np(errno) : "ok");
		fflush(stdout);
	}
}`

// TestSystemCalls: the filter is on a container's first process and on each exec, lets
// through what a capability is for, and is off where it is asked to be.
func TestSystemCalls(t *testing.T) {
	h := newHost(t)
	source := filepath.Join(t.TempDir(), "calls.c")
	require.NoError(t, os.WriteFile(source, []byte(calls), 0o600))
	out, err := exec.Command("gcc", "-static", "-o", filepath.Join(h.rootfs, "bin/calls"), source).CombinedOutput()
	require.NoError(t, err, string(out))
	pod := h.sandbox()
	const script = `calls 39 0 250 0 246 0 323 0 321 -1 165 0 272 0 435 0 9999 0 425 0 41 40 135 3 135 0xffffffff; unshare -U true || echo no users; unshare -m true || echo no mounts`
	refused := []string{
		"39(0) ok", "250(0) EPERM", "246(0) EPERM", "323(0) EPERM", "321(-1) EPERM", "165(0) EPERM", "272(0) EPERM",
		"435(0) ENOSYS", "9999(0) ENOSYS", "425(0) EPERM", "41(40) EPERM", "135(3) EPERM", "135(0xffffffff) ok",
		"no users", "no mounts",
	}
	contains := func(log string, lines ...string) {
		t.Helper()
		for _, l := range lines {
			require.Contains(t, log, l)
		}
	}
	for name, edit := range map[string]func(*runtime.ContainerSpec){
		"root":   func(*runtime.ContainerSpec) {},
		"nobody": func(s *runtime.ContainerSpec) { s.UID, s.GID, s.Groups = 65534, 65534, []uint32{7} },
		"nnp":    func(s *runtime.ContainerSpec) { s.NoNewPrivileges, s.Capabilities = true, nil; s.UID = 1000 },
		"tty":    func(s *runtime.ContainerSpec) { s.TTY = true },
	} {
		spec := h.spec(pod, name, script+"; grep Seccomp: /proc/self/status; ls -l /proc/self/fd; exec sleep 1000")
		edit(&spec)
		id := h.start(spec)
		h.until(spec, "total 0")
		contains(h.log(spec), append(refused, "Seccomp:\t2")...)
		require.NotContains(t, h.log(spec), "memfd", name)
		_, log := h.exec(id, script+"; grep Seccomp: /proc/self/status; ls -l /proc/self/fd")
		contains(log, append(refused, "Seccomp:\t2")...)
		require.NotContains(t, log, "memfd", name)
	}
	spec := h.spec(pod, "admin", script)
	spec.Capabilities = append(spec.Capabilities, "CAP_SYS_ADMIN")
	_, log := h.run(spec)
	contains(log, "250(0) EPERM", "165(0) EFAULT", "272(0) ok", "435(0) ENOSYS")
	require.NotContains(t, log, "no mounts")
	for name, edit := range map[string]func(*runtime.ContainerSpec){
		"unconfined": func(s *runtime.ContainerSpec) { s.Unconfined = true },
		"privileged": func(s *runtime.ContainerSpec) { s.Privileged = true },
	} {
		spec := h.spec(pod, name, "calls 9999 0 435 0; unshare -U true && echo users; grep Seccomp: /proc/self/status")
		edit(&spec)
		_, log := h.run(spec)
		contains(log, "435(0) E", "9999(0) ENOSYS", "users", "Seccomp:\t0")
		require.NotContains(t, log, "435(0) ENOSYS")
	}
	// What fails after the filter is in force still says so.
	spec = h.spec(pod, "missing", "")
	spec.Args = []string{"no-such-command"}
	_, err = h.client.StartContainer(h.ctx(), spec)
	require.ErrorContains(t, err, "no-such-command")
	require.False(t, strings.Contains(err.Error(), "filter"), err)
}
