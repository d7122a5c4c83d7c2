package sched

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	podresource "k8s.io/component-helpers/resource"
)

// What the scores count for a container that requests nothing, as kube-scheduler
// does (k8s.io/kubernetes pkg/scheduler/util).
const (
	assumedCPUMilli = 100
	assumedMemBytes = 200 << 20
)

// amounts are what a pod asks for, or a node has.
type amounts struct {
	cpuMilli, memBytes, diskBytes, pods int64
	other                               []extra // extended resources, by number
}

// extra is an amount of an extended resource, by its number in the snapshot.
type extra struct {
	number int32
	n      int64
}

func (a *amounts) add(b *amounts, sign int64) {
	a.cpuMilli += sign * b.cpuMilli
	a.memBytes += sign * b.memBytes
	a.diskBytes += sign * b.diskBytes
	a.pods += sign * b.pods
	for _, x := range b.other {
		*a.slot(x.number) += sign * x.n
	}
}

// slot is the place of an extended resource's amount.
func (a *amounts) slot(number int32) *int64 {
	at, found := slices.BinarySearchFunc(a.other, number, func(x extra, n int32) int { return int(x.number - n) })
	if !found {
		a.other = slices.Insert(a.other, at, extra{number: number})
	}
	return &a.other[at].n
}

// of is the amount of an extended resource.
func (a *amounts) of(number int32) int64 {
	for _, x := range a.other {
		if x.number == number {
			return x.n
		}
	}
	return 0
}

// get is the amount of any resource.
func (s *Snapshot) get(a *amounts, name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourceCPU:
		return a.cpuMilli
	case corev1.ResourceMemory:
		return a.memBytes
	case corev1.ResourceEphemeralStorage:
		return a.diskBytes
	}
	if i, ok := s.resources[name]; ok {
		return a.of(i)
	}
	return 0
}

func (s *Snapshot) amountsOf(list corev1.ResourceList) amounts {
	var a amounts
	for name, q := range list { //det:ok each name has its own place
		switch name {
		case corev1.ResourceCPU:
			a.cpuMilli = q.MilliValue()
		case corev1.ResourceMemory:
			a.memBytes = q.Value()
		case corev1.ResourceEphemeralStorage:
			a.diskBytes = q.Value()
		case corev1.ResourcePods:
			a.pods = q.Value()
		default:
			*a.slot(s.resourceNumber(name)) = q.Value()
		}
	}
	return a
}

// resourceNumber is the number of an extended resource. Numbers depend on the order
// of arrival; nothing that is decided does.
func (s *Snapshot) resourceNumber(name corev1.ResourceName) int32 {
	i, ok := s.resources[name]
	if !ok {
		i = int32(len(s.names))
		s.resources[name] = i
		s.names = append(s.names, name)
	}
	return i
}

func (s *Snapshot) allocatable(n *corev1.Node) amounts {
	list := n.Status.Allocatable
	if list == nil {
		list = n.Status.Capacity
	}
	return s.amountsOf(list)
}

// asked is what a pod asks for, in the three ways in which it is counted.
type asked struct {
	req    amounts // what it asks for
	scored amounts // with the assumed requests, as a resident counts for the scores
	// asking is with the assumed requests, as NodeResourcesFit scores the pod that looks
	// for a node: kube-scheduler leaves out there what the pod as a whole asks for.
	asking amounts
}

// requests are what a pod asks for: the sum over its containers and sidecars, or
// what an init container needs at its turn if that is more, the overhead, or what
// the pod as a whole asks for; for a pod that is being resized, the largest of what
// it has and what it shall have
// (kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers).
func (s *Snapshot) requests(pod *corev1.Pod) asked {
	opts := podresource.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	list := podresource.PodRequests(pod, opts)
	var a asked
	a.req = s.amountsOf(list)
	a.req.pods = 1
	every := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(assumedCPUMilli, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(assumedMemBytes, resource.DecimalSI)}
	a.asking = s.amountsOf(podresource.PodRequests(pod, podresource.PodResourcesOptions{SkipPodLevelResources: true, NonMissingContainerRequests: every}))
	if podresource.IsPodLevelRequestsSet(pod) {
		every = maps.Clone(every)
		for name := range list {
			delete(every, name)
		}
	}
	opts.NonMissingContainerRequests = every
	full := s.amountsOf(podresource.PodRequests(pod, opts))
	a.scored = amounts{cpuMilli: full.cpuMilli, memBytes: full.memBytes}
	return a
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}
