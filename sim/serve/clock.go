package serve

import (
	"context"
	"fmt"
	"time"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/check"
)

// State is what the clock shows.
type State struct {
	Time   time.Duration `json:"-"`
	Now    string        `json:"now"`   // calendar time of the cluster
	Since  string        `json:"since"` // since the start of the run
	Speed  float64       `json:"speed"` // 0 paused, -1 as fast as it can
	Events uint64        `json:"events"`
	Hash   string        `json:"hash"`
	Failed string        `json:"failed,omitempty"` // the last step that could not be carried out
}

// condition is what Until waits for.
type condition struct {
	judge *check.Judge
}

// State returns what the clock shows.
func (c *Cluster) State(ctx context.Context) (s State, err error) {
	err = c.ask(ctx, func() { s = c.state() })
	return s, err
}

func (c *Cluster) state() State {
	e := c.w.Engine()
	s := State{Time: e.Now(), Now: e.Date().Format(time.RFC3339Nano), Since: scenarios.FormatTime(e.Now()), Speed: c.speed,
		Events: e.Handled(), Hash: fmt.Sprintf("%016x", e.Hash())}
	if c.failed != nil {
		s.Failed = c.failed.Error()
	}
	return s
}

// SetSpeed lets the clock run at a speed: Paused, Max, or virtual seconds to a
// second.
func (c *Cluster) SetSpeed(ctx context.Context, speed float64) error {
	if speed < 0 && speed != Max || speed != speed || speed > 1e9 {
		return fmt.Errorf("speed %v: want a number of 0 to 1e9, or max", speed)
	}
	return c.ask(ctx, func() {
		c.release(nil)
		c.set(speed)
	})
}

func (c *Cluster) set(speed float64) {
	c.speed, c.from, c.fromWall = speed, c.w.Engine().Now(), time.Now()
	c.target, c.until = 0, nil
}

// Step lets d of virtual time pass as fast as it can and then pauses the clock.
func (c *Cluster) Step(ctx context.Context, d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("step %v: want a duration of 0 or more", d)
	}
	return c.wait(ctx, func() error {
		c.set(Max)
		c.target = c.w.Engine().Now() + d
		return nil
	})
}

// untilMax is how much virtual time Until waits for.
const untilMax = 24 * time.Hour

// Until lets time pass until a check's expression holds, and then pauses the clock.
// It gives up after a day of virtual time.
func (c *Cluster) Until(ctx context.Context, expr string) error {
	return c.wait(ctx, func() error {
		now := c.w.Engine().Now()
		judge, err := check.New(&scenarios.Scenario{Name: "until", File: "until", Duration: now + untilMax,
			Checks: []scenarios.Check{{Name: "until", Mode: scenarios.Eventually, Expr: expr, From: now, To: now + untilMax}}})
		if err != nil {
			return err
		}
		judge.Watch(c.w.Store())
		judge.Settle(now)
		c.set(Max)
		c.until, c.target = &condition{judge}, now+untilMax
		return nil
	})
}

// wait starts something that ends with the clock paused, and waits for that.
func (c *Cluster) wait(ctx context.Context, start func() error) error {
	finished := make(chan error, 1)
	err := c.ask(ctx, func() {
		c.release(nil)
		if err := start(); err != nil {
			finished <- err
			return
		}
		c.waiters = append(c.waiters, finished)
	})
	if err != nil {
		return err
	}
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return errEnded
	}
}

// release lets those go who wait for the clock to pause.
func (c *Cluster) release(err error) {
	for _, w := range c.waiters {
		w <- err
	}
	c.waiters = nil
}

// pace lets a slice of time pass. busy is false when there is nothing to do but to
// wait: for ever, or for the wall's clock.
func (c *Cluster) pace() (wait time.Duration, busy bool) {
	e := c.w.Engine()
	switch {
	case c.held():
		c.release(nil)
		c.set(Paused)
		return 0, false
	case c.speed == Paused:
		return 0, false
	case c.speed == Max:
		c.slice()
		return 0, true
	}
	due := c.from + time.Duration(float64(time.Since(c.fromWall))*c.speed)
	if due <= e.Now() {
		return sliceWall, false
	}
	c.advance(due)
	return sliceWall, false
}

// held says whether what the clock was to wait for has come.
func (c *Cluster) held() bool {
	if c.until != nil {
		if r := c.until.judge.Results(); len(r) == 1 && r[0].Held {
			return true
		}
	}
	if c.target > 0 && c.w.Engine().Now() >= c.target {
		if c.until != nil {
			c.release(fmt.Errorf("it did not hold within %v", untilMax))
		}
		return true
	}
	return false
}

// slice runs at full speed for a while. A quiet cluster with nowhere to go stays
// where it is.
func (c *Cluster) slice() {
	e := c.w.Engine()
	start := e.Handled()
	for e.Handled()-start < sliceEvents && !c.held() {
		at, ok := e.NextAt()
		if c.target > 0 && (!ok || at > c.target) {
			c.advance(c.target)
			return
		}
		if !ok {
			c.set(Paused)
			return
		}
		c.advance(at)
	}
}

func (c *Cluster) advance(to time.Duration) {
	if err := c.w.Advance(to); err != nil {
		c.failed = err
	}
}
