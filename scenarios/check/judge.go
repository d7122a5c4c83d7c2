package check

import (
	"time"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// Judge implements scenarios.Judge.
type Judge struct {
	failed []scenarios.FailedStep
}

// New compiles the checks of a scenario.
func New(scn *scenarios.Scenario) (*Judge, error) { return &Judge{}, nil }

// Watch tells the judge which store to look at.
func (j *Judge) Watch(s *store.Store) {}

func (j *Judge) Observe(e store.Event)               {}
func (j *Judge) Settle(now time.Duration) bool       { return false }
func (j *Judge) Next() (at time.Duration, ok bool)   { return 0, false }
func (j *Judge) Results() []scenarios.Result         { return nil }
func (j *Judge) FailedSteps() []scenarios.FailedStep { return j.failed }
func (j *Judge) Failed(now time.Duration, s scenarios.Step, err error) {
	j.failed = append(j.failed, scenarios.FailedStep{Step: s, At: now, Err: err})
}
