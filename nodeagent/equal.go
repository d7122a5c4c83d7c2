package nodeagent

import corev1 "k8s.io/api/core/v1"

// sameStatus says that an API status has all that the kubelet wants to say: mine
// is the kubelet's, theirs may have more. Written out by hand since it runs at
// every change of every pod.
func sameStatus(mine, theirs *corev1.PodStatus) bool {
	return mine == theirs ||
		mine.Phase == theirs.Phase && mine.Reason == theirs.Reason && mine.Message == theirs.Message &&
			mine.ObservedGeneration == theirs.ObservedGeneration && mine.QOSClass == theirs.QOSClass &&
			mine.HostIP == theirs.HostIP && mine.PodIP == theirs.PodIP && len(mine.PodIPs) == len(theirs.PodIPs) &&
			sameStart(mine, theirs) && sameConditions(mine.Conditions, theirs.Conditions) &&
			sameContainers(mine.InitContainerStatuses, theirs.InitContainerStatuses) &&
			sameContainers(mine.ContainerStatuses, theirs.ContainerStatuses) &&
			sameContainers(mine.EphemeralContainerStatuses, theirs.EphemeralContainerStatuses)
}

func sameStart(a, b *corev1.PodStatus) bool {
	return a.StartTime == b.StartTime || a.StartTime != nil && b.StartTime != nil && a.StartTime.Time.Equal(b.StartTime.Time)
}

func sameConditions(mine, theirs []corev1.PodCondition) bool {
	for i := range mine {
		m := &mine[i]
		t := findCondition(theirs, m.Type)
		if t == nil || m.Status != t.Status || m.Reason != t.Reason || m.Message != t.Message || m.ObservedGeneration != t.ObservedGeneration {
			return false
		}
	}
	return true
}

func sameContainers(a, b []corev1.ContainerStatus) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameContainer(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func sameContainer(a, b *corev1.ContainerStatus) bool {
	return a.Name == b.Name && a.Ready == b.Ready && a.RestartCount == b.RestartCount && a.Image == b.Image &&
		a.ImageID == b.ImageID && a.ContainerID == b.ContainerID && isTrue(a.Started) == isTrue(b.Started) &&
		sameState(&a.State, &b.State) && sameState(&a.LastTerminationState, &b.LastTerminationState)
}

func isTrue(b *bool) bool { return b != nil && *b }

func sameState(a, b *corev1.ContainerState) bool {
	if (a.Waiting == nil) != (b.Waiting == nil) || (a.Running == nil) != (b.Running == nil) || (a.Terminated == nil) != (b.Terminated == nil) {
		return false
	}
	if a.Waiting != b.Waiting && *a.Waiting != *b.Waiting {
		return false
	}
	if a.Running != b.Running && !a.Running.StartedAt.Time.Equal(b.Running.StartedAt.Time) {
		return false
	}
	x, y := a.Terminated, b.Terminated
	return x == y || x.ExitCode == y.ExitCode && x.Signal == y.Signal && x.Reason == y.Reason && x.Message == y.Message &&
		x.ContainerID == y.ContainerID && x.StartedAt.Time.Equal(y.StartedAt.Time) && x.FinishedAt.Time.Equal(y.FinishedAt.Time)
}
