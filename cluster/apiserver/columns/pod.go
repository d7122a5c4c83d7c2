package columns

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

func podPrinters() map[kinds.Kind]printer {
	return map[kinds.Kind]printer{
		kinds.Pod: {
			columns: columns("Name", "Ready", "Status", "Restarts", "Age", "wide:IP", "wide:Node", "wide:Nominated Node", "wide:Readiness Gates"),
			cells:   podCells,
			done: func(o kinds.Object) string {
				switch p := o.(*corev1.Pod).Status.Phase; p {
				case corev1.PodSucceeded, corev1.PodFailed:
					return string(p)
				}
				return ""
			},
		},
		kinds.PodTemplate: {columns: columns("Name", "Containers", "Images", "Pod Labels"), cells: func(o kinds.Object, _ time.Time) []any {
			t := o.(*corev1.PodTemplate)
			names, images := containerText(&t.Template.Spec)
			return []any{t.Name, names, images, labelText(t.Template.Labels)}
		}},
	}
}

func podCells(o kinds.Object, now time.Time) []any {
	p := o.(*corev1.Pod)
	s := podSummary(p)
	restarts := strconv.Itoa(s.restarts)
	if s.restarts != 0 && !s.restartedAt.IsZero() {
		restarts = fmt.Sprintf("%d (%s ago)", s.restarts, since(s.restartedAt, now))
	}
	ip, gates := "<none>", "<none>"
	if len(p.Status.PodIPs) > 0 {
		ip = p.Status.PodIPs[0].IP
	} else if p.Status.PodIP != "" {
		ip = p.Status.PodIP
	}
	if n := len(p.Spec.ReadinessGates); n > 0 {
		ready := 0
		for _, g := range p.Spec.ReadinessGates {
			if podCondition(p, g.ConditionType) == corev1.ConditionTrue {
				ready++
			}
		}
		gates = fmt.Sprintf("%d/%d", ready, n)
	}
	return []any{p.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.status, restarts, age(p, now), ip, orNone(p.Spec.NodeName),
		orNone(p.Status.NominatedNodeName), gates}
}

func podCondition(p *corev1.Pod, t corev1.PodConditionType) corev1.ConditionStatus {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == t {
			return c.Status
		}
	}
	return ""
}

// podState is what one line of kubectl get pods says.
type podState struct {
	status       string
	ready, total int
	restarts     int
	restartedAt  metav1.Time
}

// podSummary finds the word for a pod's state: its reason or phase, then what holds
// up its init containers, then what its containers wait for or ended with.
func podSummary(p *corev1.Pod) podState {
	s := podState{status: string(p.Status.Phase), total: len(p.Spec.Containers)}
	if p.Status.Reason != "" {
		s.status = p.Status.Reason
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.status = corev1.PodReasonSchedulingGated
		}
	}
	sidecar := map[string]bool{}
	for i := range p.Spec.InitContainers {
		if r := p.Spec.InitContainers[i].RestartPolicy; r != nil && *r == corev1.ContainerRestartPolicyAlways {
			sidecar[p.Spec.InitContainers[i].Name] = true
			s.total++
		}
	}
	initializing := s.initContainers(p, sidecar)
	if !initializing || podCondition(p, corev1.PodInitialized) == corev1.ConditionTrue {
		s.containers(p, sidecar)
	}
	if p.DeletionTimestamp != nil {
		switch {
		case p.Status.Reason == "NodeLost":
			s.status = "Unknown"
		case p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed:
			s.status = "Terminating"
		}
	}
	return s
}

// initContainers counts them, and says whether one still holds the pod up.
func (s *podState) initContainers(p *corev1.Pod, sidecar map[string]bool) bool {
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		s.restarts += int(c.RestartCount)
		if t := c.LastTerminationState.Terminated; t != nil && s.restartedAt.Before(&t.FinishedAt) {
			s.restartedAt = t.FinishedAt
		}
		t, w := c.State.Terminated, c.State.Waiting
		switch {
		case t != nil && t.ExitCode == 0:
			continue
		case sidecar[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case t != nil:
			s.status = "Init:" + terminatedText(t)
		case w != nil && w.Reason != "" && w.Reason != "PodInitializing":
			s.status = "Init:" + w.Reason
		default:
			s.status = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// containers counts the ordinary containers; the first that does not run gives the
// pod its word.
func (s *podState) containers(p *corev1.Pod, sidecar map[string]bool) {
	running := false
	restarts, at := 0, metav1.Time{}
	for name := range sidecar {
		for i := range p.Status.InitContainerStatuses {
			if c := &p.Status.InitContainerStatuses[i]; c.Name == name {
				restarts += int(c.RestartCount)
				if t := c.LastTerminationState.Terminated; t != nil && at.Before(&t.FinishedAt) {
					at = t.FinishedAt
				}
			}
		}
	}
	s.restarts, s.restartedAt = restarts, at
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.restarts += int(c.RestartCount)
		if t := c.LastTerminationState.Terminated; t != nil && s.restartedAt.Before(&t.FinishedAt) {
			s.restartedAt = t.FinishedAt
		}
		switch w, t := c.State.Waiting, c.State.Terminated; {
		case w != nil && w.Reason != "":
			s.status = w.Reason
		case t != nil:
			s.status = terminatedText(t)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.status == "Completed" && running {
		s.status = "NotReady"
		if podCondition(p, corev1.PodReady) == corev1.ConditionTrue {
			s.status = "Running"
		}
	}
}

func terminatedText(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	}
	return fmt.Sprintf("ExitCode:%d", t.ExitCode)
}

// containerText is the names and the images of a pod's containers.
func containerText(spec *corev1.PodSpec) (names, images string) {
	n, i := make([]string, len(spec.Containers)), make([]string, len(spec.Containers))
	for x := range spec.Containers {
		n[x], i[x] = spec.Containers[x].Name, spec.Containers[x].Image
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}
