package nodeagent

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// The conditions that the kubelet owns, in the order in which it writes them.
const (
	atReadyToStart = iota
	atInitialized
	atReady
	atContainersReady
	atScheduled
	ownedConditions
)

var ownedTypes = [ownedConditions]corev1.PodConditionType{
	corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
}

func owned(t corev1.PodConditionType) bool {
	for _, o := range ownedTypes {
		if o == t {
			return true
		}
	}
	return false
}

// verdict is a condition without its times.
type verdict struct {
	ok              bool
	reason, message string
}

// conditions draws up the kubelet's conditions from the container statuses and
// the phase. Those of others are added by withForeign.
func (a *Agent) conditions(p *pod, s *corev1.PodStatus) {
	containers := containersReady(p, s)
	verdicts := [ownedConditions]verdict{
		atReadyToStart:    {ok: p.sandbox == sandboxUp && p.stage != stageEnd},
		atInitialized:     initializedVerdict(p, s),
		atReady:           podReady(p, containers),
		atContainersReady: containers,
		atScheduled:       {ok: true},
	}
	s.Conditions = make([]corev1.PodCondition, ownedConditions)
	for i, v := range verdicts {
		c := &s.Conditions[i]
		c.Type, c.Status, c.Reason, c.Message = ownedTypes[i], corev1.ConditionFalse, v.reason, v.message
		c.ObservedGeneration = p.api.Generation
		if v.ok {
			c.Status = corev1.ConditionTrue
		}
		if old := p.conditionBefore(i); old != nil && old.Status == c.Status && !old.LastTransitionTime.IsZero() {
			c.LastTransitionTime = old.LastTransitionTime
		} else {
			c.LastTransitionTime = a.stamp()
		}
	}
}

func (p *pod) conditionBefore(i int) *corev1.PodCondition {
	if p.status != nil && len(p.status.Conditions) == ownedConditions {
		return &p.status.Conditions[i]
	}
	return findCondition(p.api.Status.Conditions, ownedTypes[i])
}

func findCondition(list []corev1.PodCondition, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}

func containersReady(p *pod, s *corev1.PodStatus) verdict {
	switch s.Phase {
	case corev1.PodSucceeded:
		return verdict{reason: "PodCompleted"}
	case corev1.PodFailed:
		return verdict{reason: "PodFailed"}
	}
	var unready []string
	for i := range p.containers {
		if c := &p.containers[i]; (!c.init || c.sidecar) && !c.ready() {
			unready = append(unready, c.spec.Name)
		}
	}
	if len(unready) == 0 {
		return verdict{ok: true}
	}
	return verdict{reason: "ContainersNotReady", message: "containers with unready status: " + bracketed(unready)}
}

func bracketed(names []string) string { return "[" + strings.Join(names, " ") + "]" }

// podReady adds the pod's readiness gates, which are conditions set by others.
func podReady(p *pod, containers verdict) verdict {
	if !containers.ok {
		return containers
	}
	var missing []string
	for _, g := range p.api.Spec.ReadinessGates {
		name := strconv.Quote(string(g.ConditionType))
		switch c := findCondition(p.api.Status.Conditions, g.ConditionType); {
		case c == nil:
			missing = append(missing, "corresponding condition of pod readiness gate "+name+" does not exist.")
		case c.Status != corev1.ConditionTrue:
			missing = append(missing, "the status of pod readiness gate "+name+` is not "True", but `+string(c.Status))
		}
	}
	if len(missing) == 0 {
		return verdict{ok: true}
	}
	return verdict{reason: "ReadinessGatesNotReady", message: strings.Join(missing, ", ")}
}

// initializedVerdict holds once every init container has ended well or, a
// sidecar, has started; and for good once an app container has started.
func initializedVerdict(p *pod, s *corev1.PodStatus) verdict {
	if s.Phase == corev1.PodSucceeded {
		return verdict{ok: true, reason: "PodCompleted"}
	}
	if p.inits == 0 {
		return verdict{ok: true}
	}
	for i := range s.ContainerStatuses {
		if st := &s.ContainerStatuses[i].State; st.Running != nil || st.Terminated != nil {
			return verdict{ok: true}
		}
	}
	var incomplete []string
	for i := range s.InitContainerStatuses {
		st := &s.InitContainerStatuses[i]
		if p.containers[i].sidecar && !*st.Started || !p.containers[i].sidecar && !st.Ready {
			incomplete = append(incomplete, st.Name)
		}
	}
	if len(incomplete) == 0 {
		return verdict{ok: true}
	}
	return verdict{reason: "ContainersNotInitialized", message: "containers with incomplete status: " + bracketed(incomplete)}
}

// withForeign is a status with what others own of it: conditions first, as the
// kubelet orders them.
func withForeign(s, api *corev1.PodStatus) corev1.PodStatus {
	out := *s
	out.ResourceClaimStatuses, out.ExtendedResourceClaimStatus = api.ResourceClaimStatuses, api.ExtendedResourceClaimStatus
	out.NominatedNodeName = api.NominatedNodeName
	foreign := 0
	for i := range api.Conditions {
		if !owned(api.Conditions[i].Type) {
			foreign++
		}
	}
	if foreign == 0 {
		return out
	}
	out.Conditions = make([]corev1.PodCondition, 0, foreign+len(s.Conditions))
	for _, c := range api.Conditions {
		if !owned(c.Type) {
			out.Conditions = append(out.Conditions, c)
		}
	}
	out.Conditions = append(out.Conditions, s.Conditions...)
	return out
}
