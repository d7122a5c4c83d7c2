package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime/cgroup"
	"seatrial.dev/seatrial/live/runtime/wire"
)

// shimWordsMax is how much of its log a shim that failed is quoted with.
const shimWordsMax = 1024

// The lock of a state folder is asked for lockTries times, lockWait apart.
const (
	lockTries = 100
	lockWait  = 10 * time.Millisecond
)

// Config says where a host's containers are.
type Config struct {
	StateDir   string // kept over restarts of the agent, on a local disk; no other agent's
	Binary     string // the program seatrial-runtime
	CgroupRoot string // a control group of this agent alone, like /seatrial/host1
}

func (c *Config) validate() error {
	if err := hostPath("StateDir", c.StateDir); err != nil {
		return err
	}
	if err := hostPath("Binary", c.Binary); err != nil {
		return err
	}
	if err := cgroup.Check(c.CgroupRoot); err != nil {
		return &Error{Kind: KindInvalid, Text: "CgroupRoot: " + err.Error()}
	}
	if err := unix.Access(c.Binary, unix.X_OK); err != nil {
		return &Error{Kind: KindHost, Text: fmt.Sprintf("Binary %q: want the program seatrial-runtime: %v", c.Binary, err)}
	}
	return nil
}

// Client is the agent's side of all pods of a host.
type Client struct {
	config Config
	exits  chan Exit
	closed chan struct{}
	tasks  sync.WaitGroup

	lock *os.File // of the state folder, held until Close

	mu    sync.Mutex
	pods  map[string]*podState
	queue []Exit        // not yet taken from exits
	more  chan struct{} // says that queue has grown
}

// podState is what the client knows of a pod. Guarded by Client.mu.
type podState struct {
	spec     SandboxSpec
	told     map[ID]bool // exits that went to the queue
	conn     *wire.Conn  // of the watch
	alive    bool        // the shim answers
	stopping bool
	gone     chan struct{} // closed when the watch has ended
}

// Open takes over what runs below the state folder: Exits will tell of each end that
// is kept, those while nobody looked included.
func Open(config Config) (*Client, error) {
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("opening the container runtime: %w", err)
	}
	if err := os.MkdirAll(wire.PodsDir(config.StateDir), 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(config.StateDir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(config.StateDir)
	if err != nil {
		return nil, err
	}
	c := &Client{
		config: config, lock: lock, exits: make(chan Exit), closed: make(chan struct{}),
		pods: map[string]*podState{}, more: make(chan struct{}, 1),
	}
	list, err := os.ReadDir(wire.PodsDir(config.StateDir))
	if err != nil {
		lock.Close()
		return nil, err
	}
	c.tasks.Go(c.deliver)
	for _, e := range list {
		if isUID(e.Name()) {
			c.adopt(e.Name())
		}
	}
	return c, nil
}

// Close leaves all as it runs. It is called once.
func (c *Client) Close() {
	c.mu.Lock()
	close(c.closed)
	for _, p := range c.pods {
		if p.conn != nil {
			p.conn.Close()
		}
	}
	c.mu.Unlock()
	c.tasks.Wait()
	c.lock.Close()
}

// lockDir keeps two agents from one folder. An agent that was killed while it started
// a program leaves the lock to the child until that has become the program, so the
// next one waits a little.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, unix.EWOULDBLOCK) || tries == lockTries:
			f.Close()
			return nil, &Error{Kind: KindExists, Text: fmt.Sprintf("state folder %s: another agent uses it: %v", dir, err)}
		}
		time.Sleep(lockWait)
	}
}

// Exits tells each end of a run once, in the order they became known. It is closed
// by Close.
func (c *Client) Exits() <-chan Exit { return c.exits }

// deliver moves exits from the queue to the channel.
func (c *Client) deliver() {
	defer close(c.exits)
	for {
		c.mu.Lock()
		var next []Exit
		next, c.queue = c.queue, nil
		c.mu.Unlock()
		for _, e := range next {
			select {
			case c.exits <- e:
			case <-c.closed:
				return
			}
		}
		if len(next) > 0 {
			continue
		}
		select {
		case <-c.more:
		case <-c.closed:
			return
		}
	}
}

