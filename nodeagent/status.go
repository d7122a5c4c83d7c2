package nodeagent

import (
	corev1 "k8s.io/api/core/v1"
)

// report draws up the pod's status if anything has changed, and says whether the
// pod has come to a terminal phase. flush writes it.
func (a *Agent) report(p *pod) (over bool) {
	if !p.dirty {
		return false
	}
	p.dirty = false
	s := &corev1.PodStatus{ObservedGeneration: p.api.Generation, QOSClass: p.api.Status.QOSClass, StartTime: p.startTime,
		PodIPs: p.ips, HostIPs: a.node.hostIPs}
	if s.QOSClass == "" {
		s.QOSClass = qosClass(p.api)
	}
	if len(s.HostIPs) > 0 {
		s.HostIP = s.HostIPs[0].IP
	}
	if len(s.PodIPs) == 0 && p.api.Spec.HostNetwork && s.HostIP != "" {
		s.PodIPs = []corev1.PodIP{{IP: s.HostIP}}
	}
	if len(s.PodIPs) > 0 {
		s.PodIP = s.PodIPs[0].IP
	}
	a.containerStatuses(p, s)
	phase := getPhase(p, s)
	over = terminal(phase)
	if p.stage == stageEnd {
		if !over {
			a.endAll(p, s)
			phase = corev1.PodFailed
		}
		if p.failReason != "" {
			phase, s.Reason, s.Message = corev1.PodFailed, p.failReason, p.failMessage
		}
	}
	s.Phase = phase
	a.conditions(p, s)
	if over && p.stage != stageEnd {
		// A terminal phase is told when nothing runs any more.
		s.Phase = corev1.PodPending
		if p.status != nil {
			s.Phase = p.status.Phase
		}
	}
	p.status = s
	return over
}

// containerStatuses fills in the statuses of init containers in the order of the
// spec, and of app containers and guests by name.
func (a *Agent) containerStatuses(p *pod, s *corev1.PodStatus) {
	all := make([]corev1.ContainerStatus, len(p.containers))
	for i := range p.inits {
		a.containerStatus(p, &p.containers[i], &all[i])
	}
	for i := range p.apps() {
		at := i
		if p.order != nil {
			at = p.order[i]
		}
		a.containerStatus(p, &p.containers[p.inits+at], &all[p.inits+i])
	}
	if p.inits > 0 {
		s.InitContainerStatuses = all[:p.inits:p.inits]
	}
	s.ContainerStatuses = all[p.inits:]
	a.guestStatuses(p, s)
}

func (a *Agent) containerStatus(p *pod, c *container, s *corev1.ContainerStatus) {
	s.Name, s.Image, s.RestartCount, s.VolumeMounts = c.spec.Name, c.spec.Image, c.run, c.mounts
	s.ContainerID, s.ImageID = c.runtimeID, c.imageID
	if c.state == containerStarting && c.term != nil {
		s.RestartCount--
	}
	s.Started = &a.no
	s.LastTerminationState.Terminated = c.last
	ran := true
	switch {
	case c.state == containerRunning:
		s.State.Running = c.running
		if c.started {
			s.Started = &a.yes
		}
		s.Ready = c.ready()
	case c.term != nil && c.waiting != nil && p.stage == stageRun:
		s.State.Waiting, s.LastTerminationState.Terminated = c.waiting, c.term
	case c.term != nil:
		s.State.Terminated = c.term
	case c.waiting != nil:
		s.State.Waiting, ran = c.waiting, false
	default:
		s.State.Waiting, ran = &a.creating, false
		if p.inits > 0 {
			s.State.Waiting = &a.initializing
		}
	}
	if c.init && !c.sidecar {
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
	}
	if ran {
		s.AllocatedResources, s.Resources = c.spec.Resources.Requests, &c.spec.Resources
	}
}

// ready says that a container runs, has started and passes its readiness probe.
func (c *container) ready() bool {
	return c.state == containerRunning && c.started &&
		(c.spec.ReadinessProbe == nil || c.probes != nil && c.probes[Readiness-1].result)
}

// endAll gives an end to the containers of a pod that was stopped before they had
// one of their own: all app containers if the pod had been initialized, and the
// init containers up to the last that ever started.
func (a *Agent) endAll(p *pod, s *corev1.PodStatus) {
	missing := &corev1.ContainerStateTerminated{Reason: reasonStatusUnknown, Message: messageMissing, ExitCode: 137}
	end := func(list []corev1.ContainerStatus) {
		for i := range list {
			if list[i].State.Terminated == nil {
				list[i].State = corev1.ContainerState{Terminated: missing}
			}
		}
	}
	begun := 0
	for i := range s.InitContainerStatuses {
		if everStarted(&s.InitContainerStatuses[i]) {
			begun = i + 1
		}
	}
	for i := range s.ContainerStatuses {
		if everStarted(&s.ContainerStatuses[i]) {
			begun = len(s.InitContainerStatuses)
			end(s.ContainerStatuses)
			break
		}
	}
	end(s.InitContainerStatuses[:begun])
}

func everStarted(s *corev1.ContainerStatus) bool {
	return s.State.Waiting == nil || s.RestartCount > 0 || s.LastTerminationState.Terminated != nil
}

// mountStatuses lists a container's volume mounts for its status.
func mountStatuses(c *corev1.Container) []corev1.VolumeMountStatus {
	if len(c.VolumeMounts) == 0 {
		return nil
	}
	list := make([]corev1.VolumeMountStatus, len(c.VolumeMounts))
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		list[i] = corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			disabled := corev1.RecursiveReadOnlyDisabled
			list[i].RecursiveReadOnly = &disabled
		}
	}
	return list
}

// qosClass is Guaranteed if every container has limits for CPU and memory that
// equal its requests, BestEffort if none has any, else Burstable.
func qosClass(p *corev1.Pod) corev1.PodQOSClass {
	some, all := false, true
	look := func(r *corev1.ResourceRequirements) {
		for _, name := range [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, request := r.Limits[name], r.Requests[name]
			some = some || !limit.IsZero() || !request.IsZero()
			all = all && !limit.IsZero() && (request.IsZero() || request.Cmp(limit) == 0)
		}
	}
	if r := p.Spec.Resources; r != nil && (len(r.Limits) > 0 || len(r.Requests) > 0) {
		look(r)
	} else {
		for i := range p.Spec.InitContainers {
			look(&p.Spec.InitContainers[i].Resources)
		}
		for i := range p.Spec.Containers {
			look(&p.Spec.Containers[i].Resources)
		}
	}
	switch {
	case !some:
		return corev1.PodQOSBestEffort
	case all:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}
