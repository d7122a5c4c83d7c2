package play

import (
	"context"
	"fmt"
	"time"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// How soon a write is made again: one that met a conflict, one that found no server, and
// an eviction that a budget does not allow now.
const (
	conflictRetry = 50 * time.Millisecond
	absentRetry   = 200 * time.Millisecond
	evictRetry    = 5 * time.Second // kubectl drain's
)

// applyManifests begins to apply them, before all steps.
func (r *run) applyManifests(ctx context.Context) {
	s := scenarios.Step{Action: scenarios.Apply{Objects: r.scn.Objects}}
	r.recordStep(time.Since(r.began), s)
	go func() {
		defer close(r.applied)
		r.carryOut(ctx, s)
	}()
}

// begin carries out a step in a goroutine of its own. Steps at the very start come after
// the manifests.
func (r *run) begin(ctx context.Context, s scenarios.Step) {
	r.recordStep(time.Since(r.began), s)
	go func() {
		select {
		case <-r.applied:
			r.carryOut(ctx, s)
		case <-ctx.Done():
		}
	}()
}

// carryOut does what a step says, one write after the other.
func (r *run) carryOut(ctx context.Context, s scenarios.Step) {
	asks := scenarios.Asks(s.Action)
	if len(asks) == 0 {
		r.fail(ctx, s, r.harm(s.Action))
		return
	}
	for len(asks) > 0 {
		more, err := r.ask(ctx, asks[0])
		r.fail(ctx, s, err)
		asks = append(more, asks[1:]...)
	}
}

// fail tells of a step that failed; nil is no failure.
func (r *run) fail(ctx context.Context, s scenarios.Step, err error) {
	if err == nil {
		return
	}
	select {
	case r.fails <- failed{s, err}:
	case <-ctx.Done():
	}
}

// ask makes one write of a step, again while that may help.
func (r *run) ask(ctx context.Context, ask scenarios.Ask) ([]scenarios.Ask, error) {
	for {
		var request api.Request
		var more []scenarios.Ask
		var err error
		if !r.look(ctx, func(s *store.Store) { request, more, err = ask(s) }) {
			return nil, nil
		}
		if err != nil || request.Verb == 0 {
			return more, err
		}
		_, err = r.c.Do(ctx, request)
		pause := conflictRetry
		switch scenarios.Answered(request, err) {
		case scenarios.Done:
			return more, nil
		case scenarios.Again:
		case scenarios.Wait:
			pause = evictRetry
		default:
			if !absent(err) {
				return more, err
			}
			pause = absentRetry
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// look lets f read the state on the run's goroutine; false when the run is over.
func (r *run) look(ctx context.Context, f func(*store.Store)) bool {
	looked := make(chan struct{})
	select {
	case r.looks <- func() { f(r.mirror.state); close(looked) }:
		<-looked
		return true
	case <-ctx.Done():
		return false
	}
}

// harm carries out what is done to hosts and links.
func (r *run) harm(a scenarios.Action) error {
	switch a := a.(type) {
	case scenarios.Apply: // of nothing
		return nil
	case scenarios.Crash:
		return r.hosts.Crash(a.Node)
	case scenarios.Restart:
		return r.hosts.Restart(a.Node)
	case scenarios.Freeze:
		return r.hosts.Freeze(a.Node)
	case scenarios.Thaw:
		return r.hosts.Thaw(a.Node)
	case scenarios.Cut:
		return r.hosts.Cut(a.From, a.To, a.OneWay)
	case scenarios.Heal:
		return r.hosts.Heal(a.From, a.To, a.OneWay)
	}
	return fmt.Errorf("the lab cannot %s", a)
}
