package agent_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/live/agent"
)

// onSmallDisk puts the agent's folder on a file system of its own.
func onSmallDisk(t *testing.T, options string) func(*agent.Config) {
	return func(c *agent.Config) {
		require.NoError(t, os.MkdirAll(c.DataDir, 0o700))
		require.NoError(t, unix.Mount("small", c.DataDir, "tmpfs", 0, options))
		dir := c.DataDir
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	}
}

func (h *host) condition(kind corev1.NodeConditionType) corev1.NodeCondition {
	for _, c := range h.node().Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.NodeCondition{}
}

// TestFullDisk: with no room left the node says so, a new pod's event says so, what runs
// goes on, and when there is room again the new pod starts.
func TestFullDisk(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t, onSmallDisk(t, "size=8m"))
	h.run(`
metadata: {name: before}
spec: {containers: [{name: c, command: [sh, -c, "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done"], readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1}}]}
`)
	h.Until("ready", func() bool { return isReady(h.pod("before")) })
	filler := filepath.Join(h.cfg.DataDir, "filler")
	_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4k").Run() // ends when nothing is left
	h.run(`
metadata: {name: after}
spec:
  volumes: [{name: e, emptyDir: {}}]
  containers: [{name: c, command: [sh, -c, "echo here; exec sleep 1000"], volumeMounts: [{name: e, mountPath: /e}]}]
`)
	h.untilEvent("after", "Warning FailedCreatePodSandBox: Failed to create pod sandbox: ")
	require.Contains(t, strings.Join(h.Events("after"), "\n"), "no space left on device")
	h.Until("disk pressure", func() bool { return h.condition(corev1.NodeDiskPressure).Status == corev1.ConditionTrue })
	require.Equal(t, "KubeletHasDiskPressure", h.condition(corev1.NodeDiskPressure).Reason)
	require.Equal(t, corev1.ConditionTrue, h.condition(corev1.NodeReady).Status)
	require.True(t, isReady(h.pod("before")))
	h.exec("before", "c", "true")
	require.Zero(t, h.pod("before").Status.ContainerStatuses[0].RestartCount)

	require.NoError(t, os.Remove(filler))
	h.untilPhase("after", corev1.PodRunning)
	h.untilLog("after", "c", 0, "here\n")
	// The log that could not be written goes on, too.
	lines := len(h.log("before", "c", 0))
	require.Eventually(t, func() bool { return len(h.log("before", "c", 0)) > lines }, eventMax, 5*time.Millisecond)
	for _, name := range []string{"before", "after"} {
		h.delete(name)
		h.untilClean(name)
	}
}

// TestFewInodes: a disk without a single file left.
func TestFewInodes(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t, onSmallDisk(t, "nr_inodes=400"))
	h.run(`
metadata: {name: before}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.untilPhase("before", corev1.PodRunning)
	for i := range 400 {
		if os.WriteFile(filepath.Join(h.cfg.DataDir, fmt.Sprint("filler", i)), nil, 0o600) != nil {
			break
		}
	}
	h.run(`
metadata: {name: a}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.untilEvent("a", "Warning FailedCreatePodSandBox: Failed to create pod sandbox: ")
	require.Contains(t, strings.Join(h.Events("a"), "\n"), "no space left on device")
	h.Until("disk pressure", func() bool { return h.condition(corev1.NodeDiskPressure).Status == corev1.ConditionTrue })
	for i := range 400 {
		_ = os.Remove(filepath.Join(h.cfg.DataDir, fmt.Sprint("filler", i)))
	}
	h.untilPhase("a", corev1.PodRunning)
	for _, name := range []string{"a", "before"} {
		h.delete(name)
		h.untilClean(name)
	}
}

// TestOveruse: a pod over a limit of the disk is evicted, as the kubelet words it.
func TestOveruse(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: volume}
spec:
  volumes: [{name: e, emptyDir: {sizeLimit: 1Mi}}, {name: free, emptyDir: {}}]
  containers: [{name: c, command: [sh, -c, "head -c 2000000 /dev/zero > /e/f; exec sleep 1000"], volumeMounts: [{name: e, mountPath: /e}, {name: free, mountPath: /free}]}]
`)
	h.run(`
metadata: {name: root}
spec: {containers: [{name: c, command: [sh, -c, "head -c 3000000 /dev/zero > /f; exec sleep 1000"], resources: {limits: {ephemeral-storage: 1Mi}}}]}
`)
	h.run(`
metadata: {name: whole}
spec:
  volumes: [{name: e, emptyDir: {}}]
  containers:
  - {name: c, command: [sh, -c, "head -c 3000000 /dev/zero > /e/f; exec sleep 1000"], volumeMounts: [{name: e, mountPath: /e}], resources: {limits: {ephemeral-storage: 1Mi}}}
`)
	h.run(`
metadata: {name: within}
spec:
  volumes: [{name: e, emptyDir: {sizeLimit: 4Mi}}]
  containers: [{name: c, command: [sh, -c, "head -c 2000000 /dev/zero > /e/f; exec sleep 1000"], volumeMounts: [{name: e, mountPath: /e}], resources: {limits: {ephemeral-storage: 4Mi}}}]
`)
	for name, message := range map[string]string{
		"volume": `Usage of EmptyDir volume "e" exceeds the limit "1Mi". `,
		"root":   `Container c exceeded its local ephemeral storage limit "1Mi". `,
		"whole":  `Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. `,
	} {
		p := h.untilPhase(name, corev1.PodFailed)
		require.Equal(t, "Evicted", p.Status.Reason)
		require.Equal(t, message, p.Status.Message)
		h.untilEvent(name, "Warning Evicted: "+message)
	}
	require.Equal(t, corev1.PodRunning, h.pod("within").Status.Phase)
	for _, name := range []string{"volume", "root", "whole", "within"} {
		h.delete(name)
		h.untilClean(name)
	}
}

// TestNoIptables: a host without the program is not ready, and says why; with it, it is.
func TestNoIptables(t *testing.T) {
	if ownHost(t) {
		return
	}
	path := os.Getenv("PATH")
	h := newHost(t)
	h.stop()
	t.Setenv("PATH", t.TempDir())
	h.start()
	h.Until("not ready", func() bool { return h.condition(corev1.NodeReady).Status == corev1.ConditionFalse })
	require.Contains(t, h.condition(corev1.NodeReady).Message, `the rules of services cannot be set: no iptables works here (the package iptables has both backends): iptables-nft: exec: "iptables-nft": executable file not found in $PATH`)
	require.Equal(t, "KubeletNotReady", h.condition(corev1.NodeReady).Reason)
	require.NoError(t, os.Setenv("PATH", path))
	h.Until("ready", func() bool { return h.condition(corev1.NodeReady).Status == corev1.ConditionTrue })
}
