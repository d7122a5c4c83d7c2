package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"seatrial.dev/seatrial/live/runtime/cgroup"
	"seatrial.dev/seatrial/live/tree"
)

// Lab is one that is up, in whatever process it was made. Its methods may be called
// from any goroutine and wait for each other.
type Lab struct {
	dir      string
	children sync.WaitGroup // that this process has started
}

// Up makes a lab and starts its hosts and their services. When it fails, or ctx ends,
// it takes down what it has made.
func Up(ctx context.Context, config Config) (*Lab, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	l := &Lab{dir: config.Dir}
	made, err := makeDir(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	if err := config.makeShared(); err != nil {
		forget(&config, made)
		return nil, err
	}
	if err := config.preflight(); err != nil {
		forget(&config, made)
		return nil, err
	}
	held, err := lock(ctx, l.dir)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	s, err := begin(config, made)
	if err != nil {
		forget(&config, made)
		return nil, err
	}
	if err := l.up(ctx, s); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopMax)
		defer cancel()
		return nil, fmt.Errorf("lab %s: %w", config.Name, errors.Join(err, l.down(undo, s)))
	}
	return l, nil
}

// forget removes what Up has made before it was refused, if no lab is there.
func forget(c *Config, made []string) {
	if _, err := os.Stat(filepath.Join(c.Dir, "state.json")); err == nil {
		return
	}
	_ = os.Remove(filepath.Join(c.Dir, "lock"))
	for _, name := range c.Shared {
		_ = os.Remove(filepath.Join(c.Dir, name))
	}
	for _, d := range made {
		_ = os.Remove(d)
	}
}

// Refuse is the error of making a lab where this one is.
func (l *Lab) Refuse() error {
	s, err := load(l.dir)
	if err != nil || s == nil {
		return err
	}
	return inTheWay(s)
}

func inTheWay(s *state) error {
	return fmt.Errorf("lab %s is up in %s already, or was not taken down: look at it by seatrial lab status%s, or take it away by seatrial lab down%[3]s", s.Config.Name, s.Config.Dir, flagOf(s.Config.Dir))
}

// begin refuses what is there already, and records what will be.
func begin(c Config, made []string) (*state, error) {
	if s, err := load(c.Dir); err != nil {
		return nil, err
	} else if s != nil {
		return nil, inTheWay(s)
	}
	if _, err := netlink.LinkByName(linkName(c.Name)); err == nil {
		return nil, fmt.Errorf("a lab named %s is up already, in another folder than %s (device %s is there): take it down, or choose another --name", c.Name, c.Dir, linkName(c.Name))
	}
	below, err := cgroup.Below("/seatrial/" + c.Name)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	if len(below) > 0 {
		return nil, fmt.Errorf("control group /seatrial/%s is there already, with %v: take down the lab of that name, or choose another --name", c.Name, below)
	}
	if err := c.routesFree(); err != nil {
		return nil, err
	}
	dataMade, err := makeDir(DataDir) // hosts have their data mounted there
	if err != nil {
		return nil, err
	}
	s := &state{Phase: Starting, Config: c, MadeDirs: append(made, dataMade...)}
	for i, h := range c.Hosts {
		s.Hosts = append(s.Hosts, hostState{Name: h.Name, Port: fmt.Sprintf("p%d", i), Phase: Starting})
	}
	return s, s.save()
}

func (l *Lab) up(ctx context.Context, s *state) error {
	sw, err := l.spawn(s, switchName, cloneSwitch)
	if err != nil {
		return err
	}
	defer sw.close()
	if err := group(s, switchName, sw.Pid); err != nil {
		return err
	}
	s.Switch = sw.process
	if err := s.save(); err != nil {
		return err
	}
	if err := wireSwitch(s); err != nil {
		return fmt.Errorf("the switch: %w", err)
	}
	if err := sw.bear(ctx, birth{Switch: true}); err != nil {
		return fmt.Errorf("the switch: %w", err)
	}
	for i := range s.Hosts {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := l.start(ctx, s, &s.Hosts[i]); err != nil {
			return fmt.Errorf("host %s: %w", s.Hosts[i].Name, err)
		}
	}
	s.Phase = Running
	return s.save()
}

// Open finds the lab of a folder.
func Open(dir string) (*Lab, error) {
	if dir == "" {
		dir = DefaultDir
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s, err := load(dir)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, missing(dir)
	}
	return &Lab{dir: dir}, nil
}

// missing says that a folder has no lab, and which labs there are.
func missing(dir string) error {
	text := fmt.Sprintf("no lab is up in %s; seatrial lab up%s makes one", dir, flagOf(dir))
	var up []string
	links, _ := netlink.LinkList() // without it the error says less
	for _, l := range links {
		if name, ok := strings.CutPrefix(l.Attrs().Name, linkName("")); ok {
			up = append(up, name)
		}
	}
	if len(up) > 0 {
		text += fmt.Sprintf(" (up in other folders, which --dir names: %s)", strings.Join(up, ", "))
	}
	return errors.New(text)
}

// flagOf is the flag that names a lab's folder, if it has to be named.
func flagOf(dir string) string {
	if dir == DefaultDir {
		return ""
	}
	return " --dir " + dir
}

// with does an operation under the lock, with the state as it is now.
func (l *Lab) with(ctx context.Context, do func(*state) error) error {
	if _, err := os.Stat(l.dir); err != nil {
		return missing(l.dir)
	}
	held, err := lock(ctx, l.dir)
	if err != nil {
		return err
	}
	defer held.Close()
	s, err := load(l.dir)
	if err != nil {
		return err
	}
	if s == nil {
		return missing(l.dir)
	}
	return do(s)
}

