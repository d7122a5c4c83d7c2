package sched

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
)

// How the queue paces attempts: kube-scheduler's figures.
const (
	unschedulableMax = 5 * time.Minute // then a parked pod is tried again, whatever happened
	backoffWindow    = time.Second     // back-offs end in steps of it, so that priority orders those of one step
)

// Queue holds the pods that wait for a node: active ones by priority and age, those in
// back-off, those that are parked until the cluster changes in a way that may help
// them, and gated ones. When nothing is active, pods in back-off are handed out before
// their time, but for those that failed by an error.
type Queue struct {
	initial, max time.Duration // of the back-off
	pods         map[kinds.Key]*waiting
	active       *btree.BTreeG[*waiting] // by priority, then time added
	backoff      *btree.BTreeG[*waiting] // by the step in which they are due, then as active
	failed       *btree.BTreeG[*waiting] // by the time they are due; after an error
	parked       *btree.BTreeG[*waiting] // by the time they are due at the latest
	groups       map[groupKey]*group     // of the parked
}

type state uint8

const (
	inFlight state = iota
	isActive
	inBackoff
	isFailed
	isParked
	isGated
)

type waiting struct {
	pod      *corev1.Pod // of a gang: its first
	key      kinds.Key   // the pod's, or gangKey
	uid      types.UID
	priority int32
	class    *class
	added    time.Time
	due      time.Time
	cause    uint64
	attempts int
	state    state
	plugins  []string // that rejected it
	parts    []stuck  // of a gang: what its pods wait for
	group    *group
}

// stuck is what some pods of a gang wait for.
type stuck struct {
	pod     *corev1.Pod
	class   *class
	plugins []string
}

// groupKey parts the parked pods: what may help one of a group may help all.
type groupKey struct {
	class   *class
	plugins string
	only    kinds.Key // for pods that are like no other, as by their claims
}

type group struct {
	key     groupKey
	plugins []string
	pods    map[kinds.Key]*waiting
	example *waiting
}

// NewQueue returns an empty queue with the times of back-off.
func NewQueue(initial, max time.Duration) *Queue {
	opts := btree.Options{NoLocks: true}
	first := func(a, b *waiting) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), a.added.Compare(b.added), a.key.Compare(b.key))
	}
	byDue := func(a, b *waiting) bool { return cmp.Or(a.due.Compare(b.due), a.key.Compare(b.key)) < 0 }
	return &Queue{
		initial: initial, max: max,
		pods:    map[kinds.Key]*waiting{},
		active:  btree.NewBTreeGOptions(func(a, b *waiting) bool { return first(a, b) < 0 }, opts),
		backoff: btree.NewBTreeGOptions(func(a, b *waiting) bool { return cmp.Or(a.due.Compare(b.due), first(a, b)) < 0 }, opts),
		failed:  btree.NewBTreeGOptions(byDue, opts),
		parked:  btree.NewBTreeGOptions(byDue, opts),
		groups:  map[groupKey]*group{},
	}
}

// Set adds a pod that has no node, or takes its new version. cause is the trace event
// that brought it. retry says that the change may have made a parked pod schedulable.
func (q *Queue) Set(now time.Time, pod *corev1.Pod, c *class, cause uint64, retry bool) {
	q.set(now, entry{kinds.KeyOf(pod), pod.UID, pod, c, priority(pod), len(pod.Spec.SchedulingGates) > 0}, cause, retry)
}

// entry is what waits as one: a pod, or a gang.
type entry struct {
	key      kinds.Key
	uid      types.UID
	pod      *corev1.Pod
	class    *class
	priority int32
	gated    bool
}

func (q *Queue) set(now time.Time, e entry, cause uint64, retry bool) {
	w := q.pods[e.key]
	if w != nil && w.uid != e.uid {
		q.Remove(e.key)
		w = nil
	}
	if w == nil {
		w = &waiting{pod: e.pod, key: e.key, uid: e.uid, priority: e.priority, class: e.class, added: now, cause: cause}
		q.pods[e.key] = w
		q.enter(w, isActive, e.gated)
		return
	}
	q.leave(w)
	w.pod, w.class, w.priority = e.pod, e.class, e.priority
	next := w.state
	switch {
	case w.state == isGated && !e.gated:
		w.added, w.cause, next = now, cause, isActive
	case w.state == isParked && retry:
		w.cause, next = cause, q.afterBackoff(now, w)
	}
	q.enter(w, next, e.gated)
}

// Remove forgets a pod: it has a node now, or is gone.
func (q *Queue) Remove(key kinds.Key) {
	if w := q.pods[key]; w != nil {
		q.leave(w)
		delete(q.pods, key)
	}
}

// Pop hands out the first pod. It stays in flight until Park, Retry or Remove.
func (q *Queue) Pop(now time.Time) (w *waiting, ok bool) {
	q.flush(now)
	if w, ok = q.active.PopMin(); !ok {
		if w, ok = q.backoff.PopMin(); !ok {
			return nil, false
		}
	}
	w.state = inFlight
	w.attempts++
	return w, true
}

