package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"golang.org/x/sys/unix"

	"seatrial.dev/seatrial/live/runtime"
	"seatrial.dev/seatrial/live/runtime/cgroup"
	"seatrial.dev/seatrial/live/runtime/wire"
)

const (
	stopMax    = 10 * time.Second // for killed processes to be gone
	watchQueue = 2 * runtime.ContainersMax
)

// none is the body of an answer that has none.
type none struct{}

// shim is the state of one pod. Fields below mu are guarded by it; a run's own
// fields say otherwise where they are.
type shim struct {
	dir, cgroupRoot string
	listener        *net.UnixListener
	stopped         atomic.Bool
	paused          chan struct{} // closed when the pause process has ended

	mu       sync.Mutex
	pod      runtime.Pod // without containers
	pause    *exec.Cmd
	runs     map[string]*run // by ID.Local
	watchers map[chan runtime.Exit]bool
	sessions int
	stopping bool
}

// cgroupPath is the pod's group.
func (s *shim) cgroupPath() string {
	return filepath.Join(s.cgroupRoot, s.pod.Spec.QoS, "pod"+s.pod.Spec.Pod)
}

func (s *shim) path(name string) string { return filepath.Join(s.dir, name) }

func (s *shim) makeSandbox(spec runtime.SandboxSpec) (runtime.Pod, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pause != nil {
		return runtime.Pod{}, &runtime.Error{Kind: runtime.KindExists, Text: "the sandbox is there already"}
	}
	if err := spec.Validate(); err != nil {
		return runtime.Pod{}, err
	}
	if filepath.Base(s.dir) != spec.Pod {
		return runtime.Pod{}, &runtime.Error{Kind: runtime.KindInvalid, Text: fmt.Sprintf("pod %s in the folder of %s", spec.Pod, filepath.Base(s.dir))}
	}
	s.pod = runtime.Pod{Spec: spec, ShimPID: os.Getpid(), Started: time.Now().UTC()}
	if err := s.setUp(); err != nil {
		s.tearDown()
		return runtime.Pod{}, err
	}
	s.pod.PausePID, s.pod.Ready = s.pause.Process.Pid, true
	if err := writeJSON(s.path(wire.FileSandbox), s.pod, false); err != nil {
		s.tearDown()
		return runtime.Pod{}, err
	}
	return s.pod, nil
}