// Status is how a lab is.
type Status struct {
	Name   string
	Dir    string
	Phase  Phase
	Subnet netip.Prefix
	Hosts  []HostStatus
	Cuts   []string // like "node-0 -> server-0"
}

// HostStatus is how a host is. Services are unknown while it is frozen or dead.
type HostStatus struct {
	Name     string
	Addr     netip.Addr
	Phase    Phase
	Services []ServiceStatus
	Problem  string
}

// ServiceStatus is how a service is.
type ServiceStatus struct {
	Name    string
	Running bool
	Pid     int // within the host
	Starts  int
	Ended   string // how it last did
}

// Status asks all hosts.
func (l *Lab) Status(ctx context.Context) (Status, error) {
	var out Status
	err := l.with(ctx, func(s *state) error {
		out = Status{Name: s.Config.Name, Dir: s.Config.Dir, Phase: s.Phase, Subnet: s.Config.Subnet}
		for _, h := range s.Hosts {
			out.Hosts = append(out.Hosts, hostStatus(ctx, s, h))
		}
		for _, c := range s.Cuts {
			out.Cuts = append(out.Cuts, c.From+" -> "+c.To)
		}
		return nil
	})
	return out, err
}

func hostStatus(ctx context.Context, s *state, h hostState) HostStatus {
	out := HostStatus{Name: h.Name, Addr: s.spec(h.Name).Addr, Phase: h.Phase}
	if h.Phase == Running && !h.Process.alive() {
		out.Phase, out.Problem = Crashed, "its first process has ended; seatrial lab restart "+h.Name
	}
	if out.Phase != Running {
		return out
	}
	a, err := ask(ctx, s, h.Name, order{Op: opStatus})
	if err != nil {
		out.Problem = err.Error()
	}
	out.Services = a.Services
	return out
}

// Cut lets nothing pass from any host of the one group to any of the other; both ways,
// unless oneWay. A host of both is not cut from itself.
func (l *Lab) Cut(ctx context.Context, from, to []string, oneWay bool) error {
	return l.cuts(ctx, from, to, oneWay, func(s *state, c cut) {
		if !slices.Contains(s.Cuts, c) {
			s.Cuts = append(s.Cuts, c)
		}
	})
}

// Heal undoes such cuts; what was not cut is no error.
func (l *Lab) Heal(ctx context.Context, from, to []string, oneWay bool) error {
	return l.cuts(ctx, from, to, oneWay, func(s *state, c cut) {
		s.Cuts = slices.DeleteFunc(s.Cuts, func(o cut) bool { return o == c })
	})
}

func (l *Lab) cuts(ctx context.Context, from, to []string, oneWay bool, change func(*state, cut)) error {
	return l.with(ctx, func(s *state) error {
		for _, a := range from {
			for _, b := range to {
				if _, err := s.host(a); err != nil {
					return err
				}
				if _, err := s.host(b); err != nil {
					return err
				}
				if a == b {
					continue
				}
				change(s, cut{a, b})
				if !oneWay {
					change(s, cut{b, a})
				}
			}
		}
		slices.SortFunc(s.Cuts, func(a, b cut) int {
			return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
		})
		if err := s.save(); err != nil {
			return err
		}
		return applyCuts(s)
	})
}

// Down kills all hosts and removes everything of the lab, its folder too. It may be
// called again after it has failed.
func (l *Lab) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopMax)
	defer cancel()
	return l.with(ctx, func(s *state) error { return l.down(ctx, s) })
}

func (l *Lab) down(ctx context.Context, s *state) error {
	s.Phase = Stopping
	if err := s.save(); err != nil {
		return err
	}
	// All at once: what is not recorded yet is in the group, or ends by itself.
	if err := cgroup.Kill("/seatrial/" + s.Config.Name); err != nil {
		return err
	}
	var errs []error
	for _, h := range s.Hosts {
		errs = append(errs, h.Process.kill(ctx))
	}
	errs = append(errs, s.Switch.kill(ctx))
	if _, err := cgroup.Remove(ctx, "/seatrial/"+s.Config.Name); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, unlink(ctx, linkName(s.Config.Name)))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("taking down lab %s: %w; try again: seatrial lab down%s", s.Config.Name, err, flagOf(s.Config.Dir))
	}
	l.children.Wait()
	_ = removeParent() // other labs may be there
	return removeDirs(s)
}

// unlink deletes this machine's cable; the kernel does so a moment after the switch.
func unlink(ctx context.Context, name string) error {
	for {
		link, err := netlink.LinkByName(name)
		if isMissing(err) {
			return nil
		}
		if err == nil {
			err = netlink.LinkDel(link)
		}
		if err != nil && ctx.Err() != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollPause / 10):
		}
	}
}

// removeParent removes /seatrial from the hierarchies if nobody else uses it.
func removeParent() error {
	roots, err := cgroup.Hierarchies()
	for _, root := range roots {
		_ = os.Remove(filepath.Join(root, "seatrial"))
	}
	return err
}

func removeDirs(s *state) error {
	dir := s.Config.Dir
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && (f[4] == dir || strings.HasPrefix(f[4], dir+"/")) {
			return fmt.Errorf("lab %s: %s is mounted, so that its folder cannot be removed: umount it, then seatrial lab down%s", s.Config.Name, f[4], flagOf(dir))
		}
	}
	// The state goes last, so that Down can be tried again.
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() == "state.json" {
			continue
		}
		if err := tree.Remove(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("lab %s: %w", s.Config.Name, err)
		}
	}
	if err := tree.Remove(dir); err != nil {
		return err
	}
	for _, d := range s.MadeDirs {
		_ = os.Remove(d) // unless something else is there by now
	}
	return nil
}
