package agent_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// TestForksWithoutEnd: a pod cannot have all the processes of its host.
func TestForksWithoutEnd(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: a}
spec: {containers: [{name: c, command: [sleep, "1000"]}]}
`)
	pod := h.untilPhase("a", corev1.PodRunning)
	raw, err := os.ReadFile("/proc/sys/kernel/pid_max")
	require.NoError(t, err)
	all, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	require.NoError(t, err)
	var found []string
	for _, hierarchy := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		list, err := filepath.Glob(filepath.Join(hierarchy, h.cfg.CgroupRoot, "*", "pod"+string(pod.UID), "pids.max"))
		require.NoError(t, err)
		found = append(found, list...)
	}
	require.NotEmpty(t, found)
	text, err := os.ReadFile(found[0])
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(all/4), strings.TrimSpace(string(text)))
}

// TestDeepFolders: a pod does not get around its limit of the disk by folders so deep that
// their paths are too long, and is cleared away.
func TestDeepFolders(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: deep}
spec:
  volumes: [{name: e, emptyDir: {sizeLimit: 1Mi}}]
  containers:
  - name: c
    command: [sh, -c, "cd /e; i=0; while [ $i -lt 3000 ]; do mkdir d; cd -P d; i=$((i+1)); done; head -c 2000000 /dev/zero > f; exec sleep 1000"]
    volumeMounts: [{name: e, mountPath: /e}]
`)
	h.untilEvent("deep", "Warning Evicted: Usage of EmptyDir volume \"e\" cannot be told: it has folders in folders, more than 512 levels")
	h.delete("deep")
	h.untilClean("deep")
}
