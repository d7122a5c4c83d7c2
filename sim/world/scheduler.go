package world

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/netsim"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sim"
)

// schedulerName is the profile that every pod without a schedulerName has, and the
// component of its events.
const schedulerName = corev1.DefaultSchedulerName

// scheduler drives package sched: it feeds it by a watch and carries its decisions
// to the API, without waiting for a bind before the next decision.
type scheduler struct {
	w        *World
	id       sim.ActorID
	stream   *stream
	rv       uint64
	pods     map[kinds.Key]*corev1.Pod // as last seen
	queue    *sched.Queue
	snapshot *sched.Snapshot
	deciding *corev1.Pod
	binding  map[uint64]*corev1.Pod // by number of the call
	calls    uint64
	timer    sim.Timer
	timeAt   time.Time
}

// The messages of the scheduler, besides msgWatch, msgResume and msgDue.
const (
	msgDecide uint16 = iota + 10
	msgBound         // A: number of the call; Ref: *call
	msgStatusWritten
)

func newScheduler(w *World, party netsim.Party) *scheduler {
	s := &scheduler{w: w, pods: map[kinds.Key]*corev1.Pod{}, queue: sched.NewQueue(), snapshot: sched.NewSnapshot(), binding: map[uint64]*corev1.Pod{}}
	s.id = w.eng.Register("scheduler", s)
	s.stream = &stream{w: w, party: party, to: s.id, kind: msgWatch, resume: msgResume}
	for _, k := range []kinds.Kind{kinds.Pod, kinds.Node} {
		s.stream.wants[k] = true
	}
	w.server.streams = append(w.server.streams, s.stream)
	return s
}

// Handle implements sim.Actor.
func (s *scheduler) Handle(m sim.Msg) {
	switch m.Kind {
	case msgWatch:
		if s.stream.arrives(m.B) {
			e := s.w.server.event(m.A)
			if s.w.eng.Recording() {
				s.w.eng.Describe("sees", e.Ref.String(), e.Type.String())
			}
			s.see(e)
		}
	case msgResume:
		if s.stream.resumed(m.B) {
			s.relist()
		}
	case msgDecide:
		s.decide()
	case msgBound:
		s.bound(m.A, m.Ref.(*call))
	case msgStatusWritten:
		s.w.server.done(m.Ref.(*call))
	case msgDue:
		s.timeAt = time.Time{}
	}
	s.kick()
}

// see takes one event of the watch.
func (s *scheduler) see(e store.Event) {
	if e.RV <= s.rv {
		return
	}
	s.rv = e.RV
	s.snapshot.Apply(e)
	now, cause := s.w.eng.Date(), s.w.eng.Cause()
	switch o := e.Object.(type) {
	case *corev1.Node:
		if old, ok := e.Old.(*corev1.Node); !ok || mayHelp(old, o) {
			s.queue.Changed(now, cause)
		}
	case *corev1.Pod:
		if e.Type == store.Deleted {
			delete(s.pods, e.Ref.Key)
		} else {
			s.pods[e.Ref.Key] = o
		}
		switch {
		case e.Type != store.Deleted && waits(o):
			s.queue.Set(now, o, cause)
			return
		case o.Spec.NodeName != "" && (e.Type == store.Deleted || view.Finished(o)):
			s.queue.Changed(now, cause)
		}
		s.queue.Remove(e.Ref.Key)
	}
}

func waits(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && p.DeletionTimestamp == nil && !view.Finished(p) &&
		p.Spec.SchedulerName == schedulerName && len(p.Spec.SchedulingGates) == 0
}

// mayHelp says whether a node's change could let a pod run that could not before.
func mayHelp(old, now *corev1.Node) bool {
	return old.Spec.Unschedulable != now.Spec.Unschedulable || !maps.Equal(old.Labels, now.Labels) ||
		!equality.Semantic.DeepEqual(old.Spec.Taints, now.Spec.Taints) ||
		!equality.Semantic.DeepEqual(old.Status.Allocatable, now.Status.Allocatable)
}

