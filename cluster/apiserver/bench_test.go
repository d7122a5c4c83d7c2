package apiserver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

const mediaProto = "application/vnd.kubernetes.protobuf"

// BenchmarkCreateInProcess is a create without HTTP, as the simulation makes it.
func BenchmarkCreateInProcess(b *testing.B) {
	c := newCluster(b, store.WindowDefault, apiserver.Config{})
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		p := pod(fmt.Sprintf("pod-%d", i))
		i++
		if err := c.Do(context.Background(), func(now time.Time, a *api.API) {
			if _, err := a.Do(now, api.Create(p)); err != nil {
				b.Fatal(err)
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "creates/s")
}

// BenchmarkCreateHandler is a create through the handler, without a network.
func BenchmarkCreateHandler(b *testing.B) {
	c := newCluster(b, store.WindowDefault, apiserver.Config{})
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		w := c.request("POST", "/api/v1/namespaces/default/pods", "application/json", podJSON(fmt.Sprintf("pod-%d", i)))
		i++
		if w.Code != http.StatusCreated {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "creates/s")
}

// BenchmarkCreateHTTPS is creates by 16 clients over HTTP/2 and TLS, client and
// server on the same processors.
func BenchmarkCreateHTTPS(b *testing.B) {
	c := newCluster(b, store.WindowDefault, apiserver.Config{})
	s := httptest.NewUnstartedServer(c.srv)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	client := s.Client()
	var n atomic.Int64
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			body := podJSON(fmt.Sprintf("pod-%d", n.Add(1)))
			resp, err := client.Post(s.URL+"/api/v1/namespaces/default/pods", "application/json", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusCreated {
				b.Error(resp.Status)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
}

// fill makes pods such as a running cluster has.
func (c *testCluster) fill(t testing.TB, n int) {
	for i := range n {
		p := pod(fmt.Sprintf("pod-%05d", i))
		p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}
		o := c.must(t, api.Create(p)).DeepCopyObject().(*corev1.Pod)
		o.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", HostIP: "192.168.0.1",
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.PodInitialized, Status: corev1.ConditionTrue}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "web", Ready: true, Image: "nginx:1.27", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}
		c.must(t, api.UpdateStatus(o))
	}
}

func benchmarkList(b *testing.B, accept string) {
	c := newCluster(b, store.WindowDefault, apiserver.Config{})
	c.fill(b, 10_000)
	b.ReportAllocs()
	size := 0
	for b.Loop() {
		r := httptest.NewRequest("GET", "/api/v1/pods", nil)
		r.Header.Set("Accept", accept)
		w := &counter{header: http.Header{}}
		c.srv.ServeHTTP(w, r)
		size = w.n
	}
	b.ReportMetric(float64(size)/1e6, "MB/list")
}

// counter is a client that reads and forgets.
type counter struct {
	header http.Header
	n      int
}

func (c *counter) Header() http.Header         { return c.header }
func (c *counter) WriteHeader(int)             {}
func (c *counter) Write(b []byte) (int, error) { c.n += len(b); return len(b), nil }

// The lists are of 10,000 pods.
func BenchmarkListJSON(b *testing.B)  { benchmarkList(b, "application/json") }
func BenchmarkListProto(b *testing.B) { benchmarkList(b, mediaProto) }
func BenchmarkListTable(b *testing.B) {
	benchmarkList(b, "application/json;as=Table;v=v1;g=meta.k8s.io")
}

// BenchmarkWatch sends 1,000 events a second to 500 watchers over loopback and reports
// how long it takes from the write to a watcher's hand.
func BenchmarkWatch(b *testing.B) {
	for _, secure := range []bool{false, true} {
		b.Run(map[bool]string{false: "http", true: "https"}[secure], func(b *testing.B) {
			for b.Loop() {
				watchLoad(b, secure, 500, 1000, 2*time.Second)
			}
		})
	}
}

func watchLoad(b *testing.B, secure bool, watchers, perSecond int, span time.Duration) {
	c := newCluster(b, store.WindowDefault, apiserver.Config{})
	s := httptest.NewUnstartedServer(c.srv)
	s.EnableHTTP2 = secure
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	defer s.Close()
	defer c.srv.Close()
	client := s.Client()
	total := int(span.Seconds()) * perSecond
	start := time.Now()
	var wg sync.WaitGroup
	var late atomic.Int64
	delays := make([][]time.Duration, watchers)
	for i := range watchers {
		resp, err := client.Get(s.URL + "/api/v1/configmaps?watch=true&resourceVersion=1")
		require.NoError(b, err)
		wg.Go(func() {
			defer resp.Body.Close()
			delays[i] = readDelays(resp.Body, start, total)
			late.Add(int64(total - len(delays[i])))
		})
	}
	tick := time.NewTicker(time.Second / 100)
	for n := 0; n < total; {
		<-tick.C
		for range perSecond / 100 {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("cm-%d-%d", n, time.Since(start).Nanoseconds())}}
			c.must(b, api.Create(cm))
			n++
		}
	}
	tick.Stop()
	wg.Wait()
	all := slices.Concat(delays...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)*99/100].Milliseconds()), "p99-ms")
	b.ReportMetric(float64(all[len(all)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(late.Load()), "lost")
}

// readDelays takes the time of each event's write out of its object's name.
func readDelays(r io.Reader, start time.Time, total int) []time.Duration {
	var out []time.Duration
	in := bufio.NewReaderSize(r, 64<<10)
	for len(out) < total {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return out
		}
		_, rest, ok := bytes.Cut(line, []byte(`"name":"cm-`))
		if !ok {
			continue
		}
		name, _, _ := bytes.Cut(rest, []byte(`"`))
		var n int
		var at int64
		if _, err := fmt.Sscanf(string(name), "%d-%d", &n, &at); err == nil {
			out = append(out, time.Since(start)-time.Duration(at))
		}
	}
	return out
}
