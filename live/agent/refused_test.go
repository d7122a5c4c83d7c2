package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"seatrial.dev/seatrial/cluster/api"
)

// TestRefused: what this agent does not carry out is said, by an event and where there is
// a container to wait, by what it waits for. testdata/fields of package container has all.
func TestRefused(t *testing.T) {
	if ownHost(t) {
		return
	}
	h := newHost(t)
	h.run(`
metadata: {name: users}
spec: {hostUsers: false, containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.run(`
metadata: {name: sysctl}
spec: {securityContext: {sysctls: [{name: net.core.somaxconn, value: "1"}]}, containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.run(`
metadata: {name: profile}
spec: {containers: [{name: c, command: [sleep, "1000"], securityContext: {seccompProfile: {type: Localhost, localhostProfile: a.json}}}]}
`)
	h.run(`
metadata: {name: claim}
spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: c}}], containers: [{name: c, command: [sleep, "1000"]}]}
`)
	h.run(`
metadata: {name: filtered}
spec:
  containers:
  - {name: a, command: [sleep, "1000"]}
  - {name: b, command: [sleep, "1000"], securityContext: {seccompProfile: {type: RuntimeDefault}}}
  - {name: c, command: [sleep, "1000"], securityContext: {seccompProfile: {type: Unconfined}}}
  - {name: d, command: [sleep, "1000"], securityContext: {privileged: true}}
`)
	h.untilEvent("users", "Warning FailedCreatePodSandBox: Failed to create pod sandbox: hostUsers: false is not supported by this node's agent")
	h.untilEvent("sysctl", `Warning FailedCreatePodSandBox: Failed to create pod sandbox: forbidden sysctl: "net.core.somaxconn" not allowlisted`)
	h.untilEvent("profile", "Warning Failed: Error: securityContext.seccompProfile.type Localhost is not supported by this node's agent: want RuntimeDefault or Unconfined")
	h.untilEvent("claim", `Warning FailedMount: MountVolume.SetUp failed for volume "v" : volumes of kind persistentVolumeClaim are not supported`)
	h.Until("a reason to wait", func() bool {
		s := h.pod("profile").Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == "CreateContainerConfigError"
	})
	h.untilPhase("filtered", corev1.PodRunning)
	for name, mode := range map[string]string{"a": "2", "b": "2", "c": "0", "d": "0"} {
		require.Contains(t, h.exec("filtered", name, "grep Seccomp: /proc/self/status"), "Seccomp:\t"+mode, name)
	}

	h.run(`
metadata: {name: sized}
spec: {containers: [{name: c, command: [sleep, "1000"], resources: {requests: {cpu: 10m}}}]}
`)
	p := h.untilPhase("sized", corev1.PodRunning).DeepCopy()
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20m")}
	r := api.Update(p)
	r.Subresource = api.SubResize
	h.Write(r)
	h.untilEvent("sized", "Warning ResizeInfeasible: container c: this node's agent does not resize what runs")
	for _, name := range []string{"users", "sysctl", "profile", "claim", "filtered", "sized"} {
		h.delete(name)
		h.untilClean(name)
	}
}
