package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"seatrial.dev/seatrial/live/runtime/wire"
)

// callMax is the longest a request may take that waits for nothing but the kernel.
const callMax = 30 * time.Second

// call makes one request to a pod's shim.
func (c *Client) call(ctx context.Context, pod, op string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	conn, err := c.dial(ctx, pod)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	err = conn.Send(wire.Request{Op: op, Body: raw})
	if err == nil {
		err = receive(conn, into)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s of pod %s: %w", op, pod, ctx.Err())
	}
	return err
}

func (c *Client) dial(ctx context.Context, pod string) (*wire.Conn, error) {
	if !isUID(pod) {
		return nil, invalid("pod", pod, "want a UID")
	}
	conn, err := wire.Dial(ctx, filepath.Join(c.dir(pod), wire.FileSocket))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, gone(pod)
	}
	return conn, err
}

// receive reads one reply.
func receive(conn *wire.Conn, into any) error {
	var r wire.Reply
	if _, err := conn.Receive(&r); err != nil {
		return fmt.Errorf("the shim's answer: %w", err)
	}
	if r.Text != "" {
		return &Error{Kind: Kind(r.Kind), Text: r.Text}
	}
	if into == nil || len(r.Body) == 0 {
		return nil
	}
	return json.Unmarshal(r.Body, into)
}

// StartContainer starts a run. A command that cannot be executed is an Error of
// KindStart, and leaves nothing to remove. When the context ends first, the run may
// yet start: Get tells.
func (c *Client) StartContainer(ctx context.Context, spec ContainerSpec) (Container, error) {
	if err := spec.Validate(); err != nil {
		return Container{}, err
	}
	var out Container
	err := c.call(ctx, spec.ID.Pod, wire.OpStart, spec, &out)
	return out, err
}

// Kill sends a signal to the first process of a run, and SIGKILL to all of them when
// the grace has passed. It does not wait: Exits tells. A run that has ended is no
// error.
func (c *Client) Kill(ctx context.Context, id ID, signal syscall.Signal, grace time.Duration) error {
	return c.callFor(ctx, id, wire.OpKill, wire.Kill{Target: target(id), Signal: int(signal), GraceMillis: grace.Milliseconds()})
}

// Remove forgets a run that has ended. Its log stays: it is the caller's.
func (c *Client) Remove(ctx context.Context, id ID) error {
	err := c.callFor(ctx, id, wire.OpRemove, target(id))
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[id.Pod]
	if p == nil {
		return err
	}
	if !p.alive && KindOf(err) == KindGone {
		err = os.RemoveAll(filepath.Join(c.dir(id.Pod), wire.DirRuns, id.Local()))
	}
	if err == nil {
		delete(p.told, id)
	}
	return err
}

// ReopenLog makes the shim open the path of the log again.
func (c *Client) ReopenLog(ctx context.Context, id ID) error {
	return c.callFor(ctx, id, wire.OpReopen, target(id))
}

// Update changes the limits of a container that runs.
func (c *Client) Update(ctx context.Context, id ID, r Resources) error {
	if err := id.Validate(); err != nil {
		return err
	}
	return c.update(ctx, id.Pod, target(id), r)
}

// UpdateSandbox changes the limits of a pod.
func (c *Client) UpdateSandbox(ctx context.Context, pod string, r Resources) error {
	return c.update(ctx, pod, wire.Target{}, r)
}

func (c *Client) update(ctx context.Context, pod string, t wire.Target, r Resources) error {
	if err := r.Validate(); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.call(ctx, pod, wire.OpUpdate, wire.Update{Target: t, Resources: raw}, nil)
}

// Stats are those of a pod as a whole, and of each of its containers that runs.
func (c *Client) Stats(ctx context.Context, pod string) ([]Stats, error) {
	var out []Stats
	err := c.call(ctx, pod, wire.OpStats, nil, &out)
	return out, err
}

func (c *Client) callFor(ctx context.Context, id ID, op string, body any) error {
	if err := id.Validate(); err != nil {
		return err
	}
	return c.call(ctx, id.Pod, op, body, nil)
}

func target(id ID) wire.Target { return wire.Target{Name: id.Name, Run: id.Run} }
