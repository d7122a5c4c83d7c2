package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// escapes are what somebody who is root in a container would try. Each must fail; the
// exit status of the last command says so.
func escapes(secret string) map[string]string {
	return map[string]string{
		"a file of the host":              "cat " + secret,
		"by the root of process 1":        "cat /proc/1/root" + secret,
		"by a folder above the root":      "cat /../../../../.." + secret,
		"by an open folder of process 1":  "cat /proc/1/cwd/../../../../../../.." + secret,
		"core_pattern":                    "echo '|/tmp/x' > /proc/sys/kernel/core_pattern",
		"panic":                           "echo 1 > /proc/sys/kernel/panic",
		"drop_caches":                     "echo 1 > /proc/sys/vm/drop_caches",
		"sysrq":                           "echo b > /proc/sysrq-trigger",
		"memory of the kernel":            "head -c 1 /proc/kcore | grep -q .",
		"kernel keys":                     "grep -q . /proc/keys",
		"writing to sysfs":                "echo x > /sys/kernel/uevent_helper",
		"another profile of sysfs":        "echo 0 > /sys/kernel/mm/ksm/run",
		"firmware":                        "ls /sys/firmware | grep -q .",
		"remount of sysfs":                "mount -o remount,rw /sys",
		"remount of /proc/sys":            "mount -o remount,rw /proc/sys",
		"a mount":                         "mount -t tmpfs none /mnt",
		"a bind mount":                    "mount --bind / /mnt",
		"taking away what masks":          "umount /proc/kcore",
		"a user namespace":                "unshare -Ur true",
		"a mount namespace":               "unshare -m true",
		"the namespaces of process 1":     "nsenter -t 1 -m true",
		"a group of its own":              "mkdir $(ls -d /sys/fs/cgroup/*/ | head -1)/mine",
		"a release agent":                 "for d in /sys/fs/cgroup/* /sys/fs/cgroup; do echo /x > $d/release_agent; done",
		"the folder of control groups":    "touch /sys/fs/cgroup/x",
		"leaving its limits":              "for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do echo -1 > $f; done",
		"leaving its devices":             "for f in /sys/fs/cgroup/devices/devices.allow; do echo a > $f; done",
		"a disk by mknod":                 "mknod /tmp/disk b 254 0; head -c 1 /tmp/disk | grep -q .",
		"memory by mknod":                 "mknod /tmp/mem c 1 1; head -c 1 /tmp/mem | grep -q .",
		"the kernel's messages by mknod":  "mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg | grep -q .",
		"the kernel's messages":           "dmesg",
		"the clock":                       "date -s 2001-01-01; test $(date +%Y) = 2001",
		"the host's name":                 "hostname other",
		"a network device":                "ip link add d0 type dummy",
		"its own address":                 "ip addr add 10.244.1.77/24 dev eth0",
		"routes":                          "ip route del default",
		"swap":                            "swapoff -a; swapoff /dev/null",
		"a module":                        "insmod /bin/busybox",
		"another's processes":             "ls -d /proc/[0-9]* | wc -l | awk '{exit $1 < 12}'",
		"the runtime's socket":            "find / -xdev -type s | grep -q .",
		"a file of the runtime left open": "ls -l /proc/1/fd /proc/$$/fd | grep -- '->' | grep -v -e pipe: -e /dev/null | grep .",
	}
}

// TestEscapes: a container that is root, with the capabilities of any other, reaches
// nothing of the host, nor of the pod beside it.
func TestEscapes(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("of the host"), 0o644))
	h.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}, Data: map[string][]byte{"p": []byte("hush")}})
	h.run(`
metadata: {name: victim}
spec:
  volumes: [{name: s, secret: {secretName: s}}, {name: e, emptyDir: {}}]
  containers: [{name: c, command: [sh, -c, "echo mine > /e/f; exec sleep 4321"], volumeMounts: [{name: s, mountPath: /s}, {name: e, mountPath: /e}]}]
`)
	h.run(`
metadata: {name: evil}
spec:
  containers: [{name: c, command: [sleep, "1000"], resources: {limits: {memory: 64Mi}}}]
`)
	h.untilPhase("victim", corev1.PodRunning)
	h.untilPhase("evil", corev1.PodRunning)
	try := escapes(outside)
	pods := filepath.Join(h.cfg.DataDir, "pods", string(h.pod("victim").UID), "volumes")
	require.FileExists(t, filepath.Join(pods, "s", "p"))
	try["the secret of another pod"] = "cat " + filepath.Join(pods, "s", "p")
	try["the volume of another pod"] = "cat /proc/1/root" + filepath.Join(pods, "e", "f")
	try["the images of the host"] = "ls " + h.cfg.ImageDir
	for name, script := range try {
		out := h.exec("evil", "c", "("+script+") && echo GOT || echo FAILED")
		if !strings.HasSuffix(out, "FAILED\n") {
			t.Errorf("%s: %s: %s", name, script, out)
		}
		require.NotContains(t, out, "of the host", name)
		require.NotContains(t, out, "hush", name)
	}
	require.NotContains(t, h.exec("evil", "c", "ps"), "4321", "the processes of another pod")
	// Everything it may signal is its own.
	h.exec("evil", "c", "sleep 500 & kill -9 -1 || true")
	require.Equal(t, corev1.PodRunning, h.pod("victim").Status.Phase)
	require.Zero(t, h.pod("victim").Status.ContainerStatuses[0].RestartCount)
	require.Equal(t, "mine\n", h.exec("victim", "c", "cat /e/f"))
	for _, name := range []string{"victim", "evil"} {
		h.delete(name)
		h.untilClean(name)
	}
}

// TestSwappedSubPath: a container that puts a link to the host's root in the place of a
// folder, and the folder back, again and again, while others, started once it does, mount
// it.
func TestSwappedSubPath(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("of the host"), 0o644))
	containers := ""
	const many = 12
	for i := range many {
		containers += fmt.Sprintf("  - {name: c%d, command: [sh, -c, 'cat /in%s; ls /in'], volumeMounts: [{name: v, mountPath: /in, subPath: d}]}\n", i, outside)
	}
	h.run(`
metadata: {name: a}
spec:
  restartPolicy: Never
  volumes: [{name: v, emptyDir: {}}]
  initContainers:
  - {name: swaps, restartPolicy: Always, command: [sh, -c, "cd /v; mkdir -p d; ln -s / l; while :; do mv d k; mv l d; mv d l; mv k d; : > on; done"], volumeMounts: [{name: v, mountPath: /v}],
     startupProbe: {exec: {command: [test, -e, /v/on]}, periodSeconds: 1}}
  containers:
` + containers)
	p := h.untilPhase("a", corev1.PodFailed, corev1.PodSucceeded)
	started := 0
	for _, s := range p.Status.ContainerStatuses {
		require.NotNil(t, s.State.Terminated, s.Name)
		if s.State.Terminated.Reason == "StartError" {
			require.Contains(t, s.State.Terminated.Message, "subPath")
			continue
		}
		started++
		require.NotContains(t, h.log("a", s.Name, 0), "of the host", s.Name)
	}
	t.Logf("%d of %d mounted the folder, the others found no folder there", started, many)
	h.delete("a")
	h.untilClean("a")
}
