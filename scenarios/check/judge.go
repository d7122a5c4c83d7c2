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
	lang   *language
	scope  *scope
	checks []*judged // in the order of the file
	failed []scenarios.FailedStep
	now    time.Duration // of the last Settle
}

// judged is a check and how far it has come.
type judged struct {
	scenarios.Check
	expr    *expression
	from    time.Duration // evaluated from here; the end for atEnd
	open    bool          // its window has been reached
	decided bool
	dirty   bool // a source has changed since the last evaluation
	result  scenarios.Result
}

// New compiles the checks of a scenario. The error, if any, is one
// *kinds.InputError or several joined: everything that is wrong.
func New(scn *scenarios.Scenario) (*Judge, error) {
	j := &Judge{scope: &scope{}}
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
		errs = append(errs, bad...)
		c.expr = e
		j.checks = append(j.checks, c)
	}
	if err := kinds.JoinInputErrors(errs); err != nil {
		return nil, err
	}
	return j, nil
}

// Watch tells the judge which store to look at. It is called once, before the run.
func (j *Judge) Watch(s *store.Store) { j.scope.store = s }

// Observe is told of every write to the store, in order.
func (j *Judge) Observe(e store.Event) {
	j.scope.changed(e.Ref.Kind)
	for _, c := range j.checks {
		if c.open && !c.decided && !c.dirty && c.expr.uses.touchedBy(e) {
			c.dirty = true
		}
	}
}

// Settle is called when all that happens at one instant has happened. A boundary
// that has passed without a call of its own is judged by what is seen now.
func (j *Judge) Settle(now time.Duration) {
	j.now = now
	j.scope.now = now
	for _, c := range j.checks {
		if !c.decided && c.from <= now {
			j.settle(c, now)
		}
	}
}

func (j *Judge) settle(c *judged, now time.Duration) {
	closing := now >= c.To
	if !c.open || c.dirty || c.expr.uses.time {
		c.open, c.dirty = true, false
		holds, _ := j.holds(c)
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
func (j *Judge) holds(c *judged) (bool, error) {
	v, _, err := c.expr.prog.Eval(j.scope)
	if err != nil {
		return false, err
	}
	b, ok := v.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the expression gives %s, want bool: something that is true or false", v.Type().TypeName())
	}
	return bool(b), nil
}

func (j *Judge) decide(c *judged, at time.Duration, held bool) {
	c.decided = true
	c.result = scenarios.Result{Check: c.Check, Held: held, At: at}
	if !held {
		c.result.Saw = j.saw(c)
	}
}

// Next is the next time at which Settle must be called even if nothing changes:
// where a window opens or closes.
func (j *Judge) Next() (at time.Duration, ok bool) {
	for _, c := range j.checks {
		if c.decided {
			continue
		}
		next := c.To
		if !c.open {
			next = c.from
		}
		if !ok || next < at {
			at, ok = next, true
		}
	}
	return at, ok
}

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

// touchedBy says whether a write may change what an expression reads.
func (s *sources) touchedBy(e store.Event) bool {
	if s.all || s.kinds[e.Ref.Kind] {
		return true
	}
	for _, r := range s.refs {
		if r == e.Ref {
			return true
		}
	}
	return e.Ref.Kind == kinds.EndpointSlice && len(s.services) > 0
}
