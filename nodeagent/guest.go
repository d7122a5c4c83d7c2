package nodeagent

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// A guest is an ephemeral container: one that joins a pod which may run already, to
// look into it. It is started once and never again, whatever the restart policy, does
// not wait for init containers, and counts for nothing of the pod: not its phase, not
// its readiness, not its resources.

// count and at walk all containers of a pod, its guests last.
func (p *pod) count() int { return len(p.containers) + len(p.guests) }

func (p *pod) at(i int) *container {
	if i < len(p.containers) {
		return &p.containers[i]
	}
	return p.guests[i-len(p.containers)]
}

// addGuests takes over the ephemeral containers of the pod's spec, to which the API
// only ever adds. They are pointers because others than the pod hold on to a container.
func (a *Agent) addGuests(p *pod) {
	list := p.api.Spec.EphemeralContainers
	for i := range list {
		spec := (*corev1.Container)(&list[i].EphemeralContainerCommon)
		if c := p.container(spec.Name); c != nil {
			if c.guest {
				c.spec = spec
			}
			continue
		}
		c := &container{spec: spec, guest: true, target: list[i].TargetContainerName, mounts: mountStatuses(spec)}
		p.guests = append(p.guests, c)
		a.recall(p, c)
	}
}

// guestStatuses fills in the statuses of guests by name. As with the kubelet, whose
// probes do not know them, they are never ready, and say nothing of having started.
func (a *Agent) guestStatuses(p *pod, s *corev1.PodStatus) {
	if len(p.guests) == 0 {
		return
	}
	s.EphemeralContainerStatuses = make([]corev1.ContainerStatus, len(p.guests))
	for i, c := range p.guests {
		one := &s.EphemeralContainerStatuses[i]
		a.containerStatus(p, c, one)
		one.Ready, one.Started = false, nil
	}
	slices.SortFunc(s.EphemeralContainerStatuses, func(x, y corev1.ContainerStatus) int { return strings.Compare(x.Name, y.Name) })
}

// targetOf is the run whose processes a container is to see; none if it is to see its
// own alone. One that is asked for has to have been started before.
func (p *pod) targetOf(c *container) (id ContainerID, ok bool) {
	if c.target == "" {
		return ContainerID{}, true
	}
	t := p.container(c.target)
	if t == nil || t.runtimeID == "" {
		return ContainerID{}, false
	}
	return t.id(p), true
}
