package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Phase is how far a lab, or a host of it, is.
type Phase string

const (
	Starting Phase = "starting"
	Running  Phase = "running"
	Frozen   Phase = "frozen"
	Crashed  Phase = "crashed"
	Stopping Phase = "stopping"
)

// state is what LABDIR/state.json says.
type state struct {
	Phase    Phase
	Config   Config
	MadeDirs []string // besides Dir, outermost last
	Switch   process
	Hosts    []hostState
	Cuts     []cut
}

type hostState struct {
	Name    string
	Port    string // of the switch
	Phase   Phase
	Process process
}

// process names one for sure: a PID is used again, but not with the same start time.
type process struct {
	Pid   int
	Start uint64 // clock ticks since boot
}

// String is "agent (pid 7)", or how it ended.
func (s ServiceStatus) String() string {
	if !s.Running {
		return s.Name + " (" + s.Ended + ")"
	}
	return fmt.Sprintf("%s (pid %d)", s.Name, s.Pid)
}

// cut is one way.
type cut struct{ From, To string }

func (s *state) host(name string) (*hostState, error) {
	for i := range s.Hosts {
		if s.Hosts[i].Name == name {
			return &s.Hosts[i], nil
		}
	}
	var all []string
	for _, h := range s.Hosts {
		all = append(all, h.Name)
	}
	return nil, fmt.Errorf("lab %s has no host %q; it has %v", s.Config.Name, name, all)
}

func (s *state) spec(name string) Host {
	return s.Config.Hosts[slices.IndexFunc(s.Config.Hosts, func(h Host) bool { return h.Name == name })]
}

func (s *state) cgroup(host string) string { return "/seatrial/" + s.Config.Name + "/" + host }

// Cgroup is the control group of a host, below which its services may make theirs, of
// any name but "host".
func Cgroup(lab, host string) string { return "/seatrial/" + lab + "/" + host }

func (s *state) save() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(s.Config.Dir, "state.json")
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return fmt.Errorf("lab: recording its state: %w", err)
	}
	return os.Rename(file+".new", file)
}

// load answers nil if there is no lab.
func load(dir string) (*state, error) {
	file := filepath.Join(dir, "state.json")
	if i, err := os.Stat(file); err == nil && i.Size() > stateBytesMax {
		return nil, fmt.Errorf("lab: %s has %d bytes, more than any lab's state", file, i.Size())
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("lab: %s is not a lab's state: %w", file, err)
	}
	return &s, nil
}

// lock is held for each operation.
func lock(ctx context.Context, dir string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockMax)
	defer cancel()
	for {
		f, err := tryLock(filepath.Join(dir, "lock"))
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lab: another command is at work on %s: %w", dir, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

const lockPause = 10 * time.Millisecond

// tryLock answers nil if another holds the lock, or has just removed the file with it.
func tryLock(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		mine, e1 := f.Stat()
		there, e2 := os.Stat(file)
		if e1 == nil && e2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
	}
	f.Close()
	if err == nil || errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return nil, nil
	}
	return nil, fmt.Errorf("lab: locking %s: %w", file, err)
}

// makeDir makes a folder and answers those that were not there, innermost first.
func makeDir(dir string) (made []string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil {
			break
		}
		made = append(made, d)
	}
	return made, os.MkdirAll(dir, 0o755)
}
