package ctrl

import (
	"cmp"
	"time"

	"github.com/tidwall/btree"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Back-off of a key whose plan failed: client-go's default controller rate
// limiter (5 ms, doubling, at most 1000 s).
const (
	backoffMin = 5 * time.Millisecond
	backoffMax = 1000 * time.Second
)

// Queue holds the keys that a controller has yet to look at. A key is in it once
// however often it was added; a key that is being worked on is not handed out
// again before Done. It is a plain state machine: it is told the time.
type Queue struct {
	keys   map[kinds.Ref]*keyState
	ready  []*keyState // first in, first out, from ready[head]
	head   int
	timers *btree.BTreeG[*keyState] // by due, then key
}

type keyState struct {
	ref      kinds.Ref
	cause    uint64    // the event that first asked for the key
	holdRV   uint64    // not before the view has this version
	due      time.Time // when timed; zero otherwise
	dueCause uint64
	timed    bool // in timers
	failures int
	queued   bool // in ready
	working  bool
	dirty    bool // added while working or held
}

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	timers := btree.NewBTreeGOptions(lessDue, btree.Options{NoLocks: true})
	return &Queue{keys: map[kinds.Ref]*keyState{}, timers: timers}
}

// Add asks for a key. cause is the trace event that did; the first one since the
// key was last handed out is kept.
func (q *Queue) Add(ref kinds.Ref, cause uint64) { q.add(q.state(ref), cause) }

func (q *Queue) state(ref kinds.Ref) *keyState {
	s := q.keys[ref]
	if s == nil {
		s = &keyState{ref: ref}
		q.keys[ref] = s
	}
	return s
}

func (q *Queue) add(s *keyState, cause uint64) {
	if s.queued || s.dirty {
		return
	}
	s.cause = cause
	if s.working {
		s.dirty = true
		return
	}
	s.queued = true
	q.ready = append(q.ready, s)
}

// AddAt asks for a key at a time to come; an earlier wish for the same key stays.
func (q *Queue) AddAt(at time.Time, ref kinds.Ref, cause uint64) {
	s := q.state(ref)
	if s.timed {
		if !at.Before(s.due) {
			return
		}
		q.timers.Delete(s)
	}
	s.due, s.dueCause, s.timed = at, cause, true
	q.timers.Set(s)
}

// Next is the earliest time at which a timed key is due; ok is false without one.
func (q *Queue) Next() (at time.Time, ok bool) {
	s, ok := q.timers.Min()
	if !ok {
		return time.Time{}, false
	}
	return s.due, true
}

// Pop hands out a key that is ready at now and whose own writes the view, being
// at version rv, contains. The caller must call Done for it.
func (q *Queue) Pop(now time.Time, rv uint64) (ref kinds.Ref, cause uint64, ok bool) {
	q.expire(now)
	held := 0
	for q.head+held < len(q.ready) {
		s := q.ready[q.head+held]
		if s.holdRV > rv {
			held++
			continue
		}
		copy(q.ready[q.head+1:q.head+held+1], q.ready[q.head:q.head+held])
		q.ready[q.head] = nil
		if q.head++; q.head == len(q.ready) {
			q.ready, q.head = q.ready[:0], 0
		}
		s.queued, s.working, s.holdRV = false, true, 0
		return s.ref, s.cause, true
	}
	return kinds.Ref{}, 0, false
}

func (q *Queue) expire(now time.Time) {
	for {
		s, ok := q.timers.Min()
		if !ok || s.due.After(now) {
			return
		}
		q.timers.Delete(s)
		s.timed = false
		q.add(s, s.dueCause)
	}
}

// Len is the number of keys that wait to be handed out, timed ones not counted.
func (q *Queue) Len() int { return len(q.ready) - q.head }

// Done gives a key back after its plan was applied. wroteRV is the version of its
// last write, 0 for none: the key is held until the view has it.
func (q *Queue) Done(ref kinds.Ref, wroteRV uint64) {
	s := q.keys[ref]
	s.working, s.failures = false, 0
	s.holdRV = max(s.holdRV, wroteRV)
	q.release(s)
}

// Retry gives a key back after a failure: it comes again after its back-off. It
// returns when.
func (q *Queue) Retry(now time.Time, ref kinds.Ref, wroteRV uint64, cause uint64) time.Time {
	s := q.keys[ref]
	s.working = false
	s.holdRV = max(s.holdRV, wroteRV)
	wait := backoffMax
	if s.failures < 18 { // 5 ms << 18 is beyond the maximum
		wait = min(backoffMin<<s.failures, backoffMax)
	}
	s.failures++
	at := now.Add(wait)
	q.release(s)
	q.AddAt(at, ref, cause)
	return at
}

func (q *Queue) release(s *keyState) {
	if s.dirty {
		s.dirty = false
		q.add(s, s.cause)
		return
	}
	if !s.timed && s.failures == 0 && s.holdRV == 0 {
		delete(q.keys, s.ref)
	}
}

// Forget drops a key's memory once nothing of it is pending; drivers call it
// when the object is gone.
func (q *Queue) Forget(ref kinds.Ref) {
	if s := q.keys[ref]; s != nil && !s.queued && !s.working && !s.timed {
		delete(q.keys, ref)
	}
}

func lessDue(a, b *keyState) bool {
	return cmp.Or(a.due.Compare(b.due), a.ref.Compare(b.ref)) < 0
}
