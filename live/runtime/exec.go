package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime/wire"
)

// drainMax is how long output is awaited after the process has ended: something it
// has started may hold the pipe.
const drainMax = 2 * time.Second

// Size is that of a terminal, in characters.
type Size struct {
	Width, Height uint16
}

// Streams are the ends of an exec or attach; each may be nil. With a terminal all
// output is Stdout's. Nothing is closed. Reading Stdin may go on after the return,
// until it gives something.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Resize         <-chan Size // until closed, or the session's end
}

// Exec runs a further process in a container and answers its exit code. When the
// context ends the process is killed, with what it has started.
func (c *Client) Exec(ctx context.Context, spec ExecSpec, streams Streams) (int, error) {
	if err := spec.Validate(); err != nil {
		return 0, err
	}
	return c.session(ctx, spec.ID, wire.OpExec, spec, streams)
}

// Attach joins the streams of a container, from now on, and answers its exit code.
// When the context ends the container goes on.
func (c *Client) Attach(ctx context.Context, id ID, streams Streams) (int, error) {
	if err := id.Validate(); err != nil {
		return 0, err
	}
	return c.session(ctx, id, wire.OpAttach, id, streams)
}

// sessionRequest is the body of an exec or attach.
type sessionRequest struct {
	wire.Stream
	Spec any
}

func (c *Client) session(ctx context.Context, id ID, op string, spec any, streams Streams) (int, error) {
	conn, err := c.dial(ctx, id.Pod)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	var pipes pipes
	defer pipes.closeNear()
	request := sessionRequest{Spec: spec}
	if streams.Stdin != nil {
		request.Stdin = true
		err = pipes.add(false)
	}
	if streams.Stdout != nil && err == nil {
		request.Stdout = true
		err = pipes.add(true)
	}
	if streams.Stderr != nil && err == nil {
		request.Stderr = true
		err = pipes.add(true)
	}
	var raw []byte
	if err == nil {
		raw, err = json.Marshal(request)
	}
	if err == nil {
		err = conn.Send(wire.Request{Op: op, Body: raw}, pipes.far...)
	}
	pipes.closeFar()
	if err == nil {
		err = receive(conn, nil)
	}
	if err != nil {
		return 0, orContext(ctx, err)
	}
	return follow(ctx, conn, streams, pipes.near)
}

// follow copies the streams until the process has ended and its output has come.
func follow(ctx context.Context, conn *wire.Conn, streams Streams, near []*os.File) (int, error) {
	if streams.Stdin != nil {
		in := near[0]
		near = near[1:]
		go func() {
			_, _ = io.Copy(in, streams.Stdin)
			in.Close()
		}()
	}
	var output sync.WaitGroup
	for _, to := range []io.Writer{streams.Stdout, streams.Stderr} {
		if to == nil {
			continue
		}
		from := near[0]
		near = near[1:]
		output.Go(func() {
			_, _ = io.Copy(to, from)
			// A writer that fails must not stop the process.
			_, _ = io.Copy(io.Discard, from)
		})
		defer func() {
			_ = from.SetReadDeadline(time.Now().Add(drainMax))
			output.Wait()
		}()
	}
	ended := make(chan struct{})
	defer close(ended)
	if streams.Resize != nil {
		go func() {
			for {
				select {
				case size, ok := <-streams.Resize:
					if !ok || conn.Send(wire.Resize{Width: size.Width, Height: size.Height}) != nil {
						return
					}
				case <-ended:
					return
				}
			}
		}()
	}
	var done wire.Done
	if err := receive(conn, &done); err != nil {
		return 0, orContext(ctx, err)
	}
	return done.Code, nil
}

func orContext(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// pipes are those of one session; the far ends go to the shim.
type pipes struct {
	near, far []*os.File
}

// add makes a pipe; this side reads its output or else writes its input.
func (p *pipes) add(output bool) error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	near, far := fds[1], fds[0]
	if output {
		near, far = far, near
	}
	// Only ours: a program does not expect O_NONBLOCK of its streams.
	err := unix.SetNonblock(near, true)
	p.near = append(p.near, os.NewFile(uintptr(near), "near"))
	p.far = append(p.far, os.NewFile(uintptr(far), "far"))
	return err
}

func (p *pipes) closeFar() {
	for _, f := range p.far {
		f.Close()
	}
}

func (p *pipes) closeNear() {
	for _, f := range p.near {
		if err := f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			continue
		}
	}
}
