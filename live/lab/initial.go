package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The files that spawn hands over.
const (
	fdBirth = 3 + iota
	fdReady
	fdOrders
)

const (
	hostLog      = "host"
	restartPause = time.Second
	killPause    = 5 * time.Second // between SIGTERM and SIGKILL
	outputPause  = time.Second     // for output after a command's end
	searchPath   = BinDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Main is the program under HostVerb: the first process of a host, or the switch. It
// answers the exit status; its log is that of the host.
func Main() int {
	if err := begins(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func begins() error {
	for fd, kind := range map[int]uint32{fdBirth: unix.S_IFIFO, fdReady: unix.S_IFIFO, fdOrders: unix.S_IFSOCK} {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != kind {
			return errors.New("this verb is for the lab to start its hosts with: see seatrial lab up")
		}
		unix.CloseOnExec(fd)
	}
	var b birth
	in, out, orders := os.NewFile(fdBirth, "birth"), os.NewFile(fdReady, "ready"), os.NewFile(fdOrders, "orders")
	if err := json.NewDecoder(in).Decode(&b); err != nil {
		return fmt.Errorf("the lab ended before this host was made: %w", err)
	}
	in.Close()
	l, err := net.FileListener(orders)
	if err != nil {
		return err
	}
	orders.Close()
	i := &initial{services: map[string]*service{}, waits: map[int]chan syscall.WaitStatus{}}
	if !b.Switch {
		err = i.live(b)
	}
	said := readyWord
	if err != nil {
		said = err.Error()
	}
	_, _ = io.WriteString(out, said)
	out.Close()
	if err != nil {
		return err
	}
	return i.serve(l)
}

// initial is process 1 of a host.
type initial struct {
	logs *os.Root

	mu       sync.Mutex
	order    []string
	services map[string]*service
	waits    map[int]chan syscall.WaitStatus
}

type service struct {
	Service
	pid    int // 0: down
	starts int
	ended  string
	down   bool // by order
	done   chan struct{}
}

func (i *initial) live(b birth) (err error) {
	if err := unix.Sethostname([]byte(b.Hostname)); err != nil {
		return fmt.Errorf("hostname: %w", err)
	}
	if i.logs, err = os.OpenRoot(b.Logs); err != nil {
		return err
	}
	if err := mounts(b); err != nil {
		return err
	}
	if err := os.Setenv("PATH", searchPath); err != nil {
		return err
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			i.reap()
		}
	}()
	for _, s := range b.Services {
		if err := i.add(s); err != nil {
			return err
		}
	}
	return nil
}

// add starts a service that the host did not have.
func (i *initial) add(s Service) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.services[s.Name] != nil {
		return fmt.Errorf("service %s is there already", s.Name)
	}
	i.order = append(i.order, s.Name)
	i.services[s.Name] = &service{Service: s}
	return i.start(i.services[s.Name])
}

// reap takes in all that have ended: services, and orphans of theirs.
func (i *initial) reap() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 {
			return
		}
		if c := i.waits[pid]; c != nil {
			delete(i.waits, pid)
			c <- w
		}
	}
}

// fork starts a process of which reap will tell. The caller holds mu, so that it cannot
// end unheard.
func (i *initial) fork(argv, env []string, out *os.File) (int, <-chan syscall.WaitStatus, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir: "/", Env: append(os.Environ(), env...),
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("starting %s: %w", path, err)
	}
	c := make(chan syscall.WaitStatus, 1)
	i.waits[pid] = c
	return pid, c, nil
}

func (i *initial) start(s *service) error {
	file := s.Name + ".log"
	if info, err := i.logs.Stat(file); err == nil && info.Size() > logBytesMax {
		_ = i.logs.Rename(file, file+".1")
	}
	log, err := i.logs.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("service %s: %w", s.Name, err)
	}
	defer log.Close()
	pid, end, err := i.fork(s.Argv, s.Env, log)
	if err != nil {
		s.ended = err.Error()
		return fmt.Errorf("service %s: %w", s.Name, err)
	}
	s.pid, s.down, s.done = pid, false, make(chan struct{})
	s.starts++
	go i.watch(s, end)
	return nil
}

// watch waits for a service's end, and starts it again if it should.
func (i *initial) watch(s *service, end <-chan syscall.WaitStatus) {
	w := <-end
	i.mu.Lock()
	s.pid, s.ended = 0, describe(w)
	close(s.done)
	again := s.Restart && !s.down
	i.mu.Unlock()
	fmt.Fprintf(os.Stderr, "service %s ended: %s\n", s.Name, describe(w))
	for again {
		<-time.After(restartPause)
		i.mu.Lock()
		if again = s.pid == 0 && !s.down; again {
			again = i.start(s) != nil
		}
		i.mu.Unlock()
	}
}

