package play

import (
	"context"
	"time"

	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/check"
)

// Hosts is what a scenario does to hosts and links. Names are those of the scenario's
// nodes, and scenarios.ControlPlane.
type Hosts interface {
	Crash(node string) error
	Restart(node string) error
	Freeze(node string) error
	Thaw(node string) error
	Cut(from, to []string, oneWay bool) error // without to, from all others
	Heal(from, to []string, oneWay bool) error
}

// Options says what a run is to do besides coming to a verdict.
type Options struct {
	Seed  uint64        // told in the verdict; chance is the world's own
	Until time.Duration // ends the run before the scenario's duration; 0 does not

	// Recorder receives the trace; nil keeps none.
	Recorder trace.Recorder
	// Watch is shown every write, with its number; nil shows none.
	Watch func(now time.Duration, seq uint64, e store.Event)
	// Progress is called every so often; nil is not.
	Progress func(now time.Duration, events uint64)
	// Problem hears of what is not the run's fault, such as a watch that broke; nil: nobody.
	Problem func(error)
}

// progressEvery is the time between two calls of Progress.
const progressEvery = 100 * time.Millisecond

// run is a scenario on its way.
type run struct {
	scn   *scenarios.Scenario
	opts  Options
	judge *check.Judge
	c     *client.Client
	hosts Hosts

	mirror  *mirror
	began   time.Time
	seq     uint64
	looks   chan func()      // what steps ask of the state
	fails   chan failed      // steps that failed
	applied chan struct{}    // closed when the manifests have been applied
	todo    []scenarios.Step // not yet begun
}

type failed struct {
	step scenarios.Step
	err  error
}

// Run plays a scenario on a cluster that is up, whose nodes are ready and that has
// nothing else in it. The store is the state at the end.
func Run(ctx context.Context, scn *scenarios.Scenario, c *client.Client, hosts Hosts, opts Options) (v scenarios.Verdict, state *store.Store) {
	v = scenarios.Verdict{Scenario: scn, Seed: opts.Seed}
	start := time.Now()
	defer func() { v.Wall = time.Since(start) }()
	if opts.Until > 0 && opts.Until < scn.Duration {
		scn = scn.Shortened(opts.Until)
	}
	if opts.Problem == nil {
		opts.Problem = func(error) {}
	}
	r := &run{scn: scn, opts: opts, c: c, hosts: hosts, looks: make(chan func()), fails: make(chan failed), applied: make(chan struct{})}
	if r.judge, v.Err = check.New(scn); v.Err != nil {
		return v, nil
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	r.mirror = follow(following, c, opts.Problem)
	r.judge.Watch(r.mirror.state)
	if v.Err = r.settleIn(ctx); v.Err == nil {
		v.Err = r.play(ctx)
	}
	v.Time, v.Events = min(time.Since(r.began), scn.Duration), r.seq
	if v.Err == nil {
		v.Time = scn.Duration
	}
	v.Checks, v.Steps = r.judge.Results(), r.judge.FailedSteps()
	return v, r.mirror.state
}

// settleIn takes what is there already for the state at the start.
func (r *run) settleIn(ctx context.Context) error {
	for listed := false; ; {
		select {
		case <-ctx.Done():
			return scenarios.ErrStopped
		case a := <-r.mirror.arrivals:
			r.mirror.take(a)
			continue
		default:
		}
		if listed {
			break
		}
		select {
		case <-ctx.Done():
			return scenarios.ErrStopped
		case a := <-r.mirror.arrivals:
			r.mirror.take(a)
		case <-r.mirror.synced:
			listed = true
		}
	}
	r.began = time.Now()
	for {
		e, _, ok := r.mirror.next(r.began.Add(2 * lagMax)) // none is waited for
		if !ok {
			r.judge.Settle(0)
			return nil
		}
		r.observe(0, e)
	}
}

// play is the run itself.
func (r *run) play(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r.todo = r.scn.Steps
	r.applyManifests(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Since(r.began)
		if now >= r.scn.Duration {
			r.judge.Settle(r.scn.Duration)
			return nil
		}
		for ; len(r.todo) > 0 && r.todo[0].At <= now; r.todo = r.todo[1:] {
			r.begin(ctx, r.todo[0])
		}
		timer.Reset(r.observeAll(now))
		select {
		case <-ctx.Done():
			return scenarios.ErrStopped
		case a := <-r.mirror.arrivals:
			r.mirror.take(a)
			r.takeMore()
		case look := <-r.looks:
			look()
		case f := <-r.fails:
			r.judge.Failed(time.Since(r.began), f.step, f.err)
		case <-timer.C:
		}
	}
}

// takeMore takes what has arrived with another.
func (r *run) takeMore() {
	for {
		select {
		case a := <-r.mirror.arrivals:
			r.mirror.take(a)
		default:
			return
		}
	}
}

// observeAll shows the judge what is in order by now, and says how long there is nothing
// to do unless something arrives.
func (r *run) observeAll(now time.Duration) time.Duration {
	pause := min(progressEvery, r.scn.Duration-now)
	seen := false
	for {
		e, wait, ok := r.mirror.next(time.Now())
		if !ok {
			if wait > 0 {
				pause = min(pause, wait)
			}
			break
		}
		r.observe(now, e)
		seen = true
	}
	if at, ok := r.judge.Next(); seen || ok && at <= now {
		r.judge.Settle(now)
	}
	if at, ok := r.judge.Next(); ok {
		pause = min(pause, max(at-now, 0))
	}
	if len(r.todo) > 0 {
		pause = min(pause, max(r.todo[0].At-now, 0))
	}
	if r.opts.Progress != nil {
		r.opts.Progress(now, r.seq)
	}
	return pause
}

func (r *run) observe(now time.Duration, e store.Event) {
	r.seq++
	r.record(now, e)
	if r.opts.Watch != nil {
		r.opts.Watch(now, r.seq, e)
	}
	r.judge.Observe(e)
}
