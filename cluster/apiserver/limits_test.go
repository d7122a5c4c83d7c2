package apiserver_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

const podsPath = "/api/v1/namespaces/default/pods"

// TestBodyLimits: a body too long, too deep, or with too many operations.
func TestBodyLimits(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{BodyBytesMax: 4096, BodyDepthMax: 20, PatchOpsMax: 3, SelectorMax: 100}})
	c.must(t, api.Create(pod("p")))
	for _, x := range []struct {
		method, path, media, body string
		code                      int
	}{
		{"POST", podsPath, "application/json", strings.Repeat(" ", 4097), 413},
		{"POST", podsPath, "application/json", strings.Repeat(`{"a":`, 21), 400},
		{"POST", podsPath, "application/yaml", strings.Repeat(`[`, 2000), 400},
		{"PATCH", podsPath + "/p", string(types.JSONPatchType), `[{},{},{},{}]`, 413},
		{"PATCH", podsPath + "/p", string(types.MergePatchType), strings.Repeat(`{"a":`, 21) + "1" + strings.Repeat("}", 21), 400},
		{"PATCH", podsPath + "/p", string(types.JSONPatchType), `[{"op":"add","path":"/metadata/annotations","value":{"x":"` + strings.Repeat("x", 3000) + `"}},
			{"op":"copy","from":"/metadata/annotations/x","path":"/metadata/annotations/y"}]`, 413},
		{"GET", podsPath + "?labelSelector=" + strings.Repeat("a", 101), "", "", 400},
		{"GET", "/api/v1/namespaces/default/pods/" + strings.Repeat("a", 254), "", "", 404},
	} {
		w := c.request(x.method, x.path, x.media, x.body)
		require.Equal(t, x.code, w.Code, "%s %s: %s", x.method, x.path, w.Body)
	}
}

// TestWatchersMax: one watch more than allowed is a 429, and a place is given back.
func TestWatchersMax(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{WatchersMax: 2}})
	pods := clients(t, c.serve(t).URL, "application/json").CoreV1().Pods("")
	ctx := withDeadline(t)
	first, err := pods.Watch(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	_, err = pods.Watch(ctx, metav1.ListOptions{})
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(ctx, "GET", podsPath+"?watch=1", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, c.request(r.Method, r.URL.String(), "", "").Code)
	first.Stop()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		w, err := pods.Watch(ctx, metav1.ListOptions{})
		if err != nil {
			return false
		}
		w.Stop()
		return true
	}, deadline, time.Millisecond)
}

// stuckCluster does not answer until it is let go.
type stuckCluster struct {
	held chan struct{}
}

func (s stuckCluster) Do(ctx context.Context, _ func(time.Time, *api.API)) error {
	select {
	case <-s.held:
		return errors.New("the world has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestRequestTimeout: a world that does not answer is a 504, one that has ended a 503,
// and too many requests at a time are a 429.
func TestRequestTimeout(t *testing.T) {
	world := stuckCluster{make(chan struct{})}
	c := &testCluster{srv: apiserver.New(world, apiserver.Config{Limits: apiserver.Limits{RequestTimeout: 200 * time.Millisecond, InFlightMax: 1}})}
	codes := make(chan int)
	for range 2 {
		go func() { codes <- c.request("GET", podsPath, "", "").Code }()
	}
	got := []int{<-codes, <-codes}
	require.ElementsMatch(t, []int{http.StatusTooManyRequests, http.StatusGatewayTimeout}, got)
	close(world.held)
	require.Equal(t, http.StatusServiceUnavailable, c.request("GET", podsPath, "", "").Code)
}

// TestPanic: a panic is a 500 and a report, on either goroutine, and the next request
// is served.
func TestPanic(t *testing.T) {
	var reports atomic.Int64
	broken := apiserver.Virtual{Resource: schema.GroupVersionResource{Version: "v1", Resource: "broken"}, Kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		Create: func(context.Context, apiserver.VirtualRequest) (k8sruntime.Object, error) { panic("broken") }}
	c := newCluster(t, store.WindowDefault, apiserver.Config{Virtual: []apiserver.Virtual{broken}, Report: func(any, []byte) { reports.Add(1) }})
	w := c.request("POST", "/api/v1/broken", "", `{"metadata":{"name":"x"}}`)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), `"reason":"InternalError"`)
	require.EqualValues(t, 1, reports.Load())
	require.EqualValues(t, 1, c.srv.Panics())
	require.Equal(t, 200, c.request("GET", podsPath, "", "").Code)
}

// TestAuth: who may not is told so in Kubernetes' words.
func TestAuth(t *testing.T) {
	var records []*audit.Record
	cfg := apiserver.Config{
		Authenticate: func(r *http.Request) (apiserver.Caller, error) {
			if name := r.Header.Get("Name"); name != "" {
				return apiserver.Caller{User: auth.User{Name: name}}, nil
			}
			return apiserver.Caller{}, errors.New("who are you")
		},
		Authorize: func(_ context.Context, a *auth.Attributes) (string, error) {
			if a.User.Name == "ann" {
				return "", nil
			}
			return "", auth.Forbidden(a, "")
		},
		Audit: func(r *audit.Record) { records = append(records, r) },
		Virtual: []apiserver.Virtual{{Resource: schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}, Subresource: "token", Namespaced: true,
			Kind: schema.GroupVersionKind{Group: "authentication.k8s.io", Version: "v1", Kind: "TokenRequest"},
			Create: func(_ context.Context, r apiserver.VirtualRequest) (k8sruntime.Object, error) {
				if r.Name != "default" {
					return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, r.Name)
				}
				return r.Object, nil
			}}},
	}
	c := newCluster(t, store.WindowDefault, cfg)
	require.Equal(t, 401, c.request("GET", podsPath, "", "").Code)
	require.Equal(t, 200, c.request("GET", podsPath, "", "", "Name: ann").Code)
	w := c.request("DELETE", podsPath+"/p", "", "", "Name: bob")
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Body.String(), `pods \"p\" is forbidden: User \"bob\" cannot delete resource \"pods\" in API group \"\" in the namespace \"default\"`)
	require.Contains(t, c.request("POST", "/logs", "", "", "Name: bob").Body.String(), `User \"bob\" cannot post path \"/logs\"`)
	token := "/api/v1/namespaces/default/serviceaccounts/default/token"
	require.Equal(t, 201, c.request("POST", token, "", `{"spec":{"audiences":["x"]}}`, "Name: ann").Code)
	require.Equal(t, 405, c.request("PUT", token, "", `{}`, "Name: ann").Code)
	require.Len(t, records, 6)
	require.Equal(t, "forbid", records[2].Decision)
	require.Equal(t, "delete", records[2].Attributes.Verb)
	require.Equal(t, http.StatusForbidden, records[2].Code)
}

