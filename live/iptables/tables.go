package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	goiptables "github.com/coreos/go-iptables/iptables"
	"github.com/vishvananda/netns"

	"seatrial.dev/seatrial/nodeagent/proxy"
)

// commandMax is how long one run of an iptables program may take.
const commandMax = 30 * time.Second

// lockSeconds is how long the legacy programs wait for each other.
const lockSeconds = 5

// The backends, in the order in which they are tried.
const (
	NFTables = "nft"
	Legacy   = "legacy"
)

// Config says where rules are to be applied.
type Config struct {
	Netns   string // path of a network namespace; the process's own when empty
	Backend string // NFTables or Legacy; the first that works when empty
	IPv6    bool   // the family, as in proxy.Config
}

// Tables applies rule sets in one network namespace. It is for one goroutine.
type Tables struct {
	config   Config
	program  string // without "-save" and "-restore"
	plan     *plan  // nil: what the kernel has is not known
	restorer *restorer
	// never says that no restorer stays: the legacy program holds a lock for as long as it
	// runs, and some version may not answer.
	never bool
}

// Applied says what one call has done.
type Applied struct {
	Full   bool // everything was written
	Rules  int  // rules written or taken out
	Chains int  // chains written or removed
	Flows  int  // connections forgotten, since their endpoint is gone
}

// Open finds an iptables that works in the namespace. It changes nothing there. Close
// lets go of it.
func Open(ctx context.Context, c Config) (*Tables, error) {
	backends := []string{NFTables, Legacy}
	if c.Backend != "" {
		backends = []string{c.Backend}
	}
	var tried []error
	for _, backend := range backends {
		t := &Tables{config: c, program: "iptables-" + backend}
		t.config.Backend, t.never = backend, backend == Legacy
		if c.IPv6 {
			t.program = "ip6tables-" + backend
		}
		if err := t.probe(ctx); err != nil {
			tried = append(tried, err)
			continue
		}
		return t, nil
	}
	return nil, fmt.Errorf("no iptables works here (the package iptables has both backends): %w", errors.Join(tried...))
}

func (t *Tables) probe(ctx context.Context) error {
	found, err := goiptables.New(goiptables.Path(t.program))
	if err != nil {
		return fmt.Errorf("%s: %w", t.program, err)
	}
	if !found.HasRandomFully() {
		major, minor, patch := found.GetIptablesVersion()
		return fmt.Errorf("%s is version %d.%d.%d, want 1.6.2 or later", t.program, major, minor, patch)
	}
	_, err = t.saved(ctx)
	return err
}

// Close ends what Apply has left running. The rules stay; Apply may be called again.
func (t *Tables) Close() {
	if t.restorer != nil {
		t.restorer.close()
		t.restorer = nil
	}
}

// Backend is the backend in use.
func (t *Tables) Backend() string { return t.config.Backend }

// Apply makes the namespace's rules those of the set. It writes what differs from the
// set applied last; everything, if that is not known or was of another configuration.
// After an error the next Apply writes everything.
func (t *Tables) Apply(ctx context.Context, to *proxy.RuleSet) (Applied, error) {
	if t.plan == nil || !sameConfig(t.plan.rules, to) {
		return t.Resync(ctx, to)
	}
	s := newScript()
	changes := t.plan.update(to, s)
	return t.finish(ctx, Applied{}, s, changes, to)
}

// Resync makes the namespace's rules those of the set, whatever is there: it writes all
// chains and jumps and removes chains that are left over.
func (t *Tables) Resync(ctx context.Context, to *proxy.RuleSet) (Applied, error) {
	if t.config.IPv6 != to.Config.IPv6 {
		return Applied{}, fmt.Errorf("rules of the other family: IPv6 is %t here and %t in the rule set", t.config.IPv6, to.Config.IPv6)
	}
	var old *proxy.RuleSet
	if t.plan != nil {
		old = t.plan.rules
	}
	has, err := t.saved(ctx)
	if err != nil {
		t.plan = nil
		return Applied{}, err
	}
	t.plan = &plan{}
	t.plan.update(to, newScript())
	s := newScript()
	t.plan.full(has, s)
	return t.finish(ctx, Applied{Full: true}, s, proxy.Diff(old, to), to)
}

// finish runs the script, then forgets flows to endpoints that are gone by the changes.
func (t *Tables) finish(ctx context.Context, done Applied, s *script, changes []proxy.Change, to *proxy.RuleSet) (Applied, error) {
	if s.empty() {
		return done, nil
	}
	if err := t.restore(ctx, s.text()); err != nil {
		t.plan = nil
		return Applied{}, err
	}
	done.Rules, done.Chains = s.rules, len(s.declare)
	stale := staleFlows(changes, to)
	if stale == nil {
		return done, nil
	}
	flows, err := stale.forget(t.config)
	done.Flows = flows
	return done, err
}

