package sched

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// Scheduler is the whole scheduler as a state machine: See feeds it the events of a
// view, Next hands out the pod that is to be decided on, Decide decides, Take hands
// out the writes that follow, and Answered tells their outcome. It reads no clock:
// now is given. A world drives it.
type Scheduler struct{}

// Write is something that the scheduler wants of the API.
type Write struct {
	ID    uint64      // for Answered
	Req   api.Request // the write; the zero Verb when there is only a note
	Notes []api.Note  // to be recorded once it has succeeded
	Cause uint64      // the event of the trace that it follows from
}

// New returns a scheduler that has seen nothing yet. The configuration must be valid;
// package config sees to that.
func New(cfg Config) *Scheduler { panic("not yet") }

// Watches lists the kinds whose events See wants.
func Watches() []kinds.Kind { return nil }

// See takes one event of the view. cause is the event of the trace that brought it.
func (s *Scheduler) See(now time.Time, e store.Event, cause uint64) {}

// Next hands out the pod that comes first. Each pod that is handed out must be given
// to Decide, before the next call or later.
func (s *Scheduler) Next(now time.Time) (pod *corev1.Pod, cause uint64, ok bool) {
	return nil, 0, false
}

// Due is when Next may have a pod that it has not now; ok is false for never.
func (s *Scheduler) Due() (at time.Time, ok bool) { return time.Time{}, false }

// Decide decides on a pod that Next handed out, and prepares what follows from it for
// Take: the bind, or the condition and the victims' removal.
func (s *Scheduler) Decide(now time.Time, pod *corev1.Pod) Decision { return Decision{} }

// Take hands out the writes there are to make, in order. The slice is valid until
// the next call of any method.
func (s *Scheduler) Take() []Write { return nil }

// Answered tells the outcome of a write that Take handed out.
func (s *Scheduler) Answered(now time.Time, id uint64, err error) {}

// Explain says how a pod is looked at now. It changes nothing.
func (s *Scheduler) Explain(now time.Time, pod *corev1.Pod) *Explanation { return nil }