// TestSlowWatcher: a watcher that falls behind by more than the window is told to
// begin anew, and never holds up the world.
func TestSlowWatcher(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{WatchWindow: 1}}) // the least there is
	s := c.serve(t)
	w, err := clients(t, s.URL, "application/json").CoreV1().ConfigMaps("").Watch(withDeadline(t), metav1.ListOptions{ResourceVersion: "1"})
	require.NoError(t, err)
	big := strings.Repeat("x", 10_000)
	for i := range 20_000 {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x"}, Data: map[string]string{"x": big}}
		if i == 0 {
			c.must(t, api.Create(cm))
			continue
		}
		cm.Labels = map[string]string{"n": string(rune('a' + i%26))}
		c.must(t, api.Update(cm))
	}
	for e := range w.ResultChan() {
		if err := apierrors.FromObject(e.Object); e.Type == "ERROR" {
			require.True(t, apierrors.IsResourceExpired(err), "%v", err)
			return
		}
	}
	t.Fatal("the watch ended without a word")
}

// TestNoLeaks: watches that have ended leave no goroutine behind.
func TestNoLeaks(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	for range 50 {
		go func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", podsPath+"?watch=1", nil)
			c.srv.ServeHTTP(&counter{header: http.Header{}}, r)
			ended <- struct{}{}
		}()
	}
	c.must(t, api.Create(pod("p")))
	cancel()
	for range 50 {
		<-ended
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, deadline, time.Millisecond)
	_ = kinds.Pod
}

// TestWatchBytes: a watcher that is behind by more bytes than are kept is closed, however
// few writes they are; the next one begins anew.
func TestWatchBytes(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{WatchBytes: 1 << 20, FlushEvery: 2 * time.Second}})
	maps := clients(t, c.serve(t).URL, "application/json").CoreV1().ConfigMaps("default")
	ctx := withDeadline(t)
	put := func(i int) {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"}, Data: map[string]string{"k": strings.Repeat(string(rune('a'+i)), 300<<10)}}
		if i == 0 {
			c.must(t, api.Create(m))
			return
		}
		c.must(t, api.Update(m))
	}
	put(0)
	w, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	require.NoError(t, err)
	defer w.Stop()
	require.Equal(t, "a", (<-w.ResultChan()).Object.(*corev1.ConfigMap).Data["k"][:1])
	put(1)
	require.Equal(t, "b", (<-w.ResultChan()).Object.(*corev1.ConfigMap).Data["k"][:1])
	for i := range 20 { // while it waits for more
		put(2 + i)
	}
	next := <-w.ResultChan()
	require.Equal(t, watch.Error, next.Type)
	require.EqualValues(t, http.StatusGone, next.Object.(*metav1.Status).Code)
	again, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "0"})
	require.NoError(t, err)
	defer again.Stop()
	require.Equal(t, "v", (<-again.ResultChan()).Object.(*corev1.ConfigMap).Data["k"][:1])
}
