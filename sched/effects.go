package sched

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/sched/volumes"
)

// sent is a write whose answer is awaited.
type sent struct {
	pod  *corev1.Pod
	node string // of a bind
	what sentKind
}

type sentKind uint8

const (
	sentBind   sentKind = iota // the pod's binding
	sentVolume                 // a claim or a volume, before it
	sentStatus                 // the pod's condition
	sentVictim                 // a victim's condition, or its deletion
)

// bind is a pod that has a node and waits for its volumes.
type bind struct {
	pod   *corev1.Pod
	node  string
	since time.Time
	open  int // writes without an answer
}

// send adds a write to those that Take hands out.
func (s *Scheduler) send(what sentKind, pod *corev1.Pod, node string, req api.Request, notes ...api.Note) {
	s.lastID++
	s.sent[s.lastID] = sent{pod, node, what}
	s.writes = append(s.writes, Write{ID: s.lastID, Req: req, Notes: notes})
}

// say adds a note alone.
func (s *Scheduler) say(n api.Note) {
	s.writes = append(s.writes, Write{Notes: []api.Note{n}})
}

// assume counts a pod on the node that it was given and sets about binding it.
func (s *Scheduler) assume(now time.Time, pod *corev1.Pod, node string) {
	writes, err := s.snapshot.reserve(s.profiles[pod.Spec.SchedulerName], pod, node)
	if err != "" {
		s.giveUp(now, pod, err)
		return
	}
	s.commit(now, pod, node, writes)
}

// reserve counts a pod on a node, and the volumes that it will use there. writes are
// what binds them; err is why they cannot be, and then nothing is counted but the pod.
func (x *Snapshot) reserve(p *profile, pod *corev1.Pod, node string) (writes []api.Request, err string) {
	x.Assume(pod, node)
	if !volumes.Concerns(pod) {
		return nil, ""
	}
	ask, refused := x.volumes.Ask(pod, volumes.SetOf(p.volumes))
	if refused == nil {
		writes, refused = ask.Reserve(x.nodes[x.byName[node]])
	}
	if refused != nil {
		return nil, refused.Reasons[0]
	}
	return writes, ""
}

// unreserve takes a pod back from where reserve has counted it.
func (x *Snapshot) unreserve(pod *corev1.Pod) {
	x.volumes.Unreserve(pod)
	x.forget(kinds.KeyOf(pod))
}

// commit binds a pod that is counted on a node, after its volumes.
func (s *Scheduler) commit(now time.Time, pod *corev1.Pod, node string, writes []api.Request) {
	if !volumes.Concerns(pod) {
		s.bind(now, pod, node)
		return
	}
	s.binding[kinds.KeyOf(pod)] = &bind{pod: pod, node: node, since: now, open: len(writes)}
	for _, w := range writes {
		s.send(sentVolume, pod, node, w)
	}
	s.bindReady(now)
}

func (s *Scheduler) bind(now time.Time, pod *corev1.Pod, node string) {
	key := kinds.KeyOf(pod)
	if err := s.bindByExtender(pod, node); err != nil {
		s.giveUp(now, pod, "")
		s.complain(now, pod, err.Error())
		return
	}
	s.send(sentBind, pod, node, api.Bind(key, pod.UID, node),
		api.Normal(pod, pod.Spec.SchedulerName, "Scheduled", "Successfully assigned "+key.String()+" to "+node))
}

// bindReady binds the pods whose volumes are bound by now, and gives up those whose
// will not be.
func (s *Scheduler) bindReady(now time.Time) {
	if len(s.binding) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(s.binding), kinds.Key.Compare)
	for _, key := range keys {
		b := s.binding[key]
		if b.open > 0 {
			continue
		}
		ok, failed := s.snapshot.volumes.Bound(b.pod)
		switch {
		case ok:
			delete(s.binding, key)
			s.bind(now, b.pod, b.node)
		case failed != "":
			s.giveUp(now, b.pod, failed)
		case !now.Before(b.since.Add(volumes.BindTimeout)):
			s.giveUp(now, b.pod, volumes.BindTimedOut)
		}
	}
}

// giveUp takes a pod off the node it was to be bound to, after an error.
func (s *Scheduler) giveUp(now time.Time, pod *corev1.Pod, why string) {
	key, x := kinds.KeyOf(pod), s.snapshot
	delete(s.binding, key)
	x.unreserve(pod)
	s.queue.Retry(now, key)
	s.rejoin(now, pod)
	if why != "" {
		s.say(api.Warning(pod, pod.Spec.SchedulerName, "FailedScheduling", why))
	}
	s.changed(now, 0, &change{pod: pod, class: x.classOf(pod), gone: true})
}

// fail ends an attempt that met an error: the pod is tried again after its back-off.
func (s *Scheduler) fail(now time.Time, pod *corev1.Pod, why string) {
	s.queue.Retry(now, kinds.KeyOf(pod))
	s.complain(now, pod, why)
}

