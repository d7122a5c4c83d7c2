package nodeagent

import corev1 "k8s.io/api/core/v1"

// getPhase computes a pod's phase from the statuses of its containers, by the
// rules of the kubelet's function of that name (pkg/kubelet/kubelet_pods.go).
func getPhase(p *pod, s *corev1.PodStatus) corev1.PodPhase {
	var n phaseCount
	for i := range p.inits {
		if c := &p.containers[i]; c.sidecar {
			n.addSidecar(&s.InitContainerStatuses[i])
		} else {
			n.addInit(p, c, &s.InitContainerStatuses[i])
		}
	}
	for i := range s.ContainerStatuses {
		at := i
		if p.order != nil {
			at = p.order[i]
		}
		n.addApp(p, &p.containers[p.inits+at], &s.ContainerStatuses[i])
	}
	switch {
	case n.initFailed > 0:
		return corev1.PodFailed
	case n.initPending > 0, n.sidecarPending > 0 && !p.initialized, n.waiting > 0:
		return corev1.PodPending
	case n.running > 0:
		return corev1.PodRunning
	case n.stopped > 0 && n.restartable > 0 && p.stage != stageEnd:
		return corev1.PodRunning
	case n.stopped > 0 && n.stopped == n.succeeded:
		return corev1.PodSucceeded
	case n.stopped > 0:
		return corev1.PodFailed
	}
	return corev1.PodPending
}

// phaseCount counts containers by what they mean to the pod's phase.
type phaseCount struct {
	initPending, initFailed, sidecarPending int
	running, waiting, stopped               int
	restartable, succeeded                  int // of those stopped
}

func (n *phaseCount) addInit(p *pod, c *container, s *corev1.ContainerStatus) {
	ended := s.State.Terminated
	if s.State.Waiting != nil {
		ended = s.LastTerminationState.Terminated
	}
	switch {
	case ended == nil:
		n.initPending++
	case ended.ExitCode != 0 && !restarts(&p.api.Spec, c, ended.ExitCode):
		n.initFailed++
	}
}

func (n *phaseCount) addSidecar(s *corev1.ContainerStatus) {
	switch {
	case s.State.Running != nil:
		n.running++
		if s.Started == nil || !*s.Started {
			n.sidecarPending++
		}
	case s.State.Waiting != nil && s.LastTerminationState.Terminated == nil:
		n.sidecarPending++
		n.waiting++
	}
}

func (n *phaseCount) addApp(p *pod, c *container, s *corev1.ContainerStatus) {
	ended := s.State.Terminated
	switch {
	case s.State.Running != nil:
		n.running++
		return
	case s.State.Waiting != nil:
		ended = s.LastTerminationState.Terminated
		if ended == nil {
			n.waiting++
			return
		}
	}
	n.stopped++
	if ended.ExitCode == 0 {
		n.succeeded++
	}
	if c.forced || restarts(&p.api.Spec, c, ended.ExitCode) {
		n.restartable++
	}
}