func sameConfig(old, to *proxy.RuleSet) bool {
	a, b := old.Config, to.Config
	return a.PodCIDR == b.PodCIDR && a.ClusterCIDR == b.ClusterCIDR && a.IPv6 == b.IPv6 &&
		fmt.Sprint(a.Addresses) == fmt.Sprint(b.Addresses)
}

// Check compares the namespace's rules with the set applied last and lists what
// differs, at most driftMax lines. If anything does, the next Apply writes everything.
func (t *Tables) Check(ctx context.Context) ([]string, error) {
	if t.plan == nil {
		return nil, errors.New("no rule set has been applied")
	}
	has, err := t.saved(ctx)
	if err != nil {
		return nil, err
	}
	drift := t.plan.drift(has)
	if len(drift) > 0 {
		t.plan = nil
	}
	return drift, nil
}

// Sweep removes every chain and jump of this package, also those of an earlier process.
func (t *Tables) Sweep(ctx context.Context) error {
	t.plan = nil
	has, err := t.saved(ctx)
	if err != nil {
		return err
	}
	s := newScript()
	if sweep(has, s); s.empty() {
		return nil
	}
	return t.restore(ctx, s.text())
}

func (t *Tables) saved(ctx context.Context) (saved, error) {
	has := saved{}
	for _, table := range []string{filter, nat} {
		out, err := t.run(ctx, nil, t.program+"-save", "-t", table)
		if err != nil {
			return nil, err
		}
		if err := has.read(bytes.NewReader(out)); err != nil {
			return nil, fmt.Errorf("output of %s-save: %w", t.program, err)
		}
	}
	return has, nil
}

func (t *Tables) restore(ctx context.Context, text []byte) error {
	before, err := t.carryOut(ctx, text)
	if err == nil {
		return nil
	}
	if line := lineOf(err.Error(), before, text); line != "" {
		return fmt.Errorf("%w: the line is %q", err, line)
	}
	return err
}

// carryOut runs a script, and says how many lines the program had read before it.
func (t *Tables) carryOut(ctx context.Context, text []byte) (before int, err error) {
	name := t.program + "-restore"
	if t.restorer != nil && !t.restorer.alive() {
		t.Close()
	}
	if t.restorer == nil && !t.never {
		if t.restorer, err = startRestorer(ctx, t.config.Netns, name); err != nil {
			t.never = ctx.Err() == nil
		}
	}
	if t.restorer == nil {
		args := []string{"--noflush"}
		if t.config.Backend == Legacy {
			args = append(args, "-w", strconv.Itoa(lockSeconds))
		}
		_, err := t.run(ctx, text, name, args...)
		return 0, err
	}
	r := t.restorer
	before = r.read
	if err := r.restore(ctx, text); err != nil {
		t.restorer = nil
		return before, err
	}
	if r.read >= restorerLinesMax {
		t.restorer = nil
		go r.close() // the kernel takes a while for what the script has replaced
	}
	return before, nil
}

var lineFailed = regexp.MustCompile(`(?i)line:? (\d+)`)

// lineOf is the line of a script that a message names; empty if it names none. A program
// that has read more counts from there.
func lineOf(message string, before int, text []byte) string {
	m := lineFailed.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	n, _ := strconv.Atoi(m[1])
	n -= before
	lines := bytes.Split(text, []byte("\n"))
	if n < 1 || n > len(lines) {
		return ""
	}
	return string(lines[n-1])
}

// run runs a program in the namespace and returns what it prints.
func (t *Tables) run(ctx context.Context, input []byte, name string, args ...string) (out []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandMax)
	defer cancel()
	err = inNetns(t.config.Netns, func() error {
		var problem bytes.Buffer
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &problem
		if out, err = cmd.Output(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(problem.String()))
		}
		return nil
	})
	return out, err
}

// inNetns calls do on a thread that is in the network namespace. A thread that cannot
// go back ends with its goroutine.
func inNetns(path string, do func() error) error {
	if path == "" {
		return do()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		back, err := enter(path)
		if err != nil {
			done <- err
			return
		}
		err = do()
		if back() == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

func enter(path string) (back func() error, err error) {
	home, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("own network namespace: %w", err)
	}
	there, err := netns.GetFromPath(path)
	if err != nil {
		home.Close()
		return nil, fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		home.Close()
		return nil, fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return func() error {
		defer home.Close()
		return netns.Set(home)
	}, nil
}
