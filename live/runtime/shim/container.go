package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"
	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/crilog"
	"seatrial.dev/seatrial/live/runtime/wire"
)

// drainMax is how long output is awaited from what a dead container left behind.
const drainMax = 2 * time.Second

// run is one run of a container. Its fields are set before it is put into shim.runs,
// but status, which shim.mu guards.
type run struct {
	shim      *shim
	spec      runtime.ContainerSpec
	container *libcontainer.Container
	process   *libcontainer.Process
	group     cgroups.Manager
	io        *stdio
	status    runtime.Container
	done      chan struct{} // closed when status has the exit
}

func (s *shim) startContainer(spec runtime.ContainerSpec) (runtime.Container, error) {
	if err := spec.Validate(); err != nil {
		return runtime.Container{}, err
	}
	if err := s.reserve(&spec); err != nil {
		return runtime.Container{}, err
	}
	r, err := s.launch(spec)
	s.mu.Lock()
	if err != nil {
		delete(s.runs, spec.ID.Local())
		s.mu.Unlock()
		if rerr := os.RemoveAll(s.runDir(spec.ID)); rerr != nil {
			err = errors.Join(err, rerr)
		}
		return runtime.Container{}, err
	}
	s.runs[spec.ID.Local()] = r
	stopping, status := s.stopping, r.status
	s.mu.Unlock()
	go r.await()
	if stopping {
		r.killAll()
	}
	return status, nil
}

func (s *shim) runDir(id runtime.ID) string {
	return filepath.Join(s.dir, wire.DirRuns, id.Local())
}

// reserve takes the name of a run, so that two requests cannot start it twice.
func (s *shim) reserve(spec *runtime.ContainerSpec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case spec.ID.Pod != s.pod.Spec.Pod:
		return &runtime.Error{Kind: runtime.KindInvalid, Text: fmt.Sprintf("container %s: this is pod %q", spec.ID, s.pod.Spec.Pod)}
	case s.stopping || !s.pod.Ready:
		return &runtime.Error{Kind: runtime.KindGone, Text: "the sandbox is not ready"}
	case s.runs[spec.ID.Local()] != nil:
		return &runtime.Error{Kind: runtime.KindExists, Text: fmt.Sprintf("container %s is there already", spec.ID)}
	case len(s.runs) >= runtime.ContainersMax:
		return &runtime.Error{Kind: runtime.KindHost, Text: fmt.Sprintf("%d containers are kept in this pod, the most: remove some", len(s.runs))}
	}
	// Done from the start: nothing waits for a run that has not begun.
	done := make(chan struct{})
	close(done)
	s.runs[spec.ID.Local()] = &run{shim: s, spec: *spec, done: done, status: runtime.Container{ID: spec.ID}}
	return nil
}

// launch starts the container, or leaves nothing of it.
func (s *shim) launch(spec runtime.ContainerSpec) (_ *run, err error) {
	r := &run{shim: s, spec: spec, done: make(chan struct{})}
	p, err := s.plan(&spec)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if r.group, err = manager.New(p.config.Cgroups); err != nil {
		return nil, err
	}
	if r.io, err = newStdio(&spec); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.io.abandon()
		}
	}()
	r.status = runtime.Container{ID: spec.ID, LogPath: spec.LogPath, Started: time.Now().UTC()}
	if err := os.Mkdir(s.runDir(spec.ID), 0o700); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(s.runDir(spec.ID), wire.FileSpec), r.status, false); err != nil {
		return nil, err
	}
	r.container, err = libcontainer.Create(s.path(wire.DirRuntime), spec.ID.Local(), p.config)
	if err != nil {
		return nil, fmt.Errorf("creating the container: %w", err)
	}
	r.process = libprocess(p.process)
	r.process.Init = true
	filter, err := giveFilter(r.process, &spec)
	if err != nil {
		return nil, err
	}
	defer filter.Close()
	if err := r.io.start(r.process, func() error { return r.begin() }); err != nil {
		_ = r.container.Destroy()
		return nil, p.startError(err)
	}
	r.status.PID, err = r.process.Pid()
	return r, err
}

// begin starts the container's process, and looks at it before it is let go.
func (r *run) begin() error {
	if err := r.container.Start(r.process); err != nil {
		return err
	}
	pid, err := r.process.Pid()
	if err == nil {
		err = checkFilter(pid, &r.spec)
	}
	if err != nil {
		return err
	}
	return r.container.Exec()
}

