package world

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/netsim"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sim"
)

// scheduler drives package sched: it feeds it by a watch and carries its decisions
// to the API, without waiting for a bind before the next decision.
type scheduler struct {
	w        *World
	id       sim.ActorID
	stream   *stream
	rv       uint64
	sched    *sched.Scheduler
	deciding *corev1.Pod
	notes    map[uint64][]api.Note // of writes under way, by their ID
	timer    sim.Timer
	timeAt   time.Time
}

// The messages of the scheduler, besides msgWatch, msgResume and msgDue.
const (
	msgDecide   uint16 = iota + 10
	msgAnswered        // A: the write's ID; Ref: *call
)

func newScheduler(w *World, party netsim.Party) *scheduler {
	s := &scheduler{w: w, sched: sched.New(w.scn.Scheduler), notes: map[uint64][]api.Note{}}
	s.id = w.eng.Register("scheduler", s)
	s.stream = &stream{w: w, party: party, to: s.id, kind: msgWatch, resume: msgResume}
	for _, k := range sched.Watches() {
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
	case msgAnswered:
		s.answered(m.A, m.Ref.(*call))
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
	s.sched.See(s.w.eng.Date(), e, s.w.eng.Cause())
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

// kick carries out what there is to write, starts the next decision, and sets the
// alarm for what is due later.
func (s *scheduler) kick() {
	s.write()
	eng := s.w.eng
	if s.deciding == nil {
		if pod, cause, ok := s.sched.Next(eng.Date()); ok {
			s.deciding = pod
			eng.AtBecause(eng.Now()+s.w.timing.Decision*time.Duration(s.sched.Size(pod)), s.id, sim.Msg{Kind: msgDecide}, cause)
		}
	}
	at, ok := s.sched.Due()
	if ok && s.deciding == nil && !at.Equal(s.timeAt) { // a decision under way ends here again
		eng.Cancel(s.timer)
		s.timer = eng.At(max(eng.SinceStart(at), eng.Now()), s.id, sim.Msg{Kind: msgDue})
		s.timeAt = at
	}
}

func (s *scheduler) decide() {
	pod, eng := s.deciding, s.w.eng
	s.deciding = nil
	if s.w.explain != nil {
		s.w.explain(kinds.RefOf(pod), func() *sched.Explanation { return s.sched.Explain(eng.Date(), pod) })
	}
	d := s.sched.Decide(eng.Date(), pod)
	if d.Members == nil {
		s.tell(pod, &d)
	}
	for i := range d.Members {
		s.tell(d.Members[i].Pod, &d.Members[i].Decision)
	}
}

// tell puts a decision into the trace.
func (s *scheduler) tell(pod *corev1.Pod, d *sched.Decision) {
	eng := s.w.eng
	switch {
	case d.Node != "":
		eng.Fold(sim.HashString(d.Node))
		if eng.Recording() {
			eng.Describe("decides", kinds.RefOf(pod).String(), d.Node)
		}
	case d.Preempted != "":
		eng.Fold(sim.HashString(d.Preempted))
		eng.Describe("preempts", kinds.RefOf(pod).String(), d.Preempted)
	case d.Failed != "":
		eng.Describe("cannot decide", kinds.RefOf(pod).String(), d.Failed)
	default:
		eng.Describe("no node", kinds.RefOf(pod).String(), "")
	}
}

// write carries the scheduler's writes to the API.
func (s *scheduler) write() {
	for _, w := range s.sched.Take() {
		if w.Req.Verb == 0 {
			for _, n := range w.Notes {
				s.w.server.note(s.stream.party, n)
			}
			continue
		}
		if len(w.Notes) > 0 {
			s.notes[w.ID] = w.Notes
		}
		s.w.server.call(call{req: w.Req, from: s.stream.party, to: s.id, kind: msgAnswered, a: w.ID})
	}
}

func (s *scheduler) answered(id uint64, c *call) {
	err := c.err
	s.w.server.done(c)
	if err == nil {
		for _, n := range s.notes[id] {
			s.w.server.note(s.stream.party, n)
		}
	}
	delete(s.notes, id)
	s.sched.Answered(s.w.eng.Date(), id, err)
}
