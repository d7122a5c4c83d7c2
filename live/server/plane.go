package server

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/live/etcd"
	"seatrial.dev/seatrial/sched"
)

// Limits of the plane.
const (
	turnMax     = 5 * time.Millisecond // work of its own between two looks at who waits
	callsMax    = 256                  // callers that are handed on without waiting for their turn
	journalWait = 30 * time.Second     // how long a caller waits for etcd

	// historyBytesMax is how much of the last writes is kept for watches to resume from,
	// as the size of their objects: one object may be written again and again, and be
	// of a mebibyte.
	historyBytesMax = 64 << 20
	writeBytesMin   = 1 << 9 // what each counts at least
)

var errEnded = errors.New("the server is stopping")

// Plane is the control plane's one goroutine and what it owns.
type Plane struct {
	api     *api.API
	view    *view.View
	drivers []*driver
	byKind  [kinds.Count][]*driver
	sched   *sched.Scheduler
	watched [kinds.Count]bool // by the scheduler
	journal *etcd.Journal
	fed     uint64 // version up to which writes were handed on
	history history
	problem func(error)

	calls chan func()
	done  chan struct{}
}

// newPlane builds a plane on a cluster as it was loaded. Nothing runs before Run.
func newPlane(loaded *etcd.Loaded, journal *etcd.Journal, cfg *Config, controllers []ctrl.Controller) (*Plane, error) {
	st := store.New(store.WindowDefault)
	if err := st.Restore(loaded.RV, loaded.Objects); err != nil {
		return nil, err
	}
	var seed [16]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return nil, err
	}
	stream := rand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:]))
	a, err := api.New(st, rand.New(stream), cfg.Network)
	if err != nil {
		return nil, err
	}
	p := &Plane{api: a, view: view.New(), sched: sched.New(cfg.Scheduler), journal: journal, fed: loaded.RV, problem: cfg.Problem,
		calls: make(chan func(), callsMax), done: make(chan struct{})}
	for _, k := range sched.Watches() {
		p.watched[k] = true
	}
	for _, c := range controllers {
		d := newDriver(p, c)
		p.drivers = append(p.drivers, d)
		for _, k := range c.Kinds() {
			p.byKind[k] = append(p.byKind[k], d)
		}
	}
	p.follow(loaded)
	return p, nil
}

// follow shows the deciders a cluster that was there before them.
func (p *Plane) follow(loaded *etcd.Loaded) {
	now := time.Now()
	slices.SortFunc(loaded.Objects, func(a, b kinds.Object) int { return kinds.RefOf(a).Compare(kinds.RefOf(b)) })
	for _, e := range p.view.Replace(loaded.RV, slices.Values(loaded.Objects)) {
		p.show(now, e)
	}
}

// show hands a write that the view has seen to the deciders.
func (p *Plane) show(now time.Time, e store.Event) {
	for _, d := range p.byKind[e.Ref.Kind] {
		d.c.Keys(p.view, e, d.add)
	}
	if p.watched[e.Ref.Kind] {
		p.sched.See(now, e, 0)
	}
}

// Do runs f on the plane's goroutine and returns when what f has written, and what it
// may have read, is there to stay. It implements the HTTP front's Cluster.
func (p *Plane) Do(ctx context.Context, f func(now time.Time, a *api.API)) error {
	finished := make(chan uint64, 1)
	var panicked any
	call := func() {
		defer func() {
			panicked = recover()
			p.feed(time.Now())
			finished <- p.api.Store().RV()
		}()
		f(time.Now(), p.api)
	}
	select {
	case p.calls <- call:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.done:
		return errEnded
	}
	var rv uint64
	select {
	case rv = <-finished:
	case <-p.done:
		return errEnded
	}
	if panicked != nil {
		panic(panicked)
	}
	wait, cancel := context.WithTimeout(ctx, journalWait)
	defer cancel()
	if err := p.journal.Wait(wait, rv); err != nil {
		return fmt.Errorf("the write is not certain to last: %w", err)
	}
	return nil
}

// Run works until ctx ends or the journal fails.
func (p *Plane) Run(ctx context.Context) error {
	defer close(p.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		pause := time.Duration(0)
		if !p.turn() {
			pause = p.pause()
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return nil
		case <-p.journal.Ended():
			return p.journal.Err()
		case f := <-p.calls:
			p.serve(f)
		case <-timer.C:
		}
	}
}

// pauseMax is the longest sleep of a plane that has nothing to do.
const pauseMax = time.Hour

// pause is how long nothing will have to be done unless something happens.
func (p *Plane) pause() time.Duration {
	at, ok := p.due()
	if !ok {
		return pauseMax
	}
	return max(0, min(time.Until(at), pauseMax))
}

// serve runs a caller's function and those that wait with it.
func (p *Plane) serve(f func()) {
	for n := 0; ; n++ {
		f()
		if n == callsMax {
			return
		}
		select {
		case f = <-p.calls:
		default:
			return
		}
	}
}

// feed hands on what has been written since the last time.
func (p *Plane) feed(now time.Time) {
	st := p.api.Store()
	for p.fed < st.RV() {
		p.fed++
		e, err := st.At(p.fed)
		if err != nil {
			panic(fmt.Sprintf("server: write %d is gone before it was handed on: %v", p.fed, err))
		}
		size := kinds.Size(e.Object)
		p.journal.Append(e, size)
		p.view.Apply(e)
		p.show(now, e)
		if forget := p.history.add(max(size, writeBytesMin)); forget > 0 {
			st.Forget(p.fed - uint64(len(p.history.sizes)))
		}
	}
}

// history is how much the writes of the log take.
type history struct {
	sizes []int64 // of each that is kept, oldest first
	bytes int64
}

// add takes a write in and says how many of the oldest are too many now.
func (h *history) add(size int64) (forget int) {
	h.sizes, h.bytes = append(h.sizes, size), h.bytes+size
	for h.bytes > historyBytesMax && len(h.sizes)-forget > 1 {
		h.bytes -= h.sizes[forget]
		forget++
	}
	h.sizes = h.sizes[forget:]
	return forget
}

// turn lets the deciders work for a while; busy says that there is more to do.
func (p *Plane) turn() (busy bool) {
	until := time.Now().Add(turnMax)
	for {
		busy = false
		for _, d := range p.drivers {
			busy = d.step() || busy
		}
		busy = p.schedule() || busy
		if !busy || time.Now().After(until) {
			return busy
		}
	}
}

// due is when something will have to be done though nothing happens.
func (p *Plane) due() (at time.Time, ok bool) {
	at, ok = p.sched.Due()
	for _, d := range p.drivers {
		if next, some := d.queue.Next(); some && (!ok || next.Before(at)) {
			at, ok = next, true
		}
	}
	return at, ok
}

// note records an event for people.
func (p *Plane) note(now time.Time, n api.Note) {
	if err := p.api.Record(now, n); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) { // its namespace may have gone
		p.problem(fmt.Errorf("record %s of %s: %w", n.Reason, kinds.RefOf(n.About), err))
	}
}