func (s *shim) setUp() (err error) {
	for _, dir := range []string{wire.DirPause, wire.DirHeld, wire.DirRuns, wire.DirRuntime} {
		if err := os.Mkdir(s.path(dir), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	spec := &s.pod.Spec
	if spec.QoS != "" && spec.QoSResources != (runtime.Resources{}) {
		if err := s.setQoS(); err != nil {
			return err
		}
	}
	if err := setGroup(s.cgroupPath(), spec.Resources); err != nil {
		return err
	}
	if !spec.HostIPC {
		if err := s.mountShm(); err != nil {
			return err
		}
	}
	if s.pause, err = startPause(spec, s.path(wire.DirPause)); err != nil {
		return err
	}
	go s.guardPause()
	return setSysctls(spec, s.pause.Process.Pid)
}

// setQoS sets what the pods of a class have together. Pods that start at once have shims
// of their own, and what one writes the other would read back: they take turns.
func (s *shim) setQoS() error {
	turn, err := os.Open(filepath.Dir(s.dir))
	if err != nil {
		return err
	}
	defer turn.Close()
	if err := unix.Flock(int(turn.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", turn.Name(), err)
	}
	return setGroup(filepath.Dir(s.cgroupPath()), s.pod.Spec.QoSResources)
}

// setGroup makes a group, if there is none, and sets its limits.
func setGroup(path string, r runtime.Resources) error {
	m, err := manager.New(&cgroups.Cgroup{Path: path, Resources: resources(r)})
	if err == nil {
		err = m.Apply(-1)
	}
	if err == nil {
		err = m.Set(resources(r))
	}
	if err != nil {
		return fmt.Errorf("control group %s: %w", path, err)
	}
	return nil
}

// mountShm makes the /dev/shm that the containers share; its user is the pod.
func (s *shim) mountShm() error {
	dir := s.path(wire.DirShm)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	size := s.pod.Spec.ShmBytes
	if size == 0 {
		size = runtime.ShmBytes
	}
	err := unix.Mount("shm", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, fmt.Sprintf("mode=1777,size=%d", size))
	if err != nil {
		return fmt.Errorf("mounting /dev/shm of the pod: %w", err)
	}
	return nil
}

// tearDown undoes what setUp has done, as far as it came.
func (s *shim) tearDown() {
	ctx, cancel := context.WithTimeout(context.Background(), stopMax)
	defer cancel()
	s.stopping = true
	if s.pause != nil {
		_ = s.pause.Process.Kill()
		<-s.paused
	}
	if err := unix.Unmount(s.path(wire.DirShm), unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		fmt.Fprintln(os.Stderr, "unmounting /dev/shm of the pod:", err)
	}
	if _, err := cgroup.Remove(ctx, s.cgroupPath()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// guardPause tells the world when the pod's namespaces have lost their holder.
func (s *shim) guardPause() {
	_ = s.pause.Wait()
	close(s.paused)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pod.Ready = false
	if !s.stopping {
		s.tell(runtime.Exit{ID: runtime.ID{Pod: s.pod.Spec.Pod}, Code: 128 + int(unix.SIGKILL), Lost: true, Started: s.pod.Started, Finished: time.Now().UTC()})
	}
}

// tell gives an exit to all watchers; one that does not keep up is cut off, and
// will see all when it comes again. mu is held.
func (s *shim) tell(e runtime.Exit) {
	for w := range s.watchers {
		select {
		case w <- e:
		default:
			delete(s.watchers, w)
			close(w)
		}
	}
}

// watch sends the state of the pod, and then each exit.
func (s *shim) watch(conn *wire.Conn) {
	queue := make(chan runtime.Exit, watchQueue)
	s.mu.Lock()
	pod := s.snapshot()
	s.watchers[queue] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.watchers, queue)
		s.mu.Unlock()
	}()
	if conn.Send(reply(pod, nil)) != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = conn.Receive(&none{}) // nothing comes: only the end
	}()
	for {
		select {
		case e, ok := <-queue:
			if !ok || conn.Send(reply(e, nil)) != nil {
				return
			}
		case <-gone:
			return
		}
	}
}

// snapshot is the pod with its containers; mu is held.
func (s *shim) snapshot() runtime.Pod {
	pod := s.pod
	for _, r := range s.runs {
		pod.Containers = append(pod.Containers, r.status)
	}
	slices.SortFunc(pod.Containers, func(a, b runtime.Container) int {
		if c := strings.Compare(a.ID.Name, b.ID.Name); c != 0 {
			return c
		}
		return a.ID.Run - b.ID.Run
	})
	return pod
}

// stop ends all containers at once and undoes the sandbox.
func (s *shim) stop() error {
	s.mu.Lock()
	s.stopping = true
	runs := slices.Collect(maps.Values(s.runs))
	made := s.pause != nil
	s.mu.Unlock()
	if !made {
		return nil
	}
	deadline := time.After(stopMax)
	for _, r := range runs {
		r.killAll()
	}
	if err := cgroup.Kill(s.cgroupPath()); err != nil {
		return err
	}
	for _, r := range runs {
		select {
		case <-r.done:
		case <-deadline:
			return &runtime.Error{Kind: runtime.KindHost, Text: fmt.Sprintf("container %s does not end %s after SIGKILL", r.spec.ID, stopMax)}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tearDown()
	return nil
}

// resources turns limits into those of the cgroup library. No device rules: the
// groups of containers have their own.
func resources(r runtime.Resources) *cgroups.Resources {
	out := &cgroups.Resources{
		SkipDevices: true,
		CpuShares:   r.CPUShares,
		CpuQuota:    r.CPUQuotaMicros,
		CpuPeriod:   r.CPUPeriodMicros,
		Memory:      r.MemoryBytes,
	}
	if r.CPUQuotaMicros > 0 && r.CPUPeriodMicros == 0 {
		out.CpuPeriod = 100_000
	}
	if cgroups.IsCgroup2UnifiedMode() && r.CPUShares > 0 {
		out.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(r.CPUShares)
	}
	if r.MemoryBytes > 0 && swapLimited() {
		out.MemorySwap = r.MemoryBytes
	}
	if r.PIDs > 0 {
		out.PidsLimit = &r.PIDs
	}
	return out
}

// swapLimited says whether this kernel can limit swap of a group.
func swapLimited() bool {
	if cgroups.IsCgroup2UnifiedMode() {
		return true
	}
	m, err := cgroups.FindCgroupMountpoint("", "memory")
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(m, "memory.memsw.limit_in_bytes"))
	return err == nil
}

// writeJSON replaces a file; with sync it is on disk, under its name, before it
// returns.
func writeJSON(path string, value any, sync bool) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil || !sync {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
