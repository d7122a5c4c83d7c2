package play

import (
	"fmt"
	"runtime/debug"
	"time"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/check"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sim"
	"seatrial.dev/seatrial/sim/world"
)

// Options says what a run is to do besides coming to a verdict.
type Options struct {
	Seed uint64
	// Until ends the run before the scenario's duration; 0 does not.
	Until time.Duration
	// Recorder receives the trace; nil keeps none.
	Recorder trace.Recorder
	// Watch is shown every write to the store, with the number of the event during
	// which it was made; nil shows none.
	Watch func(now sim.Time, seq uint64, e store.Event)
	// Decided is told of every decision of the scheduler just before it is made, with a
	// function that says how the pod is looked at; nil is not.
	Decided func(now sim.Time, pod kinds.Ref, explain func() *sched.Explanation)
	// Waiting is asked at the end for a pod whose look, if it has no node yet, is then
	// told; the zero Key is none.
	Waiting     kinds.Key
	WaitingLook func(now sim.Time, e *sched.Explanation)
	// Progress is called every so often in wall time with the virtual time
	// reached; nil is not.
	Progress func(now sim.Time, events uint64)
	// Stop is asked every so often; once it returns true the run ends with
	// scenarios.ErrStopped. nil never stops a run.
	Stop func() bool
}

// Run plays a scenario.
func Run(scn *scenarios.Scenario, opts Options) (v scenarios.Verdict, state *store.Store) {
	v = scenarios.Verdict{Scenario: scn, Seed: opts.Seed}
	start := time.Now()
	defer func() { v.Wall = time.Since(start) }()
	if opts.Until > 0 && opts.Until < scn.Duration {
		scn = scn.Shortened(opts.Until)
	}
	judge, err := check.New(scn)
	if err != nil {
		v.Err = err
		return v, nil
	}
	w, err := world.New(scn, opts.Seed)
	if err != nil {
		v.Err = err
		return v, nil
	}
	judge.Watch(w.Store())
	w.Engine().Record(opts.Recorder)
	w.StopWhen(opts.Stop)
	if opts.Decided != nil {
		w.ExplainTo(func(pod kinds.Ref, explain func() *sched.Explanation) {
			opts.Decided(w.Engine().Now(), pod, explain)
		})
	}
	v.Err = guarded(w, &observer{Judge: judge, w: w, opts: opts})
	v.Time, v.Events, v.Hash = w.Engine().Now(), w.Engine().Handled(), w.Engine().Hash()
	if e := w.Explain(opts.Waiting); e != nil && v.Err == nil {
		opts.WaitingLook(w.Engine().Now(), e)
	}
	v.Checks = judge.Results()
	v.Steps = judge.FailedSteps()
	return v, w.Store()
}

// guarded turns a panic of the run into its error.
func guarded(w *world.World, j scenarios.Judge) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e := w.Engine()
			err = fmt.Errorf("panic at %v, event %d: %v\n%s", e.Now(), e.Handled(), p, debug.Stack())
		}
	}()
	return w.Run(j)
}

// observer stands between a world and its judge, for those who only look on.
type observer struct {
	*check.Judge
	w    *world.World
	opts Options
	n    uint32
}

// progressEvery is how many instants pass between two looks at the wall clock.
const progressEvery = 256

func (o *observer) Observe(e store.Event) {
	if o.opts.Watch != nil {
		o.opts.Watch(o.w.Engine().Now(), o.w.Engine().Cause(), e)
	}
	o.Judge.Observe(e)
}

func (o *observer) Settle(now time.Duration) {
	if o.n++; o.opts.Progress != nil && o.n%progressEvery == 0 {
		o.opts.Progress(now, o.w.Engine().Handled())
	}
	o.Judge.Settle(now)
}
