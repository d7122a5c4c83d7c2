package quality

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"seatrial.dev/seatrial/bench/playback"
)

// Comparison is of policies, on the same workloads and seeds.
type Comparison struct {
	Policies []playback.Policy
	Seeds    []uint64
	Trials   int // of cell compaction, for each policy; 0 for none
	// Workload makes the workload of a seed.
	Workload func(seed uint64) (*playback.Workload, error)
	// Done, where set, is told how many of all runs are over; by one goroutine at a time.
	Done func(runs, all int)
}

// Limits of a comparison.
const (
	policiesMax = 64
	seedsMax    = 1000
	trialsMax   = 1000
)

// Line is one policy's measures.
type Line struct {
	Policy   string              `json:"policy"`
	Measures map[string]Estimate `json:"measures"`
}

// Result is a comparison's.
type Result struct {
	Workload string   `json:"workload"`
	Seeds    []uint64 `json:"seeds"`
	Lines    []Line   `json:"policies"`
	Notes    []string `json:"notes,omitempty"` // what could not be measured
}

// Validate says what is wrong with a comparison.
func (c *Comparison) Validate() error {
	switch {
	case len(c.Policies) < 1 || len(c.Policies) > policiesMax:
		return fmt.Errorf("%d policies: want 1 to %d", len(c.Policies), policiesMax)
	case len(c.Seeds) < 1 || len(c.Seeds) > seedsMax:
		return fmt.Errorf("%d seeds: want 1 to %d", len(c.Seeds), seedsMax)
	case c.Trials < 0 || c.Trials > trialsMax:
		return fmt.Errorf("%d trials of compaction: want 0 to %d", c.Trials, trialsMax)
	}
	return nil
}

// Run makes all runs, on all processors.
func (c *Comparison) Run(ctx context.Context) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	workloads := make([]*playback.Workload, len(c.Seeds))
	for i, seed := range c.Seeds {
		w, err := c.Workload(seed)
		if err != nil {
			return nil, err
		}
		workloads[i] = w
	}
	runs := make([]Values, len(c.Policies)*len(c.Seeds))
	cells := make([]cell, len(c.Policies)*c.Trials)
	err := c.parallel(len(runs)+len(cells), func(n int) error {
		if n >= len(runs) {
			k := n - len(runs)
			least, ok, err := compact(ctx, workloads[0], c.Policies[k/c.Trials], uint64(k%c.Trials)+1)
			cells[k] = cell{100 * float64(least) / float64(len(workloads[0].Nodes)), ok}
			return err
		}
		k := n % len(c.Seeds)
		v, err := one(ctx, workloads[k], c.Policies[n/len(c.Seeds)], c.Seeds[k])
		runs[n] = v
		return err
	})
	if err != nil {
		return nil, err
	}
	res := &Result{Workload: workloads[0].String(), Seeds: c.Seeds}
	for i, policy := range c.Policies {
		line := Line{policy.Name, summary(runs[i*len(c.Seeds) : (i+1)*len(c.Seeds)])}
		if c.Trials > 0 {
			res.addCell(&line, cells[i*c.Trials:(i+1)*c.Trials])
		}
		res.Lines = append(res.Lines, line)
	}
	return res, nil
}

// cell is what one trial of compaction came to.
type cell struct {
	percent float64
	fits    bool // on all nodes
}

func (r *Result) addCell(line *Line, trials []cell) {
	var each []float64
	for _, t := range trials {
		if t.fits {
			each = append(each, t.percent)
		}
	}
	if len(each) < len(trials) {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: the workload does not fit on all nodes in %d of %d trials of cell compaction; compact a part of it (--part)",
			line.Policy, len(trials)-len(each), len(trials)))
		return
	}
	line.Measures[Cell] = bootstrap(each, cellPercentile, 1)
}

func one(ctx context.Context, w *playback.Workload, policy playback.Policy, seed uint64) (Values, error) {
	cfg, err := policy.Config(w, seed)
	if err != nil {
		return nil, err
	}
	o, err := playback.Run(ctx, w, cfg, playback.Options{Seed: seed})
	if err != nil {
		return nil, fmt.Errorf("%s, seed %d: %w", policy.Name, seed, err)
	}
	v, err := Of(w, o)
	if err != nil {
		return nil, fmt.Errorf("%s, seed %d: %w", policy.Name, seed, err)
	}
	return v, nil
}

func summary(runs []Values) map[string]Estimate {
	out := map[string]Estimate{}
	for _, m := range Measures() {
		var each []float64
		for _, v := range runs {
			if x, ok := v[m.Name]; ok {
				each = append(each, x)
			}
		}
		if len(each) == len(runs) {
			out[m.Name] = student(each)
		}
	}
	return out
}

// parallel does n things on all processors and returns the errors there were.
func (c *Comparison) parallel(n int, do func(int) error) error {
	var (
		mu   sync.Mutex
		next int
		done int
		errs []error
		wait sync.WaitGroup
	)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wait.Go(func() {
			for {
				mu.Lock()
				k := next
				next++
				stop := k >= n || len(errs) > 0
				mu.Unlock()
				if stop {
					return
				}
				err := do(k)
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				}
				if done++; c.Done != nil {
					c.Done(done, n)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
