package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"seatrial.dev/seatrial/internal/trace"
)

// Time is virtual time since the start of a run, in nanoseconds.
type Time = time.Duration

// Epoch is the calendar time at which a run starts that names no other.
func Epoch() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// ActorID is an actor's number in its engine, from 1 in the order of registration.
type ActorID uint32

// Actor handles the events addressed to it.
type Actor interface {
	Handle(m Msg)
}

// Msg is what an event says. Kind, A and B are the actor's own and enter the
// running hash; Ref may carry a pointer and does not.
type Msg struct {
	Ref  any
	A, B uint64
	Kind uint16
}

// Timer names a scheduled event so that it can be cancelled. The zero Timer names
// none.
type Timer struct {
	slot uint32 // index in slots plus one
	gen  uint32
}

// instantMax is how many events may be handled without time passing: more than that
// is an actor that keeps calling itself.
const instantMax = 20_000_000

// Engine runs events in virtual time.
type Engine struct {
	now     Time
	epoch   time.Time
	seq     uint64
	cause   uint64 // sequence number of the event being handled
	handled uint64
	instant uint64 // handled when the present virtual time began
	hash    Hash
	heap    heap
	slots   []slot
	free    []uint32
	actors  []registered
	seed    uint64
	warm    uint32 // means nothing; see step
	rec     trace.Recorder
}

type registered struct {
	actor Actor
	name  string
}

type slot struct {
	ref   any
	a, b  uint64
	cause uint64
	actor ActorID // 0: cancelled
	gen   uint32
	kind  uint16
	_     [8]byte // fills a cache line
}

// New returns an engine at time 0 whose random streams derive from seed.
func New(seed uint64) *Engine {
	e := &Engine{seed: seed, hash: newHash(seed), epoch: Epoch()}
	e.actors = make([]registered, 1)
	return e
}

// Register gives an actor a number and a name, which the trace shows as the
// component.
func (e *Engine) Register(name string, a Actor) ActorID {
	e.actors = append(e.actors, registered{a, name})
	return ActorID(len(e.actors) - 1)
}

// Name returns an actor's name.
func (e *Engine) Name(id ActorID) string { return e.actors[id].name }

// Seed returns the seed of the run.
func (e *Engine) Seed() uint64 { return e.seed }

// Now is the virtual time.
func (e *Engine) Now() Time { return e.now }

// Date is the virtual time as calendar time.
func (e *Engine) Date() time.Time { return e.epoch.Add(e.now) }

// DateOf is a virtual time as calendar time, and SinceStart the reverse.
func (e *Engine) DateOf(t Time) time.Time { return e.epoch.Add(t) }

// SinceStart is a calendar time as virtual time.
func (e *Engine) SinceStart(date time.Time) Time { return date.Sub(e.epoch) }

// StartAt sets the calendar time at which the run starts. It is no part of the
// run's hash: dates are shown and compared, but every decision is by differences.
func (e *Engine) StartAt(epoch time.Time) { e.epoch = epoch.UTC() }

// Cause is the sequence number of the event being handled, 0 outside of any.
func (e *Engine) Cause() uint64 { return e.cause }

// Handled is the number of events handled so far.
func (e *Engine) Handled() uint64 { return e.handled }

// Pending is the number of events scheduled, cancelled ones included.
func (e *Engine) Pending() int { return len(e.heap) }

// Hash is the running hash over every event handled so far.
func (e *Engine) Hash() uint64 { return uint64(e.hash) }

// Fold mixes a value of the event being handled into the running hash: for
// results that the message itself does not determine.
func (e *Engine) Fold(x uint64) { e.hash.fold(x) }

// Stream returns a new random stream for one purpose. Streams of one seed are
// independent, so a new draw in one shifts no other.
func (e *Engine) Stream(purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(e.seed, HashString(purpose)))
}

// At schedules a message for a time, which may not be in the past. The event's
// cause is the event being handled.
func (e *Engine) At(t Time, to ActorID, m Msg) Timer { return e.AtBecause(t, to, m, e.cause) }

