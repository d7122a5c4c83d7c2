package image

import (
	"context"
	"sync"
)

// flights lets those who want the same thing at the same time share one way of getting
// it. It goes on until it has it or nobody wants it any longer: that the first who asked
// has left is no reason to fail the others.
type flights[T any] struct {
	mu  sync.Mutex
	now map[string]*flight[T]
}

type flight[T any] struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{}
	value   T
	err     error
}

// do returns what get has got, and whether it was somebody else's.
func (f *flights[T]) do(ctx context.Context, key string, get func(context.Context) (T, error)) (value T, shared bool, err error) {
	f.mu.Lock()
	if f.now == nil {
		f.now = map[string]*flight[T]{}
	}
	c, shared := f.now[key]
	if !shared {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		c = &flight[T]{cancel: cancel, done: make(chan struct{})}
		f.now[key] = c
		go func() {
			defer cancel()
			c.value, c.err = get(own)
			f.mu.Lock()
			if f.now[key] == c {
				delete(f.now, key)
			}
			f.mu.Unlock()
			close(c.done)
		}()
	}
	c.waiting++
	f.mu.Unlock()
	select {
	case <-c.done:
		return c.value, shared, c.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.waiting--; c.waiting == 0 {
		c.cancel()
		if f.now[key] == c {
			delete(f.now, key)
		}
	}
	return value, shared, ctx.Err()
}