// complain tells of an error in an event and in the pod's PodScheduled condition, and
// takes its nomination away.
func (s *Scheduler) complain(now time.Time, pod *corev1.Pod, why string) {
	s.snapshot.nominate(pod, "")
	s.say(api.Warning(pod, pod.Spec.SchedulerName, "FailedScheduling", why))
	s.unscheduled(now, pod, corev1.PodReasonSchedulerError, why, "")
}

// unscheduled sets a pod's PodScheduled condition to False, unless it says so already.
func (s *Scheduler) unscheduled(now time.Time, pod *corev1.Pod, reason, why, nomination string) {
	c := view.Condition(pod, corev1.PodScheduled)
	if c != nil && c.Status == corev1.ConditionFalse && c.Reason == reason && c.Message == why && pod.Status.NominatedNodeName == nomination {
		return
	}
	p := withCondition(now, pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: why})
	p.Status.NominatedNodeName = nomination
	s.send(sentStatus, pod, "", api.UpdateStatus(p))
}

// reject says why a pod stays pending, in an event and in its PodScheduled condition,
// and makes victims go.
func (s *Scheduler) reject(now time.Time, pod *corev1.Pod, d *Decision, nomination string) {
	s.queue.Park(now, kinds.KeyOf(pod), d.plugins, volumes.Concerns(pod))
	for _, v := range d.Victims {
		for _, v := range s.withGang(v) {
			s.evict(now, pod, v, d.Preempted)
		}
	}
	if d.Preempted != "" {
		s.yieldRoom(pod, d.Preempted)
	}
	s.refuse(now, pod, d.Message(), nomination)
}

// refuse tells why a pod stays pending, and notes the node that it is nominated for.
func (s *Scheduler) refuse(now time.Time, pod *corev1.Pod, why, nomination string) {
	s.snapshot.nominate(pod, nomination)
	s.say(api.Warning(pod, pod.Spec.SchedulerName, "FailedScheduling", why))
	s.unscheduled(now, pod, corev1.PodReasonUnschedulable, why, nomination)
}

// yieldRoom takes less important pods' nominations for the node away: the room is
// not for them any more.
func (s *Scheduler) yieldRoom(pod *corev1.Pod, node string) {
	for _, n := range append([]*nominee(nil), s.snapshot.nominated.byNode[node]...) {
		if n.class.priority >= priority(pod) || s.pending[n.key] == nil {
			continue
		}
		p := *s.pending[n.key] // it counts until the watch tells that it was written
		p.Status.NominatedNodeName = ""
		s.send(sentStatus, &p, "", api.UpdateStatus(&p))
	}
}

// evict makes a victim go: its condition says why, and it is deleted.
func (s *Scheduler) evict(now time.Time, pod, victim *corev1.Pod, node string) {
	if victim.DeletionTimestamp != nil {
		return
	}
	by := pod.Spec.SchedulerName
	p := withCondition(now, victim, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: corev1.PodReasonPreemptionByScheduler, Message: by + ": preempting to accommodate a higher priority pod"})
	p.ResourceVersion = "" // whatever else has become of it, it has to go
	s.send(sentVictim, victim, node, api.UpdateStatus(p))
	s.send(sentVictim, victim, node, api.Delete(kinds.RefOf(victim), victim.UID),
		api.Normal(victim, by, "Preempted", fmt.Sprintf("Preempted by pod %v on node %v", pod.UID, node)))
}

// withCondition is a copy of a pod with a condition set.
func withCondition(now time.Time, pod *corev1.Pod, c corev1.PodCondition) *corev1.Pod {
	p := *pod
	p.Status.Conditions = nil
	c.LastTransitionTime = metav1.Time{Time: now.Truncate(time.Second)}
	for _, old := range pod.Status.Conditions {
		if old.Type != c.Type {
			p.Status.Conditions = append(p.Status.Conditions, old)
		} else if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, c)
	return &p
}

// Answered tells the outcome of a write that Take handed out.
func (s *Scheduler) Answered(now time.Time, id uint64, err error) {
	w, ok := s.sent[id]
	if !ok {
		return
	}
	delete(s.sent, id)
	switch w.what {
	case sentBind:
		s.bound(now, w, err)
	case sentVolume:
		b := s.binding[kinds.KeyOf(w.pod)]
		switch {
		case b == nil:
		case err != nil:
			s.giveUp(now, w.pod, "binding volumes: "+err.Error())
		default:
			b.open--
			s.bindReady(now)
		}
	}
}

func (s *Scheduler) bound(now time.Time, w sent, err error) {
	if err == nil {
		return
	}
	key, x := kinds.KeyOf(w.pod), s.snapshot
	why := "binding rejected: " + err.Error()
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		if r := x.residents[key]; r != nil && r.pod.Spec.NodeName != "" {
			return // someone else has bound it: the watch told first
		}
		why = ""
	}
	s.giveUp(now, w.pod, why)
}
