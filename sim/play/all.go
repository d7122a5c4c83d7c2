package play

import (
	"context"
	"errors"
	"sync"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/check"
)

// Check finds what is wrong with a scenario's checks, without running anything.
func Check(scn *scenarios.Scenario) error {
	_, err := check.New(scn)
	return err
}

// Job is one run to be made.
type Job struct {
	Scenario *scenarios.Scenario
	Seed     uint64
}

// All plays jobs, each in a world of its own, at most parallel at a time, and calls
// done with their verdicts in the order of the jobs. It returns when all are done;
// once ctx is, those under way are given up.
func All(ctx context.Context, jobs []Job, parallel int, done func(scenarios.Verdict)) {
	verdicts := make([]chan scenarios.Verdict, len(jobs))
	for i := range verdicts {
		verdicts[i] = make(chan scenarios.Verdict, 1)
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(parallel, len(jobs)) {
		workers.Go(func() {
			for i := range next {
				v, _ := Run(jobs[i].Scenario, Options{Seed: jobs[i].Seed, Stop: func() bool { return ctx.Err() != nil }})
				verdicts[i] <- v
			}
		})
	}
	go func() {
		defer close(next)
		for i := range jobs {
			select {
			case next <- i:
			case <-ctx.Done():
				for _, v := range verdicts[i:] {
					close(v)
				}
				return
			}
		}
	}()
	for _, c := range verdicts {
		v, ok := <-c
		if !ok {
			break
		}
		if !errors.Is(v.Err, scenarios.ErrStopped) {
			done(v)
		}
	}
	workers.Wait()
}
