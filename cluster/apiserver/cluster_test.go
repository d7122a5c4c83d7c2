package apiserver_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// testCluster is an API under a lock, with a clock that moves a second a write.
type testCluster struct {
	mu   sync.Mutex
	api  *api.API
	now  time.Time
	sent uint64
	srv  *apiserver.Server
	logs map[string]string
}

func newCluster(t testing.TB, window int, cfg apiserver.Config) *testCluster {
	a, err := api.New(store.New(window), rand.New(rand.NewPCG(1, 2)), api.DefaultConfig())
	require.NoError(t, err)
	c := &testCluster{api: a, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), logs: map[string]string{}}
	c.srv = apiserver.New(c, cfg)
	t.Cleanup(c.srv.Close)
	c.must(t, api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}))
	return c
}

// Do implements apiserver.Cluster.
func (c *testCluster) Do(ctx context.Context, f func(time.Time, *api.API)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f(c.now, c.api)
	for ; c.sent < c.api.Store().RV(); c.now = c.now.Add(time.Second) {
		c.sent++
		e, err := c.api.Store().At(c.sent)
		if err != nil {
			panic(err)
		}
		c.srv.Observe(e)
	}
	return nil
}

// Logs implements apiserver.Logs.
func (c *testCluster) Logs(_ context.Context, pod *corev1.Pod, opts *corev1.PodLogOptions) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(c.logs[pod.Name+"/"+opts.Container])), nil
}

func (c *testCluster) must(t testing.TB, r api.Request) kinds.Object {
	var o kinds.Object
	var err error
	require.NoError(t, c.Do(context.Background(), func(now time.Time, a *api.API) { o, err = a.Do(now, r) }))
	require.NoError(t, err)
	return o
}

// serve listens on a port of this machine until the test ends.
func (c *testCluster) serve(t testing.TB) *httptest.Server {
	s := httptest.NewServer(c.srv)
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(func() { c.srv.Close() })
	return s
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx:1.27"}}}}
}

// request makes one HTTP request without a network.
func (c *testCluster) request(method, path, contentType, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://api.test/", strings.NewReader(body))
	if u, err := r.URL.Parse(path); err == nil {
		r.URL = u
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	c.srv.ServeHTTP(w, r)
	return w
}

func podJSON(name string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"containers":[{"name":"web","image":"nginx:1.27"}]}}`, name)
}

var _ http.Handler = (*apiserver.Server)(nil)
