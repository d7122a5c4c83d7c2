package rollingupdate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"k8s.io/client-go/rest"
)

// stillAfter is for how long, by this machine's time, the cluster's clock stands
// still before the user is told.
const stillAfter = 5 * time.Second

// lookEvery is how often, by this machine's time, a simulated cluster is looked at.
const lookEvery = 50 * time.Millisecond

// Clock tells the time of the cluster. That of a real one is this machine's.
type Clock struct {
	path   string         // where a simulated cluster tells it
	client rest.Interface // nil for a real cluster
	every  time.Duration  // of this machine's, between two looks at the cluster

	warn   io.Writer
	seen   time.Time // the cluster's time at the last look
	moved  time.Time // when it was first seen, by this machine's time
	warned bool
}

// NewClock asks a cluster whether it is simulated, in which case it tells its time at
// path. A real one is looked at every so often. A clock that stands still is told to
// warn.
func NewClock(ctx context.Context, client rest.Interface, path string, every time.Duration, warn io.Writer) *Clock {
	c := &Clock{path: path, client: client, every: lookEvery, warn: warn}
	if _, err := c.now(ctx); err != nil {
		c.client, c.every = nil, every
	}
	return c
}

func (c *Clock) now(ctx context.Context) (time.Time, error) {
	if c.client == nil {
		return time.Now(), nil
	}
	text, err := c.client.Get().AbsPath(c.path).DoRaw(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the cluster for its time: %w", err)
	}
	var said struct{ Now time.Time }
	if err := json.Unmarshal(text, &said); err != nil {
		return time.Time{}, fmt.Errorf("read the cluster's time: %w", err)
	}
	if said.Now.IsZero() {
		return time.Time{}, fmt.Errorf("read the cluster's time: %s has none", text)
	}
	c.notice(said.Now)
	return said.Now, nil
}

// notice warns once when the cluster's time has stood still for long.
func (c *Clock) notice(now time.Time) {
	wall := time.Now()
	switch {
	case !now.Equal(c.seen):
		c.seen, c.moved, c.warned = now, wall, false
	case !c.warned && wall.Sub(c.moved) >= stillAfter:
		c.warned = true
		fmt.Fprintln(c.warn, "The cluster's clock stands still, so nothing happens; let it run with seatrial clock run, or step it with seatrial clock step 1m.")
	}
}

// sleep waits until so much of the cluster's time has passed.
func (c *Clock) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	from, err := c.now(ctx)
	if err != nil {
		return err
	}
	return c.poll(ctx, func(now time.Time) (bool, error) { return now.Sub(from) >= d, nil })
}

// until waits until done, for at most timeout of the cluster's time.
func (c *Clock) until(ctx context.Context, timeout time.Duration, what string, done func() (bool, error)) error {
	from, err := c.now(ctx)
	if err != nil {
		return err
	}
	return c.poll(ctx, func(now time.Time) (bool, error) {
		if ok, err := done(); ok || err != nil {
			return ok, err
		}
		if now.Sub(from) > timeout {
			return false, fmt.Errorf("timed out waiting for %s", what)
		}
		return false, nil
	})
}

// poll looks every so often whether it is done.
func (c *Clock) poll(ctx context.Context, done func(now time.Time) (bool, error)) error {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		now, err := c.now(ctx)
		if err != nil {
			return err
		}
		if ok, err := done(now); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
