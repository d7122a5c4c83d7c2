package statefulset

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/podset"
	"seatrial.dev/seatrial/ctrl/revision"
)

// burstMax is how many pods one plan creates or deletes.
const burstMax = 500

// place is a number of the set, and the pod that stands there, if any.
type place struct {
	ordinal int
	pod     *corev1.Pod
}

// turn is one call of Reconcile.
type turn struct {
	now time.Time
	v   *view.View
	set *appsv1.StatefulSet // read only
	p   *ctrl.Plan

	places    []place // of the numbers that should be, in order
	condemned []place // of those that should not, the highest first
	history   revision.History
	current   *appsv1.ControllerRevision // of the pods that are not to be updated
	status    appsv1.StatefulSetStatus
	changes   int // pods created and deleted
}

func begin(now time.Time, v *view.View, set *appsv1.StatefulSet, p *ctrl.Plan) *turn {
	t := &turn{now: now, v: v, set: set, p: p}
	start, n := 0, 1
	if set.Spec.Ordinals != nil {
		start = int(set.Spec.Ordinals.Start)
	}
	if set.Spec.Replicas != nil {
		n = int(*set.Spec.Replicas)
	}
	for i := range n {
		t.places = append(t.places, place{ordinal: start + i})
	}
	selector := selectorOf(set)
	take := func(pod *corev1.Pod) {
		i, ok := ordinalOf(set, pod)
		switch ownership.Claim(set, pod, ok && selector.Matches(labels.Set(pod.Labels))) {
		case ownership.Adopt:
			p.Write(ownership.AdoptWrite(set, pod))
		case ownership.Release:
			p.Write(ownership.ReleaseWrite(pod, set.UID))
		case ownership.Keep:
			if i -= start; i >= 0 && i < n {
				t.places[i].pod = pod
			} else {
				t.condemned = append(t.condemned, place{i + start, pod})
			}
		}
	}
	for pod := range v.PodsOf(set.UID).Pods() {
		take(pod)
	}
	for pod := range v.OrphanPods(set.Namespace) {
		take(pod)
	}
	slices.SortFunc(t.condemned, func(a, b place) int { return cmp.Compare(b.ordinal, a.ordinal) })
	return t
}

func (t *turn) play() {
	t.status = *t.set.Status.DeepCopy()
	t.status.ObservedGeneration = t.set.Generation
	t.history = revision.Sync(t.v, t.set, selectorOf(t.set), &t.set.Spec.Template, t.set.Status.CollisionCount, t.p)
	if t.history.Collided {
		n := int32(1)
		if c := t.set.Status.CollisionCount; c != nil {
			n = *c + 1
		}
		t.status.CollisionCount = &n
		t.writeStatus()
		return
	}
	if t.current = t.history.Named(t.set.Status.CurrentRevision); t.current == nil {
		t.current = t.history.Today
	}
	t.status.CurrentRevision, t.status.UpdateRevision = t.current.Name, t.history.Today.Name
	t.count()
	if t.set.DeletionTimestamp == nil && t.fill() && t.empty() && t.set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		t.roll()
	}
	t.complete()
	t.history.Clean(t.set.Spec.RevisionHistoryLimit, t.inUse, t.p)
	t.writeStatus()
}

func (t *turn) inUse(r *appsv1.ControllerRevision) bool {
	return r.Name == t.current.Name || slices.ContainsFunc(append(slices.Clone(t.places), t.condemned...), func(x place) bool {
		return x.pod != nil && x.pod.Labels[revision.HashLabel] == r.Name
	})
}

// ordered says whether pods start and go one by one.
func (t *turn) ordered() bool { return t.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement }

func runningAndReady(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning && view.Ready(p) }

func healthy(p *corev1.Pod) bool { return runningAndReady(p) && p.DeletionTimestamp == nil }

// available says whether a pod has been ready for minReadySeconds, and asks to look
// again when it will have been.
func (t *turn) available(p *corev1.Pod) bool {
	wait, ready := podset.AvailableIn(p, time.Duration(t.set.Spec.MinReadySeconds)*time.Second, t.now)
	if !ready || p.Status.Phase != corev1.PodRunning {
		return false
	}
	t.p.LookAgain(wait)
	return wait <= 0
}

func (t *turn) count() {
	s := &t.status
	s.Replicas, s.ReadyReplicas, s.AvailableReplicas, s.CurrentReplicas, s.UpdatedReplicas = 0, 0, 0, 0, 0
	for _, x := range append(slices.Clone(t.places), t.condemned...) {
		if x.pod == nil {
			continue
		}
		s.Replicas++
		if runningAndReady(x.pod) {
			s.ReadyReplicas++
			if t.available(x.pod) {
				s.AvailableReplicas++
			}
		}
		t.countRevision(x.pod, +1)
	}
}

// complete makes the new revision the current one when every pod is of it and ready.
func (t *turn) complete() {
	if s := &t.status; t.rolls() && s.ReadyReplicas == s.Replicas && s.UpdatedReplicas == s.Replicas {
		s.CurrentReplicas, s.CurrentRevision = s.UpdatedReplicas, s.UpdateRevision
	}
}

func (t *turn) rolls() bool {
	return t.set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType
}

// countRevision counts an unfinished, staying pod by its revision.
func (t *turn) countRevision(p *corev1.Pod, by int32) {
	if p.DeletionTimestamp != nil || view.Finished(p) {
		return
	}
	of := p.Labels[revision.HashLabel]
	if of == t.status.CurrentRevision {
		t.status.CurrentReplicas += by
	}
	if of == t.status.UpdateRevision {
		t.status.UpdatedReplicas += by
	}
}