func describe(w syscall.WaitStatus) string {
	if w.Signaled() {
		return "killed by " + unix.SignalName(w.Signal())
	}
	return fmt.Sprintf("exit status %d", w.ExitStatus())
}

func (i *initial) status() (out []ServiceStatus) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, name := range i.order {
		s := i.services[name]
		out = append(out, ServiceStatus{Name: name, Running: s.pid != 0, Pid: s.pid, Starts: s.starts, Ended: s.ended})
	}
	return out
}

func (i *initial) change(op, name string) error {
	i.mu.Lock()
	s := i.services[name]
	if s == nil {
		defer i.mu.Unlock()
		return fmt.Errorf("no service is named %q; there are %v", name, i.order)
	}
	if op == opStart {
		defer i.mu.Unlock()
		if s.pid != 0 {
			return fmt.Errorf("service %s runs already", name)
		}
		return i.start(s)
	}
	if s.pid == 0 {
		s.down = true
		defer i.mu.Unlock()
		return fmt.Errorf("service %s does not run: %s", name, s.ended)
	}
	pid, done := s.pid, s.done
	s.down = true
	sig := syscall.SIGKILL
	if op == opStop {
		sig = syscall.SIGTERM
	}
	err := syscall.Kill(pid, sig) // not reaped yet, as mu is held
	i.mu.Unlock()
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	select {
	case <-done:
	case <-time.After(killPause):
		i.mu.Lock()
		if s.pid == pid {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		i.mu.Unlock()
		<-done
	}
	return nil
}

// exec runs a command until it ends or the one who asked for it goes away.
func (i *initial) exec(argv []string, asker net.Conn) (answer, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return answer{}, err
	}
	defer r.Close()
	i.mu.Lock()
	pid, end, err := i.fork(argv, nil, w)
	i.mu.Unlock()
	w.Close()
	if err != nil {
		return answer{}, err
	}
	left := make(chan struct{})
	go func() {
		_, _ = asker.Read(make([]byte, 1))
		close(left)
	}()
	text := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(io.LimitReader(r, outputMax))
		text <- string(data)
		_, _ = io.Copy(io.Discard, r)
	}()
	var status syscall.WaitStatus
	select {
	case status = <-end:
	case <-left:
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		status = <-end
	}
	// Something it has left behind may hold the pipe.
	_ = r.SetReadDeadline(time.Now().Add(outputPause))
	a := answer{Output: <-text, Code: status.ExitStatus()}
	if status.Signaled() {
		a.Code = 128 + int(status.Signal())
	}
	return a, nil
}

// mounts makes the host's own file systems. What they would hide is opened before.
func mounts(b birth) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	binds := append([]Bind{
		{From: b.Data, To: DataDir, Write: true},
		{From: b.Bin, To: BinDir},
		{From: b.Etc, To: "/etc/hosts", Write: true},
	}, b.Binds...)
	var trees []int
	for _, d := range binds {
		fd, err := unix.OpenTree(unix.AT_FDCWD, d.From, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return fmt.Errorf("bind of %s: %w", d.From, err)
		}
		defer unix.Close(fd)
		trees = append(trees, fd)
	}
	for _, m := range []struct{ kind, at, options string }{
		{"proc", "/proc", ""}, {"tmpfs", "/run", "mode=755"}, {"tmpfs", "/tmp", "mode=1777"}, {"tmpfs", "/dev/shm", "mode=1777"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, unix.MS_NOSUID|unix.MS_NODEV, m.options); err != nil {
			return fmt.Errorf("mounting %s: %w", m.at, err)
		}
	}
	for n, d := range binds {
		if err := place(trees[n], d); err != nil {
			return fmt.Errorf("bind of %s to %s: %w", d.From, d.To, err)
		}
	}
	return nil
}

func place(tree int, d Bind) error {
	var st unix.Stat_t
	if err := unix.Fstat(tree, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if err := os.MkdirAll(d.To, 0o755); err != nil {
			return err
		}
	} else if _, err := os.Stat(d.To); err != nil {
		if err := os.MkdirAll(filepath.Dir(d.To), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(d.To, nil, 0o600); err != nil {
			return err
		}
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, d.To, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	if d.Write {
		return nil
	}
	return unix.Mount("", d.To, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}
