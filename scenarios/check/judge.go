package check

import (
	"fmt"
	"time"

	"cel.dev/cel-go/common/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// Judge implements scenarios.Judge: it follows one run and says which checks held.
type Judge struct {
	lang    *language
	scope   *scope
	checks  []*judged // in the order of the file
	sources watchers
	failed  []scenarios.FailedStep
	now     time.Duration // of the last Settle
	next    time.Duration // the next boundary
	more    bool          // there is one
	asking  int           // undecided checks that ask for ready addresses
}

// judged is a check and how far it has come.
type judged struct {
	scenarios.Check
	expr    *expression   // as it was written
	fast    rewritten     // what is evaluated: the same with its aggregates replaced
	from    time.Duration // evaluated from here; the end for atEnd
	open    bool          // its window has been reached
	decided bool
	dirty   bool // a source has changed since the last evaluation
	result  scenarios.Result
}

// New compiles the checks of a scenario. The error, if any, is one
// *kinds.InputError or several joined: everything that is wrong.
func New(scn *scenarios.Scenario) (*Judge, error) {
	j := &Judge{scope: newScope()}
	var err error
	if j.lang, err = newLanguage(j.scope); err != nil {
		return nil, err
	}
	j.scope.lang = j.lang
	var errs []*kinds.InputError
	for i := range scn.Checks {
		c := &judged{Check: scn.Checks[i], from: scn.Checks[i].From}
		if c.Mode == scenarios.AtEnd {
			c.from = c.To
		}
		field := fmt.Sprintf("spec.checks[%d].%s", i, c.Mode)
		e, bad := j.lang.compileCheck(scn.File, field, &c.Check)
		if bad != nil {
			errs = append(errs, bad...)
			continue
		}
		c.expr, c.fast = e, j.scope.rewrite(e)
		j.add(c)
	}
	if err := kinds.JoinInputErrors(errs); err != nil {
		return nil, err
	}
	j.plan()
	return j, nil
}

func (j *Judge) add(c *judged) {
	j.checks = append(j.checks, c)
	j.sources.add(c)
	if c.fast.uses.ready {
		j.asking++
	}
}

// Watch tells the judge which store to look at. It is called once, before the run.
func (j *Judge) Watch(s *store.Store) { j.scope.store = s }

// Observe is told of every write to the store, in order.
func (j *Judge) Observe(e store.Event) {
	j.scope.lists[e.Ref.Kind] = nil
	j.scope.trackers[e.Ref.Kind].observe(&e)
	j.sources.mark(&e)
	if e.Ref.Kind == kinds.EndpointSlice && len(j.scope.services) > 0 {
		was, is := j.scope.observeSlice(&e)
		j.sources.markService(was)
		j.sources.markService(is)
	}
}

// Settle is called when all that happens at one instant has happened. A boundary
// that has passed without a call of its own is judged by what is seen now.
func (j *Judge) Settle(now time.Duration) {
	j.now, j.scope.now = now, now
	j.scope.flush()
	for _, c := range j.checks {
		if !c.decided && c.from <= now {
			j.settle(c, now)
		}
	}
	j.plan()
}

func (j *Judge) settle(c *judged, now time.Duration) {
	closing := now >= c.To
	if !c.open {
		c.open, c.dirty = true, true
		for _, t := range c.fast.tallies {
			j.scope.trackers[t.kind].open(t, j.scope.store)
		}
	}
	if c.dirty || c.fast.uses.time {
		c.dirty = false
		holds := j.holds(c)
		switch {
		case holds && c.Mode != scenarios.Always:
			j.decide(c, min(now, c.To), true)
		case !holds && (c.Mode != scenarios.Eventually || closing):
			j.decide(c, min(now, c.To), false)
		}
	}
	if closing && !c.decided {
		j.decide(c, c.To, c.Mode == scenarios.Always)
	}
}

// holds evaluates a check. An error is an answer too: it does not hold.
func (j *Judge) holds(c *judged) bool {
	v, _, err := c.fast.prog.Eval(j.scope)
	return err == nil && v == types.True
}

// decide is the end of a check: what was kept up for it alone is let go.
func (j *Judge) decide(c *judged, at time.Duration, held bool) {
	c.decided = true
	c.result = scenarios.Result{Check: c.Check, Held: held, At: at}
	if !held {
		c.result.Saw = j.saw(c)
	}
	for _, t := range c.fast.tallies {
		j.scope.trackers[t.kind].close(t)
	}
	if c.fast.uses.ready {
		if j.asking--; j.asking == 0 {
			clear(j.scope.services)
		}
	}
}

// plan finds the next boundary: where a window opens or closes.
func (j *Judge) plan() {
	j.more = false
	for _, c := range j.checks {
		if c.decided {
			continue
		}
		at := c.To
		if !c.open {
			at = c.from
		}
		if !j.more || at < j.next {
			j.next, j.more = at, true
		}
	}
}

// Next is the next time at which Settle must be called even if nothing changes.
func (j *Judge) Next() (at time.Duration, ok bool) { return j.next, j.more }

// Results is the outcome of every check, in the order of the file. It is final
// after the Settle at the scenario's end.
func (j *Judge) Results() []scenarios.Result {
	list := make([]scenarios.Result, len(j.checks))
	for i, c := range j.checks {
		if list[i] = c.result; !c.decided {
			list[i] = scenarios.Result{Check: c.Check, At: j.now, Saw: "nothing: the run stopped before this was decided"}
		}
	}
	return list
}

// Failed tells of a step that could not be carried out.
func (j *Judge) Failed(now time.Duration, s scenarios.Step, err error) {
	j.failed = append(j.failed, scenarios.FailedStep{Step: s, At: now, Err: err})
}

// FailedSteps are the steps that Failed told of, in order.
func (j *Judge) FailedSteps() []scenarios.FailedStep { return j.failed }
