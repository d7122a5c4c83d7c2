package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime/cgroup"
)

const (
	cloneSwitch = unix.CLONE_NEWNET
	cloneHost   = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC
)

// start makes a host that is not there.
func (l *Lab) start(ctx context.Context, s *state, h *hostState) error {
	c, err := l.spawn(s, h.Name, cloneHost)
	if err != nil {
		return err
	}
	defer c.close()
	if err := group(s, h.Name, c.Pid); err != nil {
		return err
	}
	h.Process, h.Phase = c.process, Starting
	if err := s.save(); err != nil {
		return err
	}
	if err := wireHost(s, h); err != nil {
		return err
	}
	b, err := newBirth(s, h.Name)
	if err != nil {
		return err
	}
	if err := c.bear(ctx, b); err != nil {
		return fmt.Errorf("%w; its log is %s", err, filepath.Join(b.Logs, hostLog+".log"))
	}
	h.Phase = Running
	return s.save()
}

func newBirth(s *state, name string) (birth, error) {
	dir, spec := hostDir(s, name), s.spec(name)
	b := birth{
		Hostname: name, Data: filepath.Join(dir, "data"), Logs: filepath.Join(dir, "log"), Etc: filepath.Join(dir, "hosts"),
		Bin: filepath.Dir(s.Config.Binary), Services: spec.Services, Binds: spec.Binds,
	}
	if err := os.MkdirAll(b.Data, 0o755); err != nil {
		return b, err
	}
	var hosts strings.Builder
	hosts.WriteString("127.0.0.1 localhost\n")
	for _, h := range s.Config.Hosts {
		fmt.Fprintf(&hosts, "%s %s\n", h.Addr, h.Name)
	}
	return b, os.WriteFile(b.Etc, []byte(hosts.String()), 0o644)
}

// on does an operation on one host.
func (l *Lab) on(ctx context.Context, name string, do func(*state, *hostState) error) error {
	return l.with(ctx, func(s *state) error {
		h, err := s.host(name)
		if err != nil {
			return err
		}
		if err := do(s, h); err != nil {
			return fmt.Errorf("host %s: %w", name, err)
		}
		return nil
	})
}

// Crash is a power cut: all of the host's processes are killed at once and its network
// is gone; its data folder stays. It works on a frozen host too.
func (l *Lab) Crash(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, stopMax)
	defer cancel()
	return l.on(ctx, host, func(s *state, h *hostState) error {
		if h.Phase == Crashed {
			return fmt.Errorf("it has crashed already: seatrial lab restart %s", host)
		}
		return crash(ctx, s, h)
	})
}

func crash(ctx context.Context, s *state, h *hostState) error {
	h.Phase = Crashed
	if err := s.save(); err != nil {
		return err
	}
	if err := cgroup.Kill(s.cgroup(h.Name)); err != nil {
		return err
	}
	if err := h.Process.kill(ctx); err != nil {
		return err
	}
	if _, err := cgroup.Remove(ctx, s.cgroup(h.Name)); err != nil {
		return err
	}
	sw, err := spaceOf(s.Switch)
	if err != nil {
		return fmt.Errorf("the switch: %w", err)
	}
	defer sw.close()
	return sw.unplug(h.Port)
}

// Restart starts a host that has crashed, with its data and its services; cuts stay.
func (l *Lab) Restart(ctx context.Context, host string) error {
	return l.on(ctx, host, func(s *state, h *hostState) error {
		if h.Process.alive() {
			return fmt.Errorf("it is %s: crash it first", h.Phase)
		}
		if err := crash(ctx, s, h); err != nil { // sweeps, if it died by itself
			return err
		}
		return l.start(ctx, s, h)
	})
}

// Freeze stops all of the host's processes where they are, containers too.
func (l *Lab) Freeze(ctx context.Context, host string) error {
	return l.freeze(ctx, host, Running, Frozen, cgroups.Frozen)
}

// Thaw lets them go on.
func (l *Lab) Thaw(ctx context.Context, host string) error {
	return l.freeze(ctx, host, Frozen, Running, cgroups.Thawed)
}

func (l *Lab) freeze(ctx context.Context, host string, from, to Phase, how cgroups.FreezerState) error {
	return l.on(ctx, host, func(s *state, h *hostState) error {
		if h.Phase != from {
			return fmt.Errorf("it is %s, not %s", h.Phase, from)
		}
		m, err := groupOf(s.cgroup(host))
		if err != nil {
			return err
		}
		if err := m.Freeze(how); err != nil {
			return fmt.Errorf("%s: %w", how, err)
		}
		h.Phase = to
		return s.save()
	})
}

// AddService gives a host one more service, from now on and after each restart.
func (l *Lab) AddService(ctx context.Context, host string, service Service) error {
	if err := service.validate(); err != nil {
		return err
	}
	return l.on(ctx, host, func(s *state, h *hostState) error {
		if h.Phase != Running {
			return fmt.Errorf("it is %s", h.Phase)
		}
		i := slices.IndexFunc(s.Config.Hosts, func(c Host) bool { return c.Name == host })
		of := &s.Config.Hosts[i]
		if len(of.Services) == servicesMax {
			return fmt.Errorf("it has %d services, which is the most", servicesMax)
		}
		of.Services = append(of.Services, service)
		if err := s.save(); err != nil {
			return err
		}
		_, err := ask(ctx, s, host, order{Op: opAdd, Spec: &service})
		return err
	})
}

// KillService ends the service's process by SIGKILL, and only that one; it stays down.
func (l *Lab) KillService(ctx context.Context, host, service string) error {
	return l.order(ctx, host, order{Op: opKill, Service: service})
}

// StopService ends it by SIGTERM, and by SIGKILL if that does not help; it stays down.
func (l *Lab) StopService(ctx context.Context, host, service string) error {
	return l.order(ctx, host, order{Op: opStop, Service: service})
}

// StartService starts one that is down.
func (l *Lab) StartService(ctx context.Context, host, service string) error {
	return l.order(ctx, host, order{Op: opStart, Service: service})
}

func (l *Lab) order(ctx context.Context, host string, o order) error {
	_, err := l.answer(ctx, host, o)
	return err
}

func (l *Lab) answer(ctx context.Context, host string, o order) (a answer, err error) {
	var s *state
	err = l.on(ctx, host, func(now *state, h *hostState) error {
		if h.Phase != Running {
			return fmt.Errorf("it is %s", h.Phase)
		}
		s = now
		return nil
	})
	if err != nil {
		return a, err
	}
	// Not under the lock: it may take long.
	if a, err = ask(ctx, s, host, o); err != nil {
		return a, fmt.Errorf("host %s: %w", host, err)
	}
	return a, nil
}

// Output is what a command in a host has said (both streams, at most outputMax) and how
// it has ended.
type Output struct {
	Text string
	Code int // 128 + signal if one ended it
}

// Exec runs a command in a host, to its end.
func (l *Lab) Exec(ctx context.Context, host string, argv []string) (Output, error) {
	if len(argv) == 0 {
		return Output{}, fmt.Errorf("host %s: no command to run", host)
	}
	a, err := l.answer(ctx, host, order{Op: opExec, Argv: argv})
	return Output{Text: a.Output, Code: a.Code}, err
}