// tell queues an exit; mu is held.
func (c *Client) tell(p *podState, e Exit) {
	if p.told[e.ID] {
		return
	}
	p.told[e.ID] = true
	c.queue = append(c.queue, e)
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// adopt looks at the folder of a pod: it is watched, or lost, or (without a sandbox
// that was ever ready) left to Sweep.
func (c *Client) adopt(pod string) {
	p := &podState{told: map[ID]bool{}, gone: make(chan struct{})}
	kept, err := readPod(c.dir(pod))
	if err != nil {
		return
	}
	p.spec = kept.Spec
	c.mu.Lock()
	c.pods[pod] = p
	c.mu.Unlock()
	if !c.watch(p) {
		c.lose(p)
		close(p.gone)
	}
}

// watch begins to follow a shim's exits; false if it does not answer.
func (c *Client) watch(p *podState) bool {
	conn, first, err := c.subscribe(p.spec.Pod)
	if err != nil {
		return false
	}
	c.mu.Lock()
	p.conn, p.alive = conn, true
	c.tellEnded(p, first)
	select {
	case <-c.closed:
		conn.Close()
	default:
	}
	c.mu.Unlock()
	c.tasks.Go(func() { c.follow(p) })
	return true
}

func (c *Client) subscribe(pod string) (*wire.Conn, Pod, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callMax)
	defer cancel()
	conn, err := wire.Dial(ctx, filepath.Join(c.dir(pod), wire.FileSocket))
	if err != nil {
		return nil, Pod{}, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var first Pod
	err = conn.Send(wire.Request{Op: wire.OpWatch})
	if err == nil {
		err = receive(conn, &first)
	}
	if err != nil {
		conn.Close()
		return nil, Pod{}, err
	}
	return conn, first, nil
}

func (c *Client) tellEnded(p *podState, pod Pod) {
	for _, k := range pod.Containers {
		if k.Exit != nil {
			c.tell(p, *k.Exit)
		}
	}
}

// follow tells exits until the shim or the client ends.
func (c *Client) follow(p *podState) {
	defer close(p.gone)
	for {
		var e Exit
		err := receive(p.conn, &e)
		c.mu.Lock()
		if err == nil {
			c.tell(p, e)
			c.mu.Unlock()
			continue
		}
		p.conn.Close()
		over := p.stopping
		c.mu.Unlock()
		select {
		case <-c.closed:
			return
		default:
		}
		if over {
			return
		}
		// Cut off for being slow, or the shim is dead.
		conn, now, err := c.subscribe(p.spec.Pod)
		if err != nil {
			c.lose(p)
			return
		}
		c.mu.Lock()
		p.conn = conn
		c.tellEnded(p, now)
		c.mu.Unlock()
	}
}

// lose takes note that a shim died: nobody can tell how its containers end, so they
// are killed, and told as lost.
func (c *Client) lose(p *podState) {
	_ = cgroup.Kill(c.podCgroup(&p.spec))
	pod, err := readPod(c.dir(p.spec.Pod))
	c.mu.Lock()
	defer c.mu.Unlock()
	p.alive = false
	if err != nil {
		return
	}
	now := time.Now().UTC()
	for _, k := range pod.Containers {
		if k.Exit == nil {
			k.Exit = &Exit{ID: k.ID, Code: 128 + int(unix.SIGKILL), Signal: int(unix.SIGKILL), Lost: true, Started: k.Started, Finished: now}
		}
		c.tell(p, *k.Exit)
	}
	c.tell(p, Exit{ID: ID{Pod: p.spec.Pod}, Code: 128 + int(unix.SIGKILL), Lost: true, Started: pod.Started, Finished: now})
}

func (c *Client) dir(pod string) string { return wire.PodDir(c.config.StateDir, pod) }

func (c *Client) podCgroup(spec *SandboxSpec) string {
	return filepath.Join(c.config.CgroupRoot, spec.QoS, "pod"+spec.Pod)
}

// MakeSandbox starts a pod's shim, which makes its namespaces and control group.
func (c *Client) MakeSandbox(ctx context.Context, spec SandboxSpec) (Pod, error) {
	if err := spec.Validate(); err != nil {
		return Pod{}, err
	}
	p := &podState{spec: spec, told: map[ID]bool{}, gone: make(chan struct{})}
	c.mu.Lock()
	exists := c.pods[spec.Pod] != nil
	if !exists {
		c.pods[spec.Pod] = p
	}
	c.mu.Unlock()
	if exists {
		return Pod{}, &Error{Kind: KindExists, Text: fmt.Sprintf("pod %s is there already", spec.Pod)}
	}
	pod, err := c.makeSandbox(ctx, p)
	if err != nil {
		c.mu.Lock()
		delete(c.pods, spec.Pod)
		c.mu.Unlock()
		close(p.gone)
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), callMax)
		defer cancel()
		return Pod{}, errors.Join(err, c.clean(clean, spec.Pod))
	}
	return pod, nil
}

