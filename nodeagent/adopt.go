package nodeagent

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// adopt goes on with a pod whose sandbox is there, after addContainers has read what
// the API knows of it: what the world has found counts for more.
func (a *Agent) adopt(p *pod, in Adopted) {
	p.sandbox = sandboxUp
	if p.api.Spec.HostNetwork && len(a.node.hostIPs) > 0 {
		in.IP = a.node.hostIPs[0].IP
	}
	if in.IP != "" {
		p.ips = []corev1.PodIP{{IP: in.IP}}
	}
	for i := range in.Containers {
		if c := p.container(in.Containers[i].ID.Name); c != nil {
			a.adoptRun(p, c, &in.Containers[i])
		}
	}
}

func (a *Agent) adoptRun(p *pod, c *container, found *AdoptedContainer) {
	old := oldStatus(p, c)
	c.last = lastBefore(old, found)
	c.run, c.runtimeID, c.term = found.ID.Run, found.RuntimeID, nil
	c.startedAt, c.waiting = found.StartedAt, nil
	c.crashSeen, c.counted = false, false
	if !c.init && !c.guest {
		p.initialized = true
	}
	since, until := timesTold(old, found)
	if x := found.Exit; x != nil {
		c.state, c.exitedAt, c.passed = containerExited, found.FinishedAt, c.sidecar
		c.term = terminated(x, c.runtimeID)
		c.term.StartedAt, c.term.FinishedAt = since, until
		c.done = c.init && !c.sidecar && x.ExitCode == 0
		return
	}
	c.state, c.exitedAt = containerRunning, time.Time{}
	c.running = &corev1.ContainerStateRunning{StartedAt: since}
	a.startProbes(p, c)
	if old == nil || old.ContainerID != c.runtimeID {
		return
	}
	// What has been found out about this run holds until its probes say otherwise.
	if b := c.probe(Startup); b != nil && old.Started != nil && *old.Started {
		b.next, b.ok, b.result = time.Time{}, true, true
		a.setStarted(p, c)
	}
	if b := c.probe(Readiness); b != nil && old.Ready {
		b.ok, b.result = true, true
	}
}

// timesTold is when a run began and ended, in the words in which the API has been told
// of it. The agent heard of either a little after it happened, at times in the next
// second, and what it has said once must not change because it is started anew.
func timesTold(old *corev1.ContainerStatus, found *AdoptedContainer) (since, until metav1.Time) {
	since = metav1.Time{Time: found.StartedAt.UTC().Truncate(time.Second)}
	until = metav1.Time{Time: found.FinishedAt.UTC().Truncate(time.Second)}
	if old == nil || old.ContainerID != found.RuntimeID {
		return since, until
	}
	if r := old.State.Running; r != nil && !r.StartedAt.IsZero() {
		since = r.StartedAt
	}
	if t := old.State.Terminated; t != nil && found.Exit != nil {
		if !t.StartedAt.IsZero() {
			since = t.StartedAt
		}
		if !t.FinishedAt.IsZero() {
			until = t.FinishedAt
		}
	}
	return since, until
}

// lastBefore is the end of the run before the one that was found, as far as the API
// knows it.
func lastBefore(old *corev1.ContainerStatus, found *AdoptedContainer) *corev1.ContainerStateTerminated {
	if old == nil {
		return nil
	}
	if t := old.State.Terminated; t != nil && t.ContainerID != found.RuntimeID {
		return t
	}
	if t := old.LastTerminationState.Terminated; t != nil && t.ContainerID != found.RuntimeID {
		return t
	}
	return nil
}

// sandboxLost makes a pod begin anew, its init containers included.
func (a *Agent) sandboxLost(in SandboxLost) {
	p := a.pods[in.Pod]
	if p == nil || p.sandbox != sandboxUp || p.stage != stageRun {
		return
	}
	a.sayNormal(p, nil, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	p.sandbox, p.ips, p.initialized, p.dirty = sandboxNone, nil, false, true
	for i := range p.containers {
		p.containers[i].done, p.containers[i].passed = false, false
	}
	a.sync(p)
}