// Orders are sequence numbers for events from outside the run, such as the steps of
// a scenario or what a person asks of a served cluster: they do not use up the
// engine's own numbers, so an event from outside shifts no other, and at their time
// they come after all others. StepOrder and RequestOrder are the first of each sort.
const (
	StepOrder    uint64 = 1 << 40
	RequestOrder uint64 = 1 << 41
)

// AtOrder schedules an event from outside with a sequence number of its own, which
// must be unique.
func (e *Engine) AtOrder(t Time, order uint64, to ActorID, m Msg) {
	if order < StepOrder {
		panic(fmt.Sprintf("sim: order %d is one of the engine's own numbers", order))
	}
	e.schedule(t, order, to, m, 0)
}

// After is At, d from now.
func (e *Engine) After(d time.Duration, to ActorID, m Msg) Timer { return e.At(e.now+d, to, m) }

// AtBecause is At with a cause other than the event being handled: for work that
// waited in a queue of the actor's own.
func (e *Engine) AtBecause(t Time, to ActorID, m Msg, cause uint64) Timer {
	e.seq++
	return e.schedule(t, e.seq, to, m, cause)
}

func (e *Engine) schedule(t Time, seq uint64, to ActorID, m Msg, cause uint64) Timer {
	if t < e.now {
		panic(fmt.Sprintf("sim: event for %s scheduled at %v, %v in the past", e.actors[to].name, t, e.now-t))
	}
	var i uint32
	if n := len(e.free); n > 0 {
		i, e.free = e.free[n-1], e.free[:n-1]
	} else {
		e.slots = append(e.slots, slot{})
		i = uint32(len(e.slots) - 1)
	}
	s := &e.slots[i]
	s.ref, s.a, s.b, s.kind, s.actor, s.cause = m.Ref, m.A, m.B, m.Kind, to, cause
	e.heap.push(heapItem{int64(t), seq, i})
	return Timer{i + 1, s.gen}
}

// Cancel withdraws a scheduled event and returns whether it was still to come.
func (e *Engine) Cancel(t Timer) bool {
	if t.slot == 0 {
		return false
	}
	s := &e.slots[t.slot-1]
	if s.gen != t.gen || s.actor == 0 {
		return false
	}
	s.actor, s.ref = 0, nil
	return true
}

// Run handles events until none is left before or at limit, then sets the clock
// to limit. stop, if not nil, is asked after every event and ends the run early.
func (e *Engine) Run(limit Time, stop func() bool) {
	for len(e.heap) > 0 && e.heap[0].at <= int64(limit) {
		if e.step() && stop != nil && stop() {
			return
		}
	}
	e.now, e.cause = max(e.now, limit), 0
}

// step takes the next event off the heap and handles it; it returns false for one
// that had been cancelled.
func (e *Engine) step() bool {
	it := e.heap.pop()
	s := &e.slots[it.slot]
	m := Msg{s.ref, s.a, s.b, s.kind}
	to, cause := s.actor, s.cause
	s.ref = nil
	s.gen++
	e.free = append(e.free, it.slot)
	if len(e.heap) > 0 { // bring the next event's slot near while this one is handled
		e.warm ^= e.slots[e.heap[0].slot].gen
	}
	if to == 0 {
		return false
	}
	if it.at != int64(e.now) {
		e.now, e.instant = time.Duration(it.at), e.handled
	} else if e.handled-e.instant > instantMax {
		panic(fmt.Sprintf("sim: %d events at %v and time does not pass; the next is for %s", uint64(instantMax), e.now, e.actors[to].name))
	}
	e.cause = it.seq
	e.handled++
	e.hash.fold4(uint64(it.at), it.seq^uint64(to)<<40^uint64(m.Kind)<<56, m.A^cause<<32, m.B)
	if e.rec != nil {
		e.rec.Begin(trace.Line{Time: e.now, Seq: it.seq, Cause: cause, Component: e.actors[to].name})
	}
	e.actors[to].actor.Handle(m)
	return true
}

// NextAt is the time of the next event; ok is false when there is none.
func (e *Engine) NextAt() (t Time, ok bool) {
	if len(e.heap) == 0 {
		return 0, false
	}
	return time.Duration(e.heap[0].at), true
}
