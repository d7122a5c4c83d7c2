package sched

import (
	"cmp"
	"time"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// How long a pod waits after an attempt that found no node: kube-scheduler's
// defaults.
const (
	backoffMin       = time.Second
	backoffMax       = 10 * time.Second
	unschedulableMax = 5 * time.Minute // then it is tried again, whatever happened
)

// Queue holds the pods that wait for a node: active ones by priority and age,
// those in back-off, and those that wait for the cluster to change.
type Queue struct {
	pods    map[kinds.Key]*waiting
	active  *btree.BTreeG[*waiting] // by priority, then time added
	timed   *btree.BTreeG[*waiting] // in back-off or parked, by due
	changes uint64                  // how often Changed was called
}

type state uint8

const (
	inFlight state = iota
	isActive
	inBackoff
	parked
)

type waiting struct {
	pod      *corev1.Pod
	key      kinds.Key
	added    time.Time
	due      time.Time
	cause    uint64
	attempts int
	state    state
	changes  uint64 // the queue's when it was handed out
}

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	opts := btree.Options{NoLocks: true}
	return &Queue{
		pods: map[kinds.Key]*waiting{},
		active: btree.NewBTreeGOptions(func(a, b *waiting) bool {
			return cmp.Or(cmp.Compare(priority(b.pod), priority(a.pod)), a.added.Compare(b.added), a.key.Compare(b.key)) < 0
		}, opts),
		timed: btree.NewBTreeGOptions(func(a, b *waiting) bool {
			return cmp.Or(a.due.Compare(b.due), a.key.Compare(b.key)) < 0
		}, opts),
	}
}

func priority(p *corev1.Pod) int32 {
	if p.Spec.Priority == nil {
		return 0
	}
	return *p.Spec.Priority
}

// Set adds a pod that has no node, or takes its new version. cause is the trace
// event that brought it.
func (q *Queue) Set(now time.Time, pod *corev1.Pod, cause uint64) {
	key := kinds.KeyOf(pod)
	w := q.pods[key]
	if w != nil && w.pod.UID != pod.UID {
		q.Remove(key)
		w = nil
	}
	if w == nil {
		w = &waiting{pod: pod, key: key, added: now, cause: cause}
		q.pods[key] = w
		q.enter(w, isActive)
		return
	}
	specChanged := w.pod.Generation != pod.Generation
	q.leave(w)
	w.pod = pod
	if specChanged && w.state == parked {
		w.state, w.cause = isActive, cause
	}
	q.enter(w, w.state)
}

// Remove forgets a pod: it has a node now, or is gone.
func (q *Queue) Remove(key kinds.Key) {
	if w := q.pods[key]; w != nil {
		q.leave(w)
		delete(q.pods, key)
	}
}

// Pop hands out the first active pod. It stays in flight until Park, Retry or
// Remove.
func (q *Queue) Pop(now time.Time) (pod *corev1.Pod, cause uint64, ok bool) {
	for {
		w, ok := q.timed.Min()
		if !ok || w.due.After(now) {
			break
		}
		q.leave(w)
		q.enter(w, isActive)
	}
	w, ok := q.active.PopMin()
	if !ok {
		return nil, 0, false
	}
	w.state, w.changes = inFlight, q.changes
	w.attempts++
	return w.pod, w.cause, true
}

// Next is when the first pod that waits for a time is due.
func (q *Queue) Next() (at time.Time, ok bool) {
	w, ok := q.timed.Min()
	if !ok {
		return time.Time{}, false
	}
	return w.due, true
}

// Ready says whether Pop would hand out a pod at once.
func (q *Queue) Ready() bool { return q.active.Len() > 0 }

// Len is the number of pods that wait, in flight ones included.
func (q *Queue) Len() int { return len(q.pods) }

// Park puts a pod in flight aside until the cluster changes; if it changed during
// the attempt, the pod only waits for its back-off.
func (q *Queue) Park(now time.Time, key kinds.Key) {
	w := q.pods[key]
	if w == nil || w.state != inFlight {
		return
	}
	if w.changes != q.changes {
		w.due = now.Add(backoff(w.attempts))
		q.enter(w, inBackoff)
		return
	}
	w.due = now.Add(unschedulableMax)
	w.added = now
	q.enter(w, parked)
}

// Retry puts a pod in flight into its back-off, after a bind that failed.
func (q *Queue) Retry(now time.Time, key kinds.Key) {
	if w := q.pods[key]; w != nil && w.state == inFlight {
		w.due = now.Add(backoff(w.attempts))
		q.enter(w, inBackoff)
	}
}

// Changed says that the cluster changed in a way that may help parked pods: they
// are tried again after their back-off, counted from when they were parked.
func (q *Queue) Changed(now time.Time, cause uint64) {
	q.changes++
	var wake []*waiting
	q.timed.Scan(func(w *waiting) bool {
		if w.state == parked {
			wake = append(wake, w)
		}
		return true
	})
	for _, w := range wake {
		q.leave(w)
		w.cause = cause
		if w.due = w.added.Add(backoff(w.attempts)); w.due.After(now) {
			q.enter(w, inBackoff)
		} else {
			q.enter(w, isActive)
		}
	}
}

func backoff(attempts int) time.Duration {
	d := backoffMin
	for i := 1; i < attempts && d < backoffMax; i++ {
		d *= 2
	}
	return min(d, backoffMax)
}

func (q *Queue) enter(w *waiting, s state) {
	w.state = s
	switch s {
	case isActive:
		q.active.Set(w)
	case inBackoff, parked:
		q.timed.Set(w)
	}
}

func (q *Queue) leave(w *waiting) {
	switch w.state {
	case isActive:
		q.active.Delete(w)
	case inBackoff, parked:
		q.timed.Delete(w)
	}
}
