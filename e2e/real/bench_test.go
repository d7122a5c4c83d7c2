package real

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/apitest"
	"seatrial.dev/seatrial/live/client"
)

// BenchmarkUp is a lab of three nodes from the command to its end, all nodes ready, and
// its end.
func BenchmarkUp(b *testing.B) {
	need(b)
	var up, down []time.Duration
	for b.Loop() {
		p := newPlace(b)
		began := time.Now()
		r := call(b, "", built.seatrial, p.upArgs(3)...)
		require.Zero(b, r.code, "%s", r)
		up = append(up, time.Since(began))
		began = time.Now()
		r = call(b, "", built.seatrial, "lab", "down", "--dir", p.dir)
		require.Zero(b, r.code, "%s", r)
		down = append(down, time.Since(began))
	}
	report(b, up, 50, "up-ms")
	report(b, down, 50, "down-ms")
	b.ReportMetric(0, "ns/op")
}

// report tells a percentile in milliseconds.
func report(b *testing.B, took []time.Duration, percent int, unit string) {
	slices.Sort(took)
	b.ReportMetric(float64(took[min(len(took)*percent/100, len(took)-1)].Microseconds())/1000, unit)
}

// pods sees when each pod was bound and when it ran, as one watch tells it.
type pods struct {
	mu             sync.Mutex
	bound, running map[string]time.Time
}

func (c *cluster) watchPods(ctx context.Context, ns string) *pods {
	p := &pods{bound: map[string]time.Time{}, running: map[string]time.Time{}}
	synced := make(chan struct{})
	first := sync.OnceFunc(func() { close(synced) })
	go c.api.Follow(ctx, kinds.Pod, client.Selection{Namespace: ns}, client.Sink{Synced: first, Failed: func(error) {}, Event: func(e store.Event) {
		now := time.Now()
		o, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type == store.Deleted {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, seen := p.bound[o.Name]; !seen && o.Spec.NodeName != "" {
			p.bound[o.Name] = now
		}
		if _, seen := p.running[o.Name]; !seen && o.Status.Phase == corev1.PodRunning {
			p.running[o.Name] = now
		}
	}})
	<-synced
	return p
}

func (p *pods) untilRunning(t testing.TB, n int) {
	until(t, 2*time.Minute, "all pods run", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.running) < n {
			return fmt.Errorf("%d of %d", len(p.running), n)
		}
		return nil
	})
}

func (p *pods) took() (out []time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, at := range p.running {
		out = append(out, at.Sub(p.bound[name]))
	}
	return out
}

// makePod makes one with the volume that gives it a token.
func (c *cluster) makePod(ns, name string) {
	soon, span := int64(1), int64(3607)
	const volume = "kube-api-access"
	_, err := c.api.Do(c.t.Context(), api.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: &soon,
		Volumes: []corev1.Volume{{Name: volume, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &span}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}}}}}}},
		Containers: []corev1.Container{{Name: "c", Image: "seatrial.dev/demo/web:v1",
			VolumeMounts: []corev1.VolumeMount{{Name: volume, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}}}}}))
	require.NoError(c.t, err)
}

// BenchmarkBindToRunning is one pod after the other, with all that a real one has: the
// token's volume, an address, an image that is there.
func BenchmarkBindToRunning(b *testing.B) {
	const each = 20
	c := newLab(b, 1)
	c.namespace("bench")
	p := c.watchPods(b.Context(), "bench")
	n := 0
	for b.Loop() {
		for range each {
			c.makePod("bench", "p"+strconv.Itoa(n))
			n++
			p.untilRunning(b, n)
		}
		b.StopTimer()
		c.kubectl("delete", "pods", "-n", "bench", "--all")
		b.StartTimer()
	}
	report(b, p.took(), 50, "p50-ms")
	report(b, p.took(), 90, "p90-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFullNode is 110 pods at once on one node.
func BenchmarkFullNode(b *testing.B) {
	const all = 110
	c := newLab(b, 1)
	for i := 0; b.Loop(); i++ {
		ns := "bench" + strconv.Itoa(i)
		c.namespace(ns)
		p := c.watchPods(b.Context(), ns)
		began := time.Now()
		for n := range all {
			c.makePod(ns, "p"+strconv.Itoa(n))
		}
		p.untilRunning(b, all)
		b.ReportMetric(time.Since(began).Seconds(), "all-s")
		report(b, p.took(), 50, "p50-ms")
		b.StopTimer()
		c.kubectl("delete", "namespace", ns)
		b.StartTimer()
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFailureNoticed is from the crash of a host to its node being not ready.
func BenchmarkFailureNoticed(b *testing.B) {
	const crashes = 5
	c := newLab(b, 3)
	var took []time.Duration
	for b.Loop() {
		for range crashes {
			began := time.Now()
			c.lab("crash", "node-2")
			c.untilNode("node-2", corev1.ConditionUnknown, eventMax)
			took = append(took, time.Since(began))
			b.StopTimer()
			c.lab("restart", "node-2")
			c.untilNode("node-2", corev1.ConditionTrue, eventMax)
			b.StartTimer()
		}
	}
	report(b, took, 50, "median-ms")
	report(b, took, 100, "max-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkWrites is objects created over TLS, and acknowledged, by one client after the
// other or by many at once on one connection.
func BenchmarkWrites(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run("clients="+strconv.Itoa(clients), func(b *testing.B) {
			c := newLab(b, 1)
			c.namespace("bench")
			apitest.BenchmarkWrites(b, clients, func(n int) error {
				if !c.write(b.Context(), "bench", "c"+strconv.Itoa(n)) {
					return errors.New("a write was not acknowledged")
				}
				return nil
			})
		})
	}
}

// idleFor is how long nothing happens before memory is looked at: longer than the two
// minutes after which Go collects garbage without need.
const idleFor = 130 * time.Second

// BenchmarkMemory is what of the server and of an agent is resident (VmRSS, and of that
// RssAnon, which is not the program's file), once a cluster of three nodes has been idle
// for idleFor, pods are on it or not.
func BenchmarkMemory(b *testing.B) {
	c := newLab(b, 3)
	for b.Loop() {
		<-time.After(idleFor) // idleness is what is measured
	}
	for what, line := range map[string]string{"server": "seatrial server ", "agent": "seatrial-agent --server"} {
		for _, proc := range c.residue().Processes() {
			f := strings.Fields(proc)
			if strings.Contains(proc, line) {
				status, err := os.ReadFile(filepath.Join(f[1], "status"))
				require.NoError(b, err)
				for _, field := range []string{"VmRSS", "RssAnon"} {
					_, rest, _ := strings.Cut(string(status), field+":")
					kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
					require.NoError(b, err)
					b.ReportMetric(kb/1024, what+"-"+field+"-MiB")
				}
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}