// libprocess is the process of a specification as libcontainer takes it.
func libprocess(p *specs.Process) *libcontainer.Process {
	caps := p.Capabilities
	out := &libcontainer.Process{
		Args: p.Args, Env: p.Env, Cwd: p.Cwd,
		UID: int(p.User.UID), GID: int(p.User.GID),
		NoNewPrivileges: &p.NoNewPrivileges,
		Capabilities:    &configs.Capabilities{Bounding: caps.Bounding, Effective: caps.Effective, Permitted: caps.Permitted},
	}
	for _, g := range p.User.AdditionalGids {
		out.AdditionalGroups = append(out.AdditionalGroups, int(g))
	}
	return out
}

// await records how the run ends.
func (r *run) await() {
	state, err := r.process.Wait()
	exit := runtime.Exit{ID: r.spec.ID, Started: r.status.Started, Finished: time.Now().UTC()}
	exit.Code, exit.Signal = exitCode(state, err)
	if r.shim.sharesPIDs() || r.spec.Target.Name != "" {
		r.killAll() // what it has started does not end with it there
	}
	if n, err := r.group.OOMKillCount(); err == nil && n > 0 && exit.Code != 0 {
		exit.OOMKilled = true
	}
	if err := r.container.Destroy(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", r.spec.ID, err)
	}
	if err := r.io.end(); err != nil {
		exit.LogError = err.Error()
	}
	if err := writeJSON(filepath.Join(r.shim.runDir(r.spec.ID), wire.FileExit), exit, true); err != nil {
		fmt.Fprintf(os.Stderr, "%s: recording its exit: %v\n", r.spec.ID, err)
	}
	r.shim.mu.Lock()
	defer r.shim.mu.Unlock()
	r.status.Exit = &exit
	r.shim.tell(exit)
	close(r.done)
}

// exitCode is what a shell would say.
func exitCode(state *os.ProcessState, err error) (code, sig int) {
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		state = exited.ProcessState
	}
	if state == nil {
		return 128 + int(unix.SIGKILL), int(unix.SIGKILL)
	}
	status := state.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), int(status.Signal())
	}
	return status.ExitStatus(), 0
}

// killAll sends SIGKILL to all processes of the run.
func (r *run) killAll() {
	if r.container == nil {
		return
	}
	if err := r.container.Signal(unix.SIGKILL); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintf(os.Stderr, "%s: SIGKILL: %v\n", r.spec.ID, err)
	}
}

func (r *run) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// find gives a run; with running, only one that runs.
func (s *shim) find(t wire.Target, running bool) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := runtime.ID{Pod: s.pod.Spec.Pod, Name: t.Name, Run: t.Run}
	r := s.runs[id.Local()]
	if r == nil {
		return nil, &runtime.Error{Kind: runtime.KindGone, Text: fmt.Sprintf("container %s: there is none", id)}
	}
	if running && r.ended() {
		return nil, &runtime.Error{Kind: runtime.KindGone, Text: fmt.Sprintf("container %s does not run", id)}
	}
	return r, nil
}

// kill sends the signal, and after the grace SIGKILL; it does not wait. For what has
// ended it does nothing.
func (s *shim) kill(k wire.Kill) (none, error) {
	r, err := s.find(k.Target, false)
	if err != nil || r.ended() {
		return none{}, err
	}
	sig := syscall.Signal(k.Signal)
	if sig <= 0 || sig > 64 || k.GraceMillis < 0 {
		return none{}, &runtime.Error{Kind: runtime.KindInvalid, Text: fmt.Sprintf("signal %d, grace %d ms: want 1 to 64, and 0 or more", k.Signal, k.GraceMillis)}
	}
	if sig == unix.SIGKILL || k.GraceMillis == 0 {
		r.killAll()
		return none{}, nil
	}
	if err := r.container.Signal(sig); err != nil && !errors.Is(err, libcontainer.ErrNotRunning) && !errors.Is(err, os.ErrProcessDone) {
		return none{}, err
	}
	go func() {
		grace := time.NewTimer(time.Duration(k.GraceMillis) * time.Millisecond)
		defer grace.Stop()
		select {
		case <-r.done:
		case <-grace.C:
			r.killAll()
		}
	}()
	return none{}, nil
}