func (c *Client) makeSandbox(ctx context.Context, p *podState) (Pod, error) {
	dir := c.dir(p.spec.Pod)
	// What an earlier attempt left is not known to anyone.
	if _, err := os.Lstat(dir); err == nil {
		if err := c.clean(ctx, p.spec.Pod); err != nil {
			return Pod{}, err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return Pod{}, err
	}
	if err := c.startShim(dir); err != nil {
		return Pod{}, fmt.Errorf("starting the shim: %w", err)
	}
	var pod Pod
	if err := c.call(ctx, p.spec.Pod, wire.OpSandbox, p.spec, &pod); err != nil {
		if _, answered := errors.AsType[*Error](err); answered && KindOf(err) != KindGone || ctx.Err() != nil {
			return Pod{}, err
		}
		return Pod{}, c.shimEnded(p.spec.Pod, err)
	}
	if !c.watch(p) {
		return Pod{}, c.shimEnded(p.spec.Pod, nil)
	}
	return pod, nil
}

// shimEnded is the error of a shim that did not answer: its own last words are why, and
// what the connection had to say only if there are none.
func (c *Client) shimEnded(pod string, err error) error {
	text := fmt.Sprintf("the shim of pod %s ended at once", pod)
	log, _ := os.ReadFile(filepath.Join(c.dir(pod), wire.FileLog))
	log = bytes.TrimSpace(log[max(0, len(log)-shimWordsMax):])
	switch {
	case len(log) > 0:
		text += ": " + strings.ReplaceAll(string(log), "\n", "; ")
	case err != nil:
		text += ", and said nothing: " + err.Error()
	}
	return &Error{Kind: KindHost, Text: text}
}

// startShim leaves a process that listens, in a session of its own. While this
// process lives it reaps it; afterwards that falls to init.
func (c *Client) startShim(dir string) error {
	l, err := wire.Listen(filepath.Join(dir, wire.FileSocket))
	if err != nil {
		return err
	}
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	log, err := os.OpenFile(filepath.Join(dir, wire.FileLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := &exec.Cmd{
		Path:        c.config.Binary,
		Args:        []string{"seatrial-runtime", "shim", dir, c.config.CgroupRoot},
		Env:         []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Dir:         "/",
		Stdout:      log,
		Stderr:      log,
		ExtraFiles:  []*os.File{socket},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

// StopSandbox ends a pod at once, containers included, and leaves nothing of it. No
// such pod is no error.
func (c *Client) StopSandbox(ctx context.Context, pod string) error {
	if !isUID(pod) {
		return invalid("pod", pod, "want a UID")
	}
	c.mu.Lock()
	p := c.pods[pod]
	alive := false
	if p != nil {
		p.stopping, alive = true, p.alive
	}
	c.mu.Unlock()
	if p == nil {
		return c.clean(ctx, pod)
	}
	if alive && c.call(ctx, pod, wire.OpStop, nil, nil) == nil {
		select {
		case <-p.gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// The watch may have ended before the last exits went through it.
	if last, err := readPod(c.dir(pod)); err == nil {
		c.mu.Lock()
		c.tellEnded(p, last)
		c.mu.Unlock()
	}
	if err := c.clean(ctx, pod); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.conn != nil {
		p.conn.Close()
	}
	delete(c.pods, pod)
	return nil
}

// List gives all pods there are, by UID.
func (c *Client) List(ctx context.Context) ([]Pod, error) {
	c.mu.Lock()
	var names []string
	for name := range c.pods {
		names = append(names, name)
	}
	c.mu.Unlock()
	slices.Sort(names)
	var out []Pod
	for _, name := range names {
		pod, err := c.Get(ctx, name)
		if KindOf(err) == KindGone {
			continue // stopped meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, pod)
	}
	return out, nil
}

// Get gives one pod.
func (c *Client) Get(ctx context.Context, pod string) (Pod, error) {
	c.mu.Lock()
	p := c.pods[pod]
	alive := p != nil && p.alive
	c.mu.Unlock()
	if p == nil {
		return Pod{}, gone(pod)
	}
	var out Pod
	if alive {
		if err := c.call(ctx, pod, wire.OpWatch, nil, &out); err == nil {
			return out, nil
		}
	}
	out, err := readPod(c.dir(pod))
	if errors.Is(err, fs.ErrNotExist) {
		return Pod{}, gone(pod)
	}
	out.Ready = false
	return out, err
}

func gone(pod string) error {
	return &Error{Kind: KindGone, Text: fmt.Sprintf("pod %s: there is none", pod)}
}

// readPod reads what a shim has written down.
func readPod(dir string) (Pod, error) {
	var pod Pod
	if err := readJSON(filepath.Join(dir, wire.FileSandbox), &pod); err != nil {
		return Pod{}, err
	}
	runs, err := os.ReadDir(filepath.Join(dir, wire.DirRuns))
	if err != nil {
		return Pod{}, err
	}
	for _, e := range runs {
		var k Container
		var exit Exit
		if readJSON(filepath.Join(dir, wire.DirRuns, e.Name(), wire.FileSpec), &k) != nil {
			continue // not begun, or removed meanwhile
		}
		if readJSON(filepath.Join(dir, wire.DirRuns, e.Name(), wire.FileExit), &exit) == nil {
			k.Exit = &exit
		}
		pod.Containers = append(pod.Containers, k)
	}
	return pod, nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