// fill creates the pods that are missing, in order. It says whether the turn may go
// on: with OrderedReady each pod waits for the one before.
func (t *turn) fill() bool {
	for _, x := range t.places {
		switch pod := x.pod; {
		case t.changes >= burstMax:
			return false
		case pod == nil:
			t.create(x.ordinal)
			if t.ordered() {
				return false
			}
		case view.Finished(pod):
			t.replace(pod)
			return false
		case pod.DeletionTimestamp != nil && t.ordered():
			return false
		case t.ordered() && (!runningAndReady(pod) || !t.available(pod)):
			t.claims(x.ordinal)
			return false
		}
	}
	return true
}

// replace deletes a finished pod: the next turn creates it anew.
func (t *turn) replace(pod *corev1.Pod) {
	if pod.Status.Phase == corev1.PodFailed {
		t.p.Note(api.Warning(t.set, component, "RecreatingFailedPod",
			fmt.Sprintf("StatefulSet %s/%s is recreating failed Pod %s", t.set.Namespace, t.set.Name, pod.Name)))
	} else {
		t.p.Note(api.Normal(t.set, component, "RecreatingTerminatedPod",
			fmt.Sprintf("StatefulSet %s/%s is recreating terminated Pod %s", t.set.Namespace, t.set.Name, pod.Name)))
	}
	if pod.DeletionTimestamp == nil {
		t.delete(pod)
	}
}

func (t *turn) claims(ordinal int) {
	for _, c := range missingClaims(t.v, t.set, ordinal) {
		t.p.WriteNoted(api.Create(c), t.normal("SuccessfulCreate",
			fmt.Sprintf("create Claim %s Pod %s in StatefulSet %s success", c.Name, podName(t.set, ordinal), t.set.Name)))
	}
}

func (t *turn) normal(reason, message string) api.Note {
	return api.Normal(t.set, component, reason, message)
}

func (t *turn) create(ordinal int) {
	pod, err := newPod(t.set, ordinal, t.revisionFor(ordinal))
	if err != nil {
		t.p.Failed = err
		return
	}
	t.claims(ordinal)
	t.changes++
	t.p.WriteNoted(api.Create(pod), t.normal("SuccessfulCreate",
		fmt.Sprintf("create Pod %s in StatefulSet %s successful", pod.Name, t.set.Name)))
	t.status.Replicas++
	t.countRevision(pod, +1)
}

// revisionFor is the revision that a pod is created of: below the partition, and as
// long as that many pods are still of the current one, that.
func (t *turn) revisionFor(ordinal int) *appsv1.ControllerRevision {
	if !t.rolls() {
		return t.history.Today
	}
	limit := int(t.status.CurrentReplicas)
	if r := t.set.Spec.UpdateStrategy.RollingUpdate; r != nil {
		limit = t.partition()
	}
	if ordinal < t.start()+limit {
		return t.current
	}
	return t.history.Today
}

func (t *turn) partition() int {
	if r := t.set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil {
		return int(*r.Partition)
	}
	return 0
}

func (t *turn) start() int {
	if t.set.Spec.Ordinals == nil {
		return 0
	}
	return int(t.set.Spec.Ordinals.Start)
}

func (t *turn) delete(pod *corev1.Pod) {
	t.changes++
	t.p.WriteNoted(api.Delete(kinds.RefOf(pod), pod.UID), t.normal("SuccessfulDelete",
		fmt.Sprintf("delete Pod %s in StatefulSet %s successful", pod.Name, t.set.Name)))
	t.countRevision(pod, -1)
}

// empty deletes the pods of numbers that should not be, the highest first. It says
// whether the turn may go on.
func (t *turn) empty() bool {
	unhealthy := t.firstUnhealthy()
	for _, x := range t.condemned {
		switch {
		case t.changes >= burstMax:
			return false
		case x.pod.DeletionTimestamp != nil:
			if t.ordered() {
				return false
			}
			continue
		case t.ordered() && x.pod != unhealthy && (!runningAndReady(x.pod) || !t.available(x.pod)):
			return false
		}
		t.delete(x.pod)
		if t.ordered() {
			return false
		}
	}
	return true
}

// firstUnhealthy is the unhealthy pod of the lowest number.
func (t *turn) firstUnhealthy() *corev1.Pod {
	for _, x := range t.places {
		if x.pod != nil && !healthy(x.pod) {
			return x.pod
		}
	}
	for _, x := range slices.Backward(t.condemned) {
		if !healthy(x.pod) {
			return x.pod
		}
	}
	return nil
}

// roll deletes the old pod of the highest number, when all above it are healthy.
func (t *turn) roll() {
	for i := len(t.places) - 1; i >= t.partition() && i >= 0; i-- {
		pod := t.places[i].pod
		switch {
		case pod == nil:
			return // just created
		case pod.DeletionTimestamp == nil && pod.Labels[revision.HashLabel] != t.history.Today.Name:
			t.delete(pod)
			return
		case !healthy(pod):
			return
		}
	}
}

func (t *turn) writeStatus() {
	if !equality.Semantic.DeepEqual(&t.set.Status, &t.status) {
		c := *t.set
		c.Status = t.status
		t.p.Write(api.UpdateStatus(&c))
	}
}