// flush moves what is due.
func (q *Queue) flush(now time.Time) {
	for _, list := range [3]*btree.BTreeG[*waiting]{q.backoff, q.failed, q.parked} {
		for {
			w, ok := list.Min()
			if !ok || w.due.After(now) {
				break
			}
			q.leave(w)
			q.enter(w, isActive, false)
		}
	}
}

// Next is when the first pod that waits for a time is due.
func (q *Queue) Next() (at time.Time, ok bool) {
	for _, list := range [3]*btree.BTreeG[*waiting]{q.backoff, q.failed, q.parked} {
		if w, some := list.Min(); some && (!ok || w.due.Before(at)) {
			at, ok = w.due, true
		}
	}
	return at, ok
}

// Ready says whether Pop would hand out a pod at once.
func (q *Queue) Ready() bool { return q.active.Len() > 0 || q.backoff.Len() > 0 }

// Len is the number of pods that wait, gated and in flight ones included.
func (q *Queue) Len() int { return len(q.pods) }

// Park puts a pod in flight aside until the cluster changes in a way that may help.
func (q *Queue) Park(now time.Time, key kinds.Key, plugins []string, alone bool) {
	w := q.pods[key]
	if w == nil || w.state != inFlight {
		return
	}
	w.added, w.due, w.plugins = now, now.Add(unschedulableMax), plugins
	q.groupUp(w, alone)
	q.enter(w, isParked, false)
}

// groupUp puts a pod to those that the same changes may help; alone puts it by itself.
func (q *Queue) groupUp(w *waiting, alone bool) {
	k := groupKey{class: w.class, plugins: strings.Join(w.plugins, ",")}
	if alone {
		k.only = w.key
	}
	g := q.groups[k]
	if g == nil {
		g = &group{key: k, plugins: w.plugins, pods: map[kinds.Key]*waiting{}}
		q.groups[k] = g
	}
	if g.example == nil || w.key.Compare(g.example.key) < 0 {
		g.example = w
	}
	g.pods[w.key] = w
	w.group = g
}

// ParkGang puts a gang in flight aside until the cluster changes in a way that may help
// one of its pods.
func (q *Queue) ParkGang(now time.Time, key kinds.Key, parts []stuck) {
	if w := q.pods[key]; w != nil && w.state == inFlight {
		w.parts = parts
		q.Park(now, key, nil, true)
	}
}

// Again hands a gang in flight out once more, in its old place.
func (q *Queue) Again(key kinds.Key) {
	if w := q.pods[key]; w != nil && w.state == inFlight {
		q.enter(w, isActive, false)
	}
}

// Retry puts a pod in flight into its back-off, after an error.
func (q *Queue) Retry(now time.Time, key kinds.Key) {
	if w := q.pods[key]; w != nil && w.state == inFlight {
		w.added = now
		w.due = now.Add(q.wait(w.attempts))
		q.enter(w, isFailed, false)
	}
}

// Changed says that the cluster changed: the parked pods whom helps says it may help
// are tried again, after their back-off.
func (q *Queue) Changed(now time.Time, cause uint64, helps func(g *group) bool) {
	if len(q.groups) == 0 {
		return
	}
	var wake []*waiting
	for _, g := range q.groups { //det:ok those to wake are sorted just below
		if helps(g) {
			for _, w := range g.pods { //det:ok those to wake are sorted just below
				wake = append(wake, w)
			}
		}
	}
	slices.SortFunc(wake, func(a, b *waiting) int { return a.key.Compare(b.key) })
	for _, w := range wake {
		q.leave(w)
		w.cause = cause
		q.enter(w, q.afterBackoff(now, w), false)
	}
}

// afterBackoff says where a parked pod goes that is to be tried again.
func (q *Queue) afterBackoff(now time.Time, w *waiting) state {
	if w.due = w.added.Add(q.wait(w.attempts)).Truncate(backoffWindow); w.due.After(now) {
		return inBackoff
	}
	return isActive
}

// wait is the back-off after so many attempts.
func (q *Queue) wait(attempts int) time.Duration {
	d := q.initial
	for i := 1; i < attempts && d < q.max; i++ {
		d *= 2
	}
	return min(d, q.max)
}

func (q *Queue) enter(w *waiting, s state, gated bool) {
	if gated && s != inFlight {
		s = isGated
	}
	w.state = s
	switch s {
	case isActive:
		q.active.Set(w)
	case inBackoff:
		q.backoff.Set(w)
	case isFailed:
		q.failed.Set(w)
	case isParked:
		q.parked.Set(w)
		if g := w.group; g != nil {
			if same := q.groups[g.key]; same != nil {
				w.group = same
			} else {
				q.groups[g.key] = g // it went when the last of it left, to come back at once
			}
			w.group.pods[w.key] = w
		}
	}
}

func (q *Queue) leave(w *waiting) {
	switch w.state {
	case isActive:
		q.active.Delete(w)
	case inBackoff:
		q.backoff.Delete(w)
	case isFailed:
		q.failed.Delete(w)
	case isParked:
		q.parked.Delete(w)
		if g := w.group; g != nil {
			delete(g.pods, w.key)
			if len(g.pods) == 0 {
				delete(q.groups, g.key)
			}
		}
	}
}
