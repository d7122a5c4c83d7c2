package serve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim/world"
)

// Speeds of the clock besides a number of virtual seconds to a second of the wall.
const (
	Paused = 0
	Max    = -1
)

// slice is the most virtual time that passes between two looks at what people want,
// in wall time at least sliceWall when the clock follows the wall's.
const (
	sliceWall   = 5 * time.Millisecond
	sliceEvents = 20_000 // at full speed
)

// recordingMax bounds the requests that are kept for a recording.
const recordingMax = 1_000_000

// errEnded is the error of whoever asks a cluster that has been closed.
var errEnded = errors.New("the simulated cluster has ended")

// Cluster is a simulated cluster that is served.
type Cluster struct {
	scn     *scenarios.Scenario
	seed    uint64
	w       *world.World
	work    chan func()
	done    chan struct{}
	observe func(store.Event)

	// What follows belongs to the goroutine of Run.
	speed     float64
	target    time.Duration // the clock pauses there; 0 is nowhere
	until     *condition    // the clock pauses when it holds; nil for none
	from      time.Duration // virtual time at fromWall, from which the pace is counted
	fromWall  time.Time
	waiters   []chan error // of Step and Until
	recorded  []scenarios.Recorded
	external  bool // the API is being used from outside
	unsettled bool // a request was made that is not yet an event
	failed    error

	stop sync.Once
}

// New builds the cluster of a scenario. observe is called on the cluster's goroutine
// after every write.
func New(scn *scenarios.Scenario, seed uint64, observe func(store.Event)) (*Cluster, error) {
	w, err := world.New(scn, seed)
	if err != nil {
		return nil, err
	}
	c := &Cluster{scn: scn, seed: seed, w: w, work: make(chan func()), done: make(chan struct{}), observe: observe}
	w.API().Tap = c.tap
	return c, nil
}

// Do implements the HTTP front's Cluster. Each request that f makes is an event of
// the run; reading leaves no mark on it.
func (c *Cluster) Do(ctx context.Context, f func(now time.Time, a *api.API)) error {
	return c.ask(ctx, func() {
		c.external = true
		defer func() {
			c.external = false
			c.settle()
		}()
		f(c.w.Engine().Date(), c.w.API())
	})
}

// settle makes the last request from outside an event of the run.
func (c *Cluster) settle() {
	if c.unsettled {
		c.unsettled = false
		c.w.Outside()
	}
}

// ask runs f on the goroutine of Run. A panic of f is the caller's: the cluster goes
// on.
func (c *Cluster) ask(ctx context.Context, f func()) error {
	finished := make(chan struct{})
	var panicked any
	select {
	case c.work <- func() {
		defer close(finished)
		defer func() { panicked = recover() }()
		f()
	}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return errEnded
	}
	<-finished // what was handed over is done before Run ends
	if panicked != nil {
		panic(panicked)
	}
	return nil
}

// tap records the requests from outside.
func (c *Cluster) tap(_ time.Time, r api.Request) {
	if !c.external {
		return
	}
	c.external = false // what follows from settling the one before is no request
	c.settle()
	c.external, c.unsettled = true, true
	if len(c.recorded) >= recordingMax {
		return
	}
	if e, err := scenarios.Record(c.w.Engine().Now(), r); err == nil {
		c.recorded = append(c.recorded, e)
	}
}

// Recording returns the text of a scenario file, to be written into dir, that
// repeats the run so far.
func (c *Cluster) Recording(ctx context.Context, dir string) (text []byte, err error) {
	e := c.ask(ctx, func() { text, err = c.scn.WithRecording(dir, c.seed, c.recorded, c.w.Engine().Now()) })
	if e != nil {
		return nil, e
	}
	return text, err
}

// Run is the world's goroutine. It returns when ctx ends or the world fails.
func (c *Cluster) Run(ctx context.Context) (err error) {
	defer c.stop.Do(func() { close(c.done) })
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic at %v of virtual time: %v", c.w.Engine().Now(), p)
		}
	}()
	c.w.Start(watcher{c})
	c.advance(0) // what a cluster begins with is there before the first request, here as in a recording
	for {
		if ctx.Err() != nil {
			return nil
		}
		wait, busy := c.pace()
		if !busy {
			if !c.idle(ctx, wait) {
				return nil
			}
			continue
		}
		c.serveWaiting()
	}
}

// idle waits for work, for the clock's next moment, or for the end.
func (c *Cluster) idle(ctx context.Context, wait time.Duration) bool {
	var tick <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		tick = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case f := <-c.work:
		f()
	case <-tick:
	}
	return true
}

// serveWaiting does the work that waits, without waiting for more.
func (c *Cluster) serveWaiting() {
	for {
		select {
		case f := <-c.work:
			f()
		default:
			return
		}
	}
}

// watcher is the judge of a served run: nobody is judged, but whoever follows the
// store is told, and so is what the clock waits for.
type watcher struct{ c *Cluster }

func (w watcher) Observe(e store.Event) {
	if w.c.until != nil {
		w.c.until.judge.Observe(e)
	}
	w.c.observe(e)
}

func (w watcher) Settle(now time.Duration) {
	if w.c.until != nil {
		w.c.until.judge.Settle(now)
	}
}

func (w watcher) Next() (time.Duration, bool) { return 0, false }

func (w watcher) Failed(now time.Duration, s scenarios.Step, err error) {
	w.c.failed = fmt.Errorf("step %q at %v: %w", s.Action, now, err)
}
