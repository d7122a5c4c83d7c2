package runtime_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime"
)

// times reports the median and the 90th percentile.
type times []time.Duration

func (l *times) since(began time.Time) { *l = append(*l, time.Since(began)) }

func (l times) report(b *testing.B, name string) {
	slices.Sort(l)
	b.ReportMetric(float64(l[len(l)/2].Microseconds())/1000, name+"-p50-ms")
	b.ReportMetric(float64(l[len(l)*9/10].Microseconds())/1000, name+"-p90-ms")
}

// BenchmarkContainer is one container in a pod that is there: start, exec, end.
func BenchmarkContainer(b *testing.B) {
	h := newHost(b)
	pod := h.sandbox()
	var start, exec, end times
	for i := 0; b.Loop(); i++ {
		spec := h.spec(pod, "app", "exec sleep 1000")
		spec.ID.Run = i
		began := time.Now()
		id := h.start(spec)
		start.since(began)

		began = time.Now()
		code, err := h.client.Exec(h.ctx(), runtime.ExecSpec{ID: id, Args: []string{"true"}}, runtime.Streams{})
		require.NoError(b, err)
		require.Zero(b, code)
		exec.since(began)

		began = time.Now()
		h.kill(id, syscall.SIGKILL, 0)
		h.wait(id)
		end.since(began)
		require.NoError(b, h.client.Remove(h.ctx(), id))
	}
	start.report(b, "start")
	exec.report(b, "exec")
	end.report(b, "kill")
}

// BenchmarkPod is a pod with two containers started at once, and its end.
func BenchmarkPod(b *testing.B) {
	h := newHost(b)
	netns := h.netns("bench")
	var sandbox, whole, stop times
	for b.Loop() {
		began := time.Now()
		pod := h.sandbox(func(s *runtime.SandboxSpec) { s.NetnsPath, s.Hostname = netns, "bench" })
		sandbox.since(began)
		var both sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			both.Go(func() {
				_, errs[i] = h.client.StartContainer(h.ctx(), h.spec(pod, fmt.Sprintf("app-%d", i), "exec sleep 1000"))
			})
		}
		both.Wait()
		whole.since(began)
		require.NoError(b, errs[0])
		require.NoError(b, errs[1])
		began = time.Now()
		require.NoError(b, h.client.StopSandbox(h.ctx(), pod))
		stop.since(began)
	}
	sandbox.report(b, "sandbox")
	whole.report(b, "pod")
	stop.report(b, "stop")
}

// BenchmarkMemory is what a shim and a pause process of an idle pod with one
// container cost.
func BenchmarkMemory(b *testing.B) {
	h := newHost(b)
	var list []string
	for b.Loop() {
		pod := h.sandbox()
		h.start(h.spec(pod, "app", "exec sleep 1000"))
		list = append(list, pod)
	}
	var shim, pause float64
	for _, name := range list {
		pod, err := h.client.Get(h.ctx(), name)
		require.NoError(b, err)
		shim += pssKiB(b, pod.ShimPID)
		pause += pssKiB(b, pod.PausePID)
	}
	b.ReportMetric(shim/float64(len(list)), "shim-pss-KiB")
	b.ReportMetric(pause/float64(len(list)), "pause-pss-KiB")
}

func pssKiB(b *testing.B, pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	require.NoError(b, err)
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			var kib float64
			_, err := fmt.Sscan(rest, &kib)
			require.NoError(b, err)
			return kib
		}
	}
	b.Fatal("no Pss")
	return 0
}

// BenchmarkFullNode is 110 pods of one container, 8 begun at a time, and their end.
func BenchmarkFullNode(b *testing.B) {
	const pods, atOnce = 110, 8
	h := newHost(b)
	var start, purge times
	for round := 0; b.Loop(); round++ {
		began := time.Now()
		each(pods, atOnce, func(i int) error {
			pod := fmt.Sprintf("pod-%d-%d", round, i)
			_, err := h.client.MakeSandbox(h.ctx(), runtime.SandboxSpec{Pod: pod, QoS: "burstable"})
			if err == nil {
				_, err = h.client.StartContainer(h.ctx(), h.spec(pod, "app", "exec sleep 1000"))
			}
			return err
		}, b)
		start.since(began)
		began = time.Now()
		each(pods, atOnce, func(i int) error { return h.client.StopSandbox(h.ctx(), fmt.Sprintf("pod-%d-%d", round, i)) }, b)
		purge.since(began)
	}
	start.report(b, "110-pods")
	purge.report(b, "110-stops")
}

func each(n, atOnce int, do func(int) error, b *testing.B) {
	var wait sync.WaitGroup
	free := make(chan struct{}, atOnce)
	errs := make([]error, n)
	for i := range n {
		free <- struct{}{}
		wait.Go(func() {
			errs[i] = do(i)
			<-free
		})
	}
	wait.Wait()
	for _, err := range errs {
		require.NoError(b, err)
	}
}
