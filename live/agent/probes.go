package agent

import (
	"context"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/live/agent/probe"
	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/nodeagent"
)

// hookMax is the longest that a hook may take; preStop hooks have the pod's grace.
const hookMax = time.Hour

func runtimeID(id nodeagent.ContainerID) runtime.ID {
	return runtime.ID{Pod: string(id.Pod), Name: id.Name, Run: int(id.Run)}
}

// target is where a container's probes and hooks go.
func (a *Agent) target(id nodeagent.ContainerID, pod *corev1.Pod) probe.Target {
	t := probe.Target{IP: a.pods.of(id.Pod).address(), Container: containerOf(pod, id.Name)}
	if pod.Spec.HostNetwork {
		t.IP = a.cfg.NodeIP.String()
	}
	t.Exec = func(ctx context.Context, command []string, output io.Writer) (int, error) {
		return a.runtime.Exec(ctx, runtime.ExecSpec{ID: runtimeID(id), Args: command}, runtime.Streams{Stdout: output, Stderr: output})
	}
	return t
}

// containerOf finds one by name; an empty one if there is none, which has no ports.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, c := range containersOf(pod) {
		if c.Name == name {
			return c
		}
	}
	return &corev1.Container{}
}

// containersOf are all that a pod has, ephemeral ones included.
func containersOf(pod *corev1.Pod) (out []*corev1.Container) {
	for i := range pod.Spec.InitContainers {
		out = append(out, &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		out = append(out, &pod.Spec.Containers[i])
	}
	for i := range pod.Spec.EphemeralContainers {
		out = append(out, (*corev1.Container)(&pod.Spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	return out
}

func (a *Agent) probe(ctx context.Context, e nodeagent.RunProbe) nodeagent.ProbeAnswered {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	ok, output := probe.Run(ctx, &e.Probe.ProbeHandler, a.target(e.ID, e.Pod))
	return nodeagent.ProbeAnswered{ID: e.ID, Probe: e.Kind, OK: ok, Output: output}
}

func (a *Agent) hook(ctx context.Context, e nodeagent.RunHook) nodeagent.HookDone {
	limit := hookMax
	if e.Pre {
		limit = time.Duration(graceSeconds(e.Pod)) * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := nodeagent.HookDone{ID: e.ID, Pre: e.Pre}
	if err := probe.Hook(ctx, e.Handler, a.target(e.ID, e.Pod)); err != nil {
		out.Err = err.Error()
	}
	return out
}

func graceSeconds(p *corev1.Pod) int64 {
	switch {
	case p.DeletionGracePeriodSeconds != nil:
		return *p.DeletionGracePeriodSeconds
	case p.Spec.TerminationGracePeriodSeconds != nil:
		return *p.Spec.TerminationGracePeriodSeconds
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}
