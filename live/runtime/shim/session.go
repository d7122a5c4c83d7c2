package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/wire"
)

// tapQueue is how many pieces of output an attached client may be behind; one that
// is further is cut off, as the container and its log come first.
const tapQueue = 256

// tap is an attached client.
type tap struct {
	files  [2]*os.File // stdout, stderr; nil where not asked for
	queues [2]chan []byte
	once   sync.Once
	done   sync.WaitGroup
}

func newTap(stdout, stderr *os.File) *tap {
	t := &tap{files: [2]*os.File{stdout, stderr}}
	for i, f := range t.files {
		if f == nil {
			continue
		}
		t.queues[i] = make(chan []byte, tapQueue)
		t.done.Add(1)
		go func() {
			defer t.done.Done()
			broken := false
			for data := range t.queues[i] {
				if !broken {
					_, err := f.Write(data)
					broken = err != nil
				}
			}
			f.Close()
		}()
	}
	return t
}

// close lets the tap write what it has, and end.
func (t *tap) close() {
	t.once.Do(func() {
		for _, q := range t.queues {
			if q != nil {
				close(q)
			}
		}
	})
}

// give hands output to all taps.
func (s *stdio) give(index int, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.taps {
		if t.queues[index] == nil {
			continue
		}
		select {
		case t.queues[index] <- slices.Clone(data):
		default:
			delete(s.taps, t)
			t.close()
		}
	}
}

// session carries out an exec or an attach; it answers an error if it has not begun.
func (s *shim) session(conn *wire.Conn, req wire.Request, files []*os.File) error {
	s.mu.Lock()
	full := s.sessions >= runtime.SessionsMax
	if !full {
		s.sessions++
	}
	s.mu.Unlock()
	if full {
		return &runtime.Error{Kind: runtime.KindHost, Text: fmt.Sprintf("%d sessions are open in this pod, the most", runtime.SessionsMax)}
	}
	defer func() {
		s.mu.Lock()
		s.sessions--
		s.mu.Unlock()
	}()
	var body struct {
		wire.Stream
		Spec json.RawMessage
	}
	if err := json.Unmarshal(req.Body, &body); err != nil {
		return &runtime.Error{Kind: runtime.KindInvalid, Text: err.Error()}
	}
	var streams [3]*os.File
	for i, with := range []bool{body.Stdin, body.Stdout, body.Stderr} {
		if !with {
			continue
		}
		if len(files) == 0 {
			return &runtime.Error{Kind: runtime.KindInvalid, Text: "fewer files than streams"}
		}
		streams[i], files = files[0], files[1:]
	}
	if req.Op == wire.OpAttach {
		return s.attach(conn, body.Spec, streams)
	}
	return s.exec(conn, body.Spec, streams)
}

// exec runs a further process in a container until it ends or the client goes.
func (s *shim) exec(conn *wire.Conn, raw json.RawMessage, streams [3]*os.File) error {
	var spec runtime.ExecSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		return &runtime.Error{Kind: runtime.KindInvalid, Text: err.Error()}
	}
	if err := spec.Validate(); err != nil {
		return err
	}
	r, err := s.find(wire.Target{Name: spec.ID.Name, Run: spec.ID.Run}, true)
	if err != nil {
		return err
	}
	inner, err := process(&r.spec)
	if err != nil {
		return err
	}
	p := libprocess(inner)
	p.Args, p.Env = spec.Args, overlaid(inner.Env, spec.Env)
	p.ConsoleWidth, p.ConsoleHeight = spec.Width, spec.Height
	filter, err := giveFilter(p, &r.spec)
	if err != nil {
		return err
	}
	defer filter.Close()
	begin := func() error { return r.container.Run(p) }
	var console *os.File
	if spec.TTY {
		console, err = withConsole(p, begin)
	} else {
		setStreams(p, streams)
		err = begin()
	}
	if err != nil {
		if errors.Is(err, libcontainer.ErrNotRunning) || r.ended() {
			return &runtime.Error{Kind: runtime.KindGone, Text: fmt.Sprintf("container %s does not run", r.spec.ID)}
		}
		return &runtime.Error{Kind: runtime.KindStart, Text: err.Error()}
	}
	copied := make(chan struct{})
	if spec.TTY {
		go func() {
			defer close(copied)
			copyConsole(console, streams)
		}()
	} else {
		close(copied)
		closeFiles(streams[:]) // else the client never sees the end
	}
	s.follow(conn, p, console, copied)
	return nil
}

