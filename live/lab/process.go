package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"
)

// identify reads a process' start time; false if there is none.
func identify(pid int) (process, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return process{}, false
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return process{pid, start}, err == nil
}

func (p process) alive() bool {
	if p.Pid == 0 {
		return false
	}
	now, ok := identify(p.Pid)
	return ok && now == p
}

// kill ends it at once and waits for that.
func (p process) kill(ctx context.Context) error {
	if p.Pid == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("process %d: %w", p.Pid, err)
	}
	defer unix.Close(fd)
	if !p.alive() { // asked after opening: the number is not used again meanwhile
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", p.Pid, err)
	}
	return gone(ctx, fd, p.Pid)
}

const pollPause = 50 * time.Millisecond

func gone(ctx context.Context, fd, pid int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(pollPause.Milliseconds()))
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("process %d does not end: %w", pid, ctx.Err())
		}
	}
}

// birth is what a host's first process is told; it reads it when all around it is made.
type birth struct {
	Switch   bool
	Hostname string
	Data     string // on this machine
	Logs     string
	Bin      string
	Etc      string // its /etc/hosts
	Services []Service
	Binds    []Bind
}

// child is a process that waits for its birth.
type child struct {
	process
	tell  *os.File
	ready *os.File
}

// spawn starts the lab's binary once more; it ends by itself if its birth is not told.
func (l *Lab) spawn(s *state, name string, flags uintptr) (*child, error) {
	dir := hostDir(s, name)
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o755); err != nil {
		return nil, err
	}
	orders, err := listen(dir)
	if err != nil {
		return nil, err
	}
	defer orders.Close()
	log, err := os.OpenFile(filepath.Join(dir, "log", hostLog+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	birthR, birthW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer birthR.Close()
	readyR, readyW, err := os.Pipe()
	if err != nil {
		birthW.Close()
		return nil, err
	}
	defer readyW.Close()
	cmd := exec.Command(s.Config.Binary, HostVerb, s.Config.Name+"/"+name)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.ExtraFiles = []*os.File{birthR, readyW, orders}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: flags}
	if err := cmd.Start(); err != nil {
		birthW.Close()
		readyR.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	l.children.Go(func() { _ = cmd.Wait() }) // how it ended is of no interest: it was killed
	c := &child{tell: birthW, ready: readyR}
	c.process, _ = identify(cmd.Process.Pid)
	if c.Pid == 0 {
		return nil, fmt.Errorf("starting %s: it ended at once; see %s", name, log.Name())
	}
	return c, nil
}

func (c *child) close() {
	c.tell.Close()
	c.ready.Close()
}

// bear tells a child what it is, and waits until it is.
func (c *child) bear(ctx context.Context, b birth) error {
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.ready.SetReadDeadline(time.Now()) })
	defer stop()
	if err := json.NewEncoder(c.tell).Encode(b); err != nil {
		return err
	}
	c.tell.Close()
	answer, err := io.ReadAll(io.LimitReader(c.ready, outputMax))
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("it is not ready (it has %v for that): %w", startMax, ctx.Err())
	case err != nil:
		return err
	case string(answer) == readyWord:
		return nil
	case len(answer) == 0:
		return errors.New("it ended while it started")
	}
	return errors.New(string(answer))
}

const readyWord = "ready"

// leaf is the group below a host's in which its own processes are: v2 wants processes
// in leaves only, and services make theirs beside it.
const leaf = "host"

// group makes the host's control group with its limits, and puts the process in the leaf.
func group(s *state, name string, pid int) error {
	m, err := groupOf(s.cgroup(name) + "/" + leaf)
	if err != nil {
		return err
	}
	if err := m.Apply(pid); err != nil {
		return fmt.Errorf("control group %s/%s: %w", s.cgroup(name), leaf, err)
	}
	if name == switchName {
		return nil
	}
	if m, err = groupOf(s.cgroup(name)); err != nil {
		return err
	}
	if err := m.Set(limits(s.spec(name))); err != nil {
		return fmt.Errorf("limits of control group %s: %w", s.cgroup(name), err)
	}
	return nil
}

const cpuPeriodMicros = 100_000

func limits(h Host) *cgroups.Resources {
	r := &cgroups.Resources{SkipDevices: true, Memory: h.MemoryBytes}
	if h.CPUMilli > 0 {
		r.CpuPeriod, r.CpuQuota = cpuPeriodMicros, h.CPUMilli*cpuPeriodMicros/1000
	}
	return r
}

func groupOf(path string) (cgroups.Manager, error) {
	m, err := manager.New(&cgroups.Cgroup{Path: path, Resources: &cgroups.Resources{SkipDevices: true}})
	if err != nil {
		return nil, fmt.Errorf("control group %s: %w", path, err)
	}
	return m, nil
}

// DataPath is where this machine sees a host's DataDir; dir is the lab's.
func DataPath(dir, host string) string { return filepath.Join(dir, "hosts", host, "data") }

func hostDir(s *state, name string) string { return filepath.Join(s.Config.Dir, "hosts", name) }

const ordersName = "orders.sock"

// inDir gives a path to do with what is in a folder whose own path may be too long for
// a socket's address.
func inDir(dir, name string, do func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name))
}

// listen makes the socket for orders on this side, so that it is there before the host is.
func listen(dir string) (f *os.File, err error) {
	_ = os.Remove(filepath.Join(dir, ordersName))
	err = inDir(dir, ordersName, func(path string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		defer l.Close()
		l.SetUnlinkOnClose(false)
		if err := os.Chmod(path, 0o600); err != nil { // whatever the umask: it takes commands for root
			return err
		}
		f, err = l.File()
		return err
	})
	return f, err
}
