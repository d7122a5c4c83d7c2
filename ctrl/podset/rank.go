package podset

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/view"
)

// DeletionCost is the annotation by which a pod asks to be kept (high) or to go
// (low) when its set shrinks.
const DeletionCost = "controller.kubernetes.io/pod-deletion-cost"

// Victims sorts the pods so that those to delete first come first, and returns
// the first n. onNode is how many related pods (of sets with the same controller)
// stand on a node: of doubled-up pods the most crowded go first.
//
// The order is that of Kubernetes' ActivePodsWithRanks
// (https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset):
// unassigned before assigned; pending, unknown, running; not ready before ready;
// low deletion cost; crowded node; ready for a shorter time; more restarts;
// newer. Ages count by the power of two that they fall in, and the UID decides
// between equals, so that not always the same zone's pods go.
func Victims(now time.Time, pods []*corev1.Pod, onNode func(node string) int, n int) []*corev1.Pod {
	if n >= len(pods) {
		return pods
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return compare(now, a, b, onNode) })
	return pods[:n]
}

func compare(now time.Time, a, b *corev1.Pod, onNode func(string) int) int {
	if c := cmp.Or(
		before(a.Spec.NodeName == "", b.Spec.NodeName == ""),
		cmp.Compare(phaseOrder(a), phaseOrder(b)),
		before(!view.Ready(a), !view.Ready(b)),
		cmp.Compare(cost(a), cost(b)),
	); c != 0 {
		return c
	}
	if c := cmp.Compare(onNode(b.Spec.NodeName), onNode(a.Spec.NodeName)); c != 0 {
		return c
	}
	if view.Ready(a) && view.Ready(b) {
		x, y := readySince(a), readySince(b)
		if !x.Equal(y) {
			return cmp.Or(compareAges(now, x, y), cmp.Compare(a.UID, b.UID))
		}
	}
	if c := compareRestarts(a, b); c != 0 {
		return c
	}
	x, y := a.CreationTimestamp.Time, b.CreationTimestamp.Time
	if !x.Equal(y) {
		if c := compareAges(now, x, y); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(a.UID, b.UID), strings.Compare(a.Name, b.Name))
}

// before orders true before false.
func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func phaseOrder(p *corev1.Pod) int {
	switch p.Status.Phase {
	case corev1.PodUnknown:
		return 1
	case corev1.PodRunning:
		return 2
	}
	return 0
}

// cost reads the deletion cost; what is not a number counts as none.
func cost(p *corev1.Pod) int32 {
	s, ok := p.Annotations[DeletionCost]
	if !ok || strings.HasPrefix(s, "+") || (len(s) > 1 && s[0] == '0') {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

func readySince(p *corev1.Pod) time.Time {
	if c := view.Condition(p, corev1.PodReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// compareAges orders the younger first, by powers of two of their age; an unset
// time is the youngest.
func compareAges(now, a, b time.Time) int {
	if a.IsZero() || b.IsZero() {
		return before(a.IsZero(), b.IsZero())
	}
	return cmp.Compare(ageBucket(now.Sub(a)), ageBucket(now.Sub(b)))
}

// ageBucket is the whole binary logarithm of an age in nanoseconds, -1 for none.
func ageBucket(d time.Duration) int { return bits.Len64(uint64(max(d, 0))) - 1 }

// compareRestarts orders the pod with more restarts first: of its containers, and
// then of its sidecars.
func compareRestarts(a, b *corev1.Pod) int {
	x, xs := maxRestarts(a)
	y, ys := maxRestarts(b)
	return cmp.Or(cmp.Compare(y, x), cmp.Compare(ys, xs))
}

func maxRestarts(p *corev1.Pod) (containers, sidecars int32) {
	for i := range p.Status.ContainerStatuses {
		containers = max(containers, p.Status.ContainerStatuses[i].RestartCount)
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		for j := range p.Status.InitContainerStatuses {
			if s := &p.Status.InitContainerStatuses[j]; s.Name == c.Name {
				sidecars = max(sidecars, s.RestartCount)
			}
		}
	}
	return containers, sidecars
}
