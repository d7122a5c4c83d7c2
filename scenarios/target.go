package scenarios

import (
	"errors"
	"time"

	"seatrial.dev/seatrial/cluster/store"
)

// ErrStopped is the error of a run that was told to stop.
var ErrStopped = errors.New("stopped before its end")

// Target is a world that can run a scenario: the simulated one or a lab of real
// hosts. It is made for one scenario and one run.
type Target interface {
	// Run brings the cluster up, carries out the time line and returns when the
	// scenario's duration has passed. An error means that the world failed, not
	// that a check did.
	Run(j Judge) error
}

// Judge watches a run from outside the code under test.
type Judge interface {
	// Observe is told of every write to the store, in order.
	Observe(e store.Event)

	// Settle is called when all that happens at one instant has happened, if
	// anything was observed or a time that Next named has come.
	Settle(now time.Duration)

	// Next is the next time at which Settle must be called even if nothing
	// changes; ok is false if there is none.
	Next() (at time.Duration, ok bool)

	// Failed tells of a step that could not be carried out.
	Failed(now time.Duration, step Step, err error)
}
