package agent_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/live/runtime"
)

// debug adds an ephemeral container to a pod.
func (h *host) debug(pod, text string) {
	h.t.Helper()
	var c corev1.EphemeralContainer
	require.NoError(h.t, yaml.UnmarshalStrict([]byte(text), &c))
	c.Image = busybox
	p := h.pod(pod).DeepCopy()
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, c)
	r := api.Update(p)
	r.Subresource = api.SubEphemeral
	h.Write(r)
}

// guest is the status of an ephemeral container; an empty one if there is none yet.
func (h *host) guest(pod, name string) corev1.ContainerStatus {
	for _, s := range h.pod(pod).Status.EphemeralContainerStatuses {
		if s.Name == name {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

func (h *host) untilGuest(pod, name, what string, is func(corev1.ContainerState) bool) {
	h.t.Helper()
	h.Until("ephemeral container "+name+" "+what, func() bool { return is(h.guest(pod, name).State) })
}

func isRunning(s corev1.ContainerState) bool { return s.Running != nil }
func hasEnded(s corev1.ContainerState) bool  { return s.Terminated != nil }

func TestEphemeralContainers(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: web}
spec: {restartPolicy: Always, containers: [{name: c, command: [sleep, "1001"]}, {name: d, command: [sleep, "1002"]}]}
`)
	h.untilPhase("web", corev1.PodRunning)
	before := h.pod("web").Status.ContainerStatuses

	h.debug("web", `{name: sees, targetContainerName: c, command: [sh, -c, "echo looks; exec sleep 1003"]}`)
	h.untilGuest("web", "sees", "runs", isRunning)
	h.untilLog("web", "sees", 0, "looks\n")
	ps := h.exec("web", "sees", "ps -o pid,args; hostname; ip address")
	for _, want := range []string{"1 sleep 1001", "sleep 1003", "web\n", h.pod("web").Status.PodIP} {
		require.Contains(t, ps, want)
	}
	require.NotContains(t, ps, "sleep 1002")

	h.debug("web", `{name: typed, stdin: true, tty: true, command: [sh, -c, "read l; echo got $l; exit 3"]}`)
	h.untilGuest("web", "typed", "runs", isRunning)
	_, id, ok := h.agent.Find("default", "web", "typed")
	require.True(t, ok)
	var out bytes.Buffer
	code, err := h.agent.Runtime().Attach(h.ctx, id, runtime.Streams{Stdin: strings.NewReader("hello\n"), Stdout: &out})
	require.NoError(t, err)
	require.Equal(t, 3, code)
	require.Contains(t, out.String(), "got hello")
	h.untilGuest("web", "typed", "has ended", hasEnded)

	h.stop()
	h.start()
	h.debug("web", `{name: after, command: [sleep, "1004"]}`)
	h.untilGuest("web", "after", "runs", isRunning)
	require.True(t, isRunning(h.guest("web", "sees").State), "what ran runs on")
	require.EqualValues(t, 3, h.guest("web", "typed").State.Terminated.ExitCode, "what has ended is not started again")
	require.Equal(t, 1, strings.Count(h.log("web", "sees", 0), "looks"))
	p := h.pod("web")
	require.True(t, slices.EqualFunc(before, p.Status.ContainerStatuses, func(a, b corev1.ContainerStatus) bool { return a.ContainerID == b.ContainerID }), "nothing is done to the pod's own")
	require.Equal(t, corev1.PodRunning, p.Status.Phase)

	h.delete("web")
	h.untilClean("web")
	require.False(t, h.anythingOf(string(p.UID)))
}
