package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"
	"golang.org/x/sys/unix"

	// The first lets groups set device rules; the second moves "init" into its
	// namespaces before the Go runtime starts.
	_ "github.com/opencontainers/cgroups/devices"
	_ "github.com/opencontainers/runc/libcontainer/nsenter"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/cgroup"
	"seatrial.dev/seatrial/live/runtime/wire"
)

const (
	usage = `seatrial-runtime runs the containers of one pod. It is started by the agent
(seatrial agent), not by hand:

  seatrial-runtime shim POD-DIR CGROUP-ROOT   serve a pod on the socket that is fd 3
  seatrial-runtime init                       become a container's process
`
	groupShims = "_shims" // below the root, for shims and pauses
	gcPercent  = 40       // a shim is idle nearly always: small counts for more than quick
)

// Main is the program; it answers the exit code.
func Main(args []string) int {
	switch {
	case len(args) > 0 && args[0] == "init":
		if err := armFilter(); err != nil {
			fmt.Fprintln(os.Stderr, "seatrial-runtime:", err)
			return 1
		}
		libcontainer.Init() // never returns
	case len(args) == 3 && args[0] == "shim":
		if err := serve(args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "seatrial-runtime:", err)
			return 1
		}
		return 0
	}
	fmt.Fprint(os.Stderr, usage)
	return 2
}

func serve(dir, cgroupRoot string) error {
	debug.SetGCPercent(gcPercent)
	unix.Umask(0o022)
	// Only a request ends a shim. Ignoring these would be inherited by containers.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGPIPE)
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("folder %q: want an absolute path", dir)
	}
	if err := cgroup.Check(cgroupRoot); err != nil {
		return err
	}
	if err := leaveGroup(cgroupRoot); err != nil {
		return err
	}
	file := os.NewFile(3, "listener")
	l, err := net.FileListener(file)
	file.Close()
	if err != nil {
		return fmt.Errorf("fd 3: %w", err)
	}
	listener, ok := l.(*net.UnixListener)
	if !ok {
		return errors.New("fd 3: want a unix socket")
	}
	listener.SetUnlinkOnClose(false)
	s := &shim{
		dir: dir, cgroupRoot: cgroupRoot, listener: listener, paused: make(chan struct{}),
		runs: map[string]*run{}, watchers: map[chan runtime.Exit]bool{},
	}
	return s.accept()
}

// leaveGroup moves this process from the group of who started it.
func leaveGroup(cgroupRoot string) error {
	m, err := manager.New(&cgroups.Cgroup{Path: filepath.Join(cgroupRoot, groupShims), Resources: &cgroups.Resources{SkipDevices: true}})
	if err == nil {
		err = m.Apply(os.Getpid())
	}
	if err != nil {
		return fmt.Errorf("entering the control group of shims: %w", err)
	}
	return nil
}

// accept serves connections until the pod is stopped.
func (s *shim) accept() error {
	for {
		c, err := s.listener.AcceptUnix()
		if err != nil {
			if s.stopped.Load() {
				return nil
			}
			return err
		}
		go func() {
			conn := wire.NewConn(c)
			defer conn.Close()
			if uid, err := conn.CallerUID(); err != nil || uid != os.Geteuid() {
				return
			}
			s.answer(conn)
		}()
	}
}

// answer carries one request out.
func (s *shim) answer(conn *wire.Conn) {
	var req wire.Request
	files, err := conn.Receive(&req)
	if err != nil {
		return
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var body any
	switch req.Op {
	case wire.OpWatch:
		s.watch(conn)
		return
	case wire.OpExec, wire.OpAttach:
		err = s.session(conn, req, files)
		if err == nil {
			return
		}
	default:
		body, err = s.call(req)
	}
	_ = conn.Send(reply(body, err))
	if req.Op == wire.OpStop && err == nil {
		s.stopped.Store(true)
		s.listener.Close()
	}
}

func reply(body any, err error) wire.Reply {
	if err != nil {
		return wire.Reply{Kind: string(runtime.KindOf(err)), Text: err.Error()}
	}
	if body == nil {
		return wire.Reply{}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return wire.Reply{Kind: string(runtime.KindHost), Text: err.Error()}
	}
	return wire.Reply{Body: data}
}

// call carries out what has one answer.
func (s *shim) call(req wire.Request) (any, error) {
	switch req.Op {
	case wire.OpSandbox:
		return decoded(req, s.makeSandbox)
	case wire.OpStart:
		return decoded(req, s.startContainer)
	case wire.OpKill:
		return decoded(req, s.kill)
	case wire.OpRemove:
		return decoded(req, s.remove)
	case wire.OpReopen:
		return decoded(req, s.reopen)
	case wire.OpUpdate:
		return decoded(req, s.update)
	case wire.OpStats:
		return s.stats(), nil
	case wire.OpStop:
		return nil, s.stop()
	default:
		return nil, &runtime.Error{Kind: runtime.KindInvalid, Text: fmt.Sprintf("request %.40q: this runtime does not know it", req.Op)}
	}
}

func decoded[In, Out any](req wire.Request, do func(In) (Out, error)) (any, error) {
	var in In
	if err := json.Unmarshal(req.Body, &in); err != nil {
		return nil, &runtime.Error{Kind: runtime.KindInvalid, Text: fmt.Sprintf("request %s: %v", req.Op, err)}
	}
	return do(in)
}