// remove forgets a run that has ended.
func (s *shim) remove(t wire.Target) (none, error) {
	r, err := s.find(t, false)
	if err != nil {
		return none{}, err
	}
	if !r.ended() || r.container == nil {
		return none{}, &runtime.Error{Kind: runtime.KindInvalid, Text: fmt.Sprintf("container %s runs: kill it first", r.spec.ID)}
	}
	if err := os.RemoveAll(s.runDir(r.spec.ID)); err != nil {
		return none{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, r.spec.ID.Local())
	return none{}, nil
}

func (s *shim) reopen(t wire.Target) (none, error) {
	r, err := s.find(t, true)
	if err != nil || r.io.log == nil {
		return none{}, err
	}
	return none{}, r.io.log.Reopen()
}

// update sets other limits for a container, or for the pod.
func (s *shim) update(u wire.Update) (none, error) {
	var limits runtime.Resources
	if err := json.Unmarshal(u.Resources, &limits); err != nil {
		return none{}, &runtime.Error{Kind: runtime.KindInvalid, Text: err.Error()}
	}
	if err := limits.Validate(); err != nil {
		return none{}, err
	}
	if u.Name == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		return none{}, setGroup(s.cgroupPath(), limits)
	}
	r, err := s.find(u.Target, true)
	if err != nil {
		return none{}, err
	}
	config := r.container.Config()
	group := *config.Cgroups
	inner := *group.Resources
	limit(&inner, limits)
	group.Resources = &inner
	config.Cgroups = &group
	return none{}, r.container.Set(config)
}

// stdio is where a container's input and output go: log, and whoever is attached.
type stdio struct {
	tty   bool
	log   *crilog.Log
	child []*os.File // the container's ends, closed here once it has them
	stdin *os.File   // to the container; nil if it takes none

	pumps sync.WaitGroup
	ends  []*os.File // read by the pumps

	mu     sync.Mutex
	closed bool // no further output
	taps   map[*tap]bool
	window *os.File // the terminal
}

func newStdio(spec *runtime.ContainerSpec) (_ *stdio, err error) {
	io := &stdio{tty: spec.TTY, taps: map[*tap]bool{}}
	defer func() {
		if err != nil {
			io.abandon()
		}
	}()
	if spec.LogPath != "" {
		if io.log, err = crilog.Open(spec.LogPath, spec.LogBytesMax, spec.LogFiles); err != nil {
			return nil, &runtime.Error{Kind: runtime.KindHost, Text: fmt.Sprintf("opening the log: %v", err)}
		}
	}
	if spec.TTY {
		return io, nil
	}
	var in *os.File
	if spec.Stdin {
		if in, io.stdin, err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	io.child = append(io.child, in)
	for range 2 {
		end, child, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		io.ends, io.child = append(io.ends, end), append(io.child, child)
	}
	for _, f := range io.child {
		if f != nil {
			if err := blocking(f); err != nil {
				return nil, err
			}
		}
	}
	return io, nil
}

// start calls begin with the process's files in place, and then lets output flow.
func (s *stdio) start(p *libcontainer.Process, begin func() error) error {
	if s.tty {
		master, err := withConsole(p, begin)
		if err != nil {
			return err
		}
		s.window = master
		s.stdin = master
		s.ends = []*os.File{master}
	} else {
		if s.child[0] != nil {
			p.Stdin = s.child[0]
		}
		p.Stdout, p.Stderr = s.child[1], s.child[2]
		if err := begin(); err != nil {
			return err
		}
		closeFiles(s.child)
		s.child = nil
	}
	for i, end := range s.ends {
		name := [...]string{"stdout", "stderr"}[i]
		s.pumps.Add(1)
		go s.pump(end, i, name)
	}
	return nil
}

func (s *stdio) pump(from *os.File, index int, name string) {
	defer s.pumps.Done()
	var to *crilog.Stream
	if s.log != nil {
		to = s.log.Stream(name, func() time.Time { return time.Now().UTC() })
		defer to.End()
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if to != nil {
				_, _ = to.Write(buf[:n])
			}
			s.give(index, buf[:n])
		}
		if err != nil { // the end, or EIO of a terminal that is gone
			return
		}
	}
}

// abandon closes all: the container has not started.
func (s *stdio) abandon() {
	closeFiles(s.child)
	closeFiles(s.ends)
	if s.stdin != nil {
		s.stdin.Close()
	}
	if s.log != nil {
		s.log.Close()
	}
}

// end waits for the last output, and answers what went wrong with the log.
func (s *stdio) end() error {
	drained := make(chan struct{})
	go func() { s.pumps.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(drainMax):
		for _, f := range s.ends {
			_ = f.SetReadDeadline(time.Now())
		}
		<-drained
	}
	s.mu.Lock()
	s.closed = true
	for t := range s.taps {
		t.close()
	}
	s.taps = nil
	s.mu.Unlock()
	closeFiles(s.ends)
	if s.stdin != nil && !s.tty {
		s.stdin.Close()
	}
	if s.log == nil {
		return nil
	}
	return s.log.Close()
}

func closeFiles(list []*os.File) {
	for _, f := range list {
		if f != nil {
			f.Close()
		}
	}
}

// blocking makes a file fit for a program that knows nothing of O_NONBLOCK.
func blocking(f *os.File) error { return unix.SetNonblock(int(f.Fd()), false) }
