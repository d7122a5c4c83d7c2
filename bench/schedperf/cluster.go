package schedperf

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Cluster is an API with a scheduler behind it: what a workload is run on. One
// goroutine calls it; what it does between the calls is its own affair.
type Cluster interface {
	// Do carries out one write and returns the object as stored.
	Do(r api.Request) (kinds.Object, error)
	// DoAll carries out many: those of one list in order, the lists in any order or
	// at once. It returns the first error.
	DoAll(lists [][]api.Request) error
	// List returns the objects of a kind, in the order of their keys; namespace "" is
	// all. They are read only.
	List(k kinds.Kind, namespace string) ([]kinds.Object, error)
	// Step lets the scheduler work, or waits for it where it works by itself, until
	// there is something to tell, and at most until the clock is at the time given.
	// A time that has passed asks for what can be done at once. The answer holds what
	// became of pods since the call before, and is valid until the next.
	Step(until time.Time) (Progress, error)
	// Now is the cluster's clock.
	Now() time.Time
	// Worked is how much time of the clock counts: all of it, but what was skipped
	// because nobody had anything to do.
	Worked() time.Duration
	// Close ends everything.
	Close() error
}

// Progress is what Step tells.
type Progress struct {
	Pods     []PodChange
	Attempts []Attempt // of the scheduler; may be left out
	Idle     bool      // the scheduler had nothing to do, as far as the cluster knows
}

// PodChange is one change of a pod, as a watch tells it.
type PodChange struct {
	Old, New *corev1.Pod   // nil before it was made, and after it is gone
	Worked   time.Duration // when, by Cluster.Worked
}

// Attempt is one pod's way through the scheduler.
type Attempt struct {
	Bound bool
	Queue time.Duration // to be taken from the queue
	// Decide is filter, score and, where no node was found, preemption.
	Decide time.Duration
	// Bind is the writes that follow, through the API, until the scheduler has seen
	// what they made of the cluster.
	Bind time.Duration
}

func (a *Attempt) total() time.Duration { return a.Queue + a.Decide + a.Bind }