// follow tells the client of the start and the end of an exec, and kills it when the
// client is gone.
func (s *shim) follow(conn *wire.Conn, p *libcontainer.Process, console *os.File, copied chan struct{}) {
	ended := make(chan struct{})
	if conn.Send(reply(nil, nil)) != nil {
		killGroup(p)
	}
	go func() {
		for {
			var size wire.Resize
			if _, err := conn.Receive(&size); err != nil {
				select {
				case <-ended:
				default:
					killGroup(p)
				}
				return
			}
			resize(console, size)
		}
	}()
	state, err := p.Wait()
	close(ended)
	code, _ := exitCode(state, err)
	if console != nil {
		<-copied
		console.Close()
	}
	_ = conn.Send(reply(wire.Done{Code: code}, nil))
}

// killGroup ends an exec with all it has started; each is a session of its own.
func killGroup(p *libcontainer.Process) {
	if pid, err := p.Pid(); err == nil && pid > 1 {
		_ = unix.Kill(-pid, unix.SIGKILL)
		_ = p.Signal(unix.SIGKILL)
	}
}

func setStreams(p *libcontainer.Process, streams [3]*os.File) {
	// A nil *os.File in an interface would not be nil.
	if streams[0] != nil {
		p.Stdin = streams[0]
	}
	if streams[1] != nil {
		p.Stdout = streams[1]
	}
	if streams[2] != nil {
		p.Stderr = streams[2]
	}
}

// overlaid is base with the entries of over, which replace those of their name.
func overlaid(base, over []string) []string {
	out := slices.Clone(base)
	for _, e := range over {
		name, _, _ := strings.Cut(e, "=")
		out = slices.DeleteFunc(out, func(b string) bool { return strings.HasPrefix(b, name+"=") })
		out = append(out, e)
	}
	return out
}

// attach joins a client to the streams of a container until that or the client ends.
func (s *shim) attach(conn *wire.Conn, raw json.RawMessage, streams [3]*os.File) error {
	var id runtime.ID
	if err := json.Unmarshal(raw, &id); err != nil {
		return &runtime.Error{Kind: runtime.KindInvalid, Text: err.Error()}
	}
	r, err := s.find(wire.Target{Name: id.Name, Run: id.Run}, true)
	if err != nil {
		return err
	}
	if streams[0] != nil && r.io.stdin == nil {
		return &runtime.Error{Kind: runtime.KindInvalid, Text: fmt.Sprintf("container %s takes no input", r.spec.ID)}
	}
	var own [3]*os.File // the dispatcher closes those it was sent
	for i, f := range streams {
		if f != nil {
			if own[i], err = duplicate(f); err != nil {
				return err
			}
		}
	}
	t := newTap(own[1], own[2])
	if !r.io.join(t) {
		t.close()
		return &runtime.Error{Kind: runtime.KindGone, Text: fmt.Sprintf("container %s does not run", r.spec.ID)}
	}
	if err := conn.Send(reply(nil, nil)); err != nil {
		r.io.leave(t)
		return nil
	}
	if own[0] != nil {
		go r.feed(own[0])
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			var size wire.Resize
			if _, err := conn.Receive(&size); err != nil {
				return
			}
			resize(r.io.window, size)
		}
	}()
	select {
	case <-r.done:
		t.done.Wait()
		s.mu.Lock()
		code := r.status.Exit.Code
		s.mu.Unlock()
		_ = conn.Send(reply(wire.Done{Code: code}, nil))
	case <-gone:
		r.io.leave(t)
	}
	if own[0] != nil {
		own[0].Close()
	}
	return nil
}

// feed copies a client's input to the container.
func (r *run) feed(from *os.File) {
	_, _ = io.Copy(r.io.stdin, from)
	if r.spec.StdinOnce && !r.spec.TTY {
		r.io.stdin.Close()
	}
}

func (s *stdio) join(t *tap) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.taps[t] = true
	return true
}

func (s *stdio) leave(t *tap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.taps, t)
	t.close()
}