// relist catches up after a broken watch.
func (s *scheduler) relist() {
	events, err := s.w.server.Store().Since(s.rv)
	if err != nil {
		panic("world: the scheduler's watch is too far behind: " + err.Error())
	}
	for _, e := range events {
		if s.stream.wants[e.Ref.Kind] {
			s.see(e)
		}
	}
}

// kick starts the next decision, and sets the alarm for pods in back-off.
func (s *scheduler) kick() {
	eng := s.w.eng
	for s.deciding == nil {
		pod, cause, ok := s.queue.Pop(eng.Date())
		if !ok {
			break
		}
		s.deciding = pod
		eng.AtBecause(eng.Now()+s.w.timing.Decision, s.id, sim.Msg{Kind: msgDecide}, cause)
	}
	at, ok := s.queue.Next()
	if ok && s.deciding == nil && !at.Equal(s.timeAt) { // a decision under way ends here again
		eng.Cancel(s.timer)
		s.timer = eng.At(max(eng.SinceStart(at), eng.Now()), s.id, sim.Msg{Kind: msgDue})
		s.timeAt = at
	}
}

func (s *scheduler) decide() {
	pod, eng := s.deciding, s.w.eng
	s.deciding = nil
	key := kinds.KeyOf(pod)
	if now := s.pods[key]; now == nil || now.UID != pod.UID || !waits(now) {
		s.queue.Remove(key)
		return
	}
	d := s.snapshot.Decide(pod)
	if d.Node == "" {
		eng.Describe("no node", kinds.RefOf(pod).String(), "")
		s.reject(pod, d.Message())
		return
	}
	eng.Fold(sim.HashString(d.Node))
	if eng.Recording() {
		eng.Describe("decides", kinds.RefOf(pod).String(), d.Node)
	}
	s.snapshot.Assume(pod, d.Node)
	s.calls++
	s.binding[s.calls] = pod
	s.w.server.call(call{req: api.Bind(key, pod.UID, d.Node), from: s.stream.party, to: s.id, kind: msgBound, a: s.calls})
}

// reject says why a pod stays pending: in an event and in its PodScheduled
// condition.
func (s *scheduler) reject(pod *corev1.Pod, why string) {
	key := kinds.KeyOf(pod)
	s.queue.Park(s.w.eng.Date(), key)
	s.w.server.note(s.stream.party, api.Warning(pod, schedulerName, "FailedScheduling", why))
	current := s.pods[key]
	c := view.Condition(current, corev1.PodScheduled)
	if c != nil && c.Status == corev1.ConditionFalse && c.Message == why {
		return
	}
	p := *current
	p.Status.Conditions = nil
	for _, c := range current.Status.Conditions {
		if c.Type != corev1.PodScheduled {
			p.Status.Conditions = append(p.Status.Conditions, c)
		}
	}
	since := metav1.Time{Time: s.w.eng.Date().Truncate(time.Second)}
	if c != nil && c.Status == corev1.ConditionFalse {
		since = c.LastTransitionTime
	}
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
		Reason: corev1.PodReasonUnschedulable, Message: why, LastTransitionTime: since})
	s.w.server.call(call{req: api.UpdateStatus(&p), from: s.stream.party, to: s.id, kind: msgStatusWritten})
}

func (s *scheduler) bound(number uint64, c *call) {
	pod, err, node := s.binding[number], c.err, c.req.Node
	delete(s.binding, number)
	s.w.server.done(c)
	key := kinds.KeyOf(pod)
	switch {
	case err == nil:
		s.w.server.note(s.stream.party, api.Normal(pod, schedulerName, "Scheduled",
			"Successfully assigned "+key.String()+" to "+node))
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		s.snapshot.Forget(key)
		if p := s.pods[key]; p != nil {
			if p.Spec.NodeName != "" {
				s.snapshot.Assume(p, p.Spec.NodeName)
			}
		}
		s.queue.Retry(s.w.eng.Date(), key)
	default:
		s.snapshot.Forget(key)
		s.queue.Retry(s.w.eng.Date(), key)
		s.w.server.note(s.stream.party, api.Warning(pod, schedulerName, "FailedScheduling", "binding rejected: "+err.Error()))
	}
}
