package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/apitest"
	"seatrial.dev/seatrial/live/client"
)

func configMap(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"k": value}}
}

func mapRef(name string) kinds.Ref {
	return kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: "default", Name: name}}
}

func TestVerbs(t *testing.T) {
	s := apitest.New(t, "127.0.0.1:0")
	c, ctx := s.Admin, t.Context()
	made, err := c.Do(ctx, api.Create(configMap("a", "1")))
	require.NoError(t, err)
	require.NotEmpty(t, made.GetUID())
	_, err = c.Do(ctx, api.Create(configMap("a", "1")))
	require.True(t, apierrors.IsAlreadyExists(err), "%v", err)

	changed := kinds.Clone(made.(*corev1.ConfigMap))
	changed.Data["k"] = "2"
	next, err := c.Do(ctx, api.Update(changed))
	require.NoError(t, err)
	require.Equal(t, made.GetResourceVersion(), changed.GetResourceVersion(), "the caller's object is not touched")
	_, err = c.Do(ctx, api.Update(changed))
	require.True(t, apierrors.IsConflict(err), "%v", err)
	patched, err := c.Do(ctx, api.Patch(mapRef("a"), types.MergePatchType, []byte(`{"data":{"k":"3"}}`)))
	require.NoError(t, err)
	require.Equal(t, "3", patched.(*corev1.ConfigMap).Data["k"])
	got, err := client.Get[*corev1.ConfigMap](ctx, c, mapRef("a"))
	require.NoError(t, err)
	require.Equal(t, patched.GetResourceVersion(), got.ResourceVersion)
	list, rv, err := c.List(ctx, kinds.ConfigMap, client.Selection{Namespace: "default", Fields: "metadata.name=a"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NotEmpty(t, rv)

	_, err = c.Do(ctx, api.Delete(mapRef("a"), "another-uid"))
	require.True(t, apierrors.IsConflict(err), "%v", err)
	_, err = c.Do(ctx, api.Delete(mapRef("a"), next.GetUID()))
	require.NoError(t, err)
	_, err = c.Get(ctx, mapRef("a"))
	require.True(t, apierrors.IsNotFound(err), "%v", err)

	s.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	pod := s.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}})
	_, err = c.Do(ctx, api.Bind(kinds.KeyOf(pod), pod.GetUID(), "n"))
	require.NoError(t, err)
	bound, err := client.Get[*corev1.Pod](ctx, c, kinds.RefOf(pod))
	require.NoError(t, err)
	require.Equal(t, "n", bound.Spec.NodeName)
	token, err := c.Token(ctx, kinds.Key{Namespace: "default", Name: "default"}, nil, 3600, kinds.KeyOf(pod), pod.GetUID())
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(token.Status.Token, "."))
	_, err = c.Do(ctx, api.Evict(kinds.KeyOf(pod), pod.GetUID()))
	require.NoError(t, err)

	node := s.Client(auth.User{Name: "system:node:n", Groups: []string{"system:nodes"}})
	defer node.Close()
	_, err = node.Do(ctx, api.Create(configMap("b", "")))
	require.True(t, apierrors.IsForbidden(err), "%v", err)
}

// TestStatusAlone: who writes a status by what he knew of an object leaves alone what
// others have changed of it since.
func TestStatusAlone(t *testing.T) {
	s := apitest.New(t, "127.0.0.1:0")
	s.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}})
	pod := s.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Labels: map[string]string{"a": "1"}},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}).(*corev1.Pod)
	_, err := s.Admin.Do(t.Context(), api.Patch(kinds.RefOf(pod), types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"2"}}}`)))
	require.NoError(t, err)
	node := s.Client(auth.User{Name: "system:node:n1", Groups: []string{"system:nodes"}})
	defer node.Close()
	known := kinds.Clone(pod)
	known.ResourceVersion = ""
	known.Status = corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "10.0.0.1"}
	_, err = node.Do(t.Context(), api.UpdateStatus(known))
	require.NoError(t, err)
	known.Status = corev1.PodStatus{Phase: corev1.PodRunning, Reason: "x"}
	after, err := node.Do(t.Context(), api.UpdateStatus(known))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "2"}, after.GetLabels())
	require.Equal(t, "x", after.(*corev1.Pod).Status.Reason)
	require.Empty(t, after.(*corev1.Pod).Status.HostIP, "what the writer left out")
	known.UID = "another-uid"
	_, err = node.Do(t.Context(), api.UpdateStatus(known))
	require.True(t, apierrors.IsConflict(err), "%v", err)
}

// heard is what a sink has been told, as text.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *heard) sink() client.Sink {
	return client.Sink{
		Event: func(e store.Event) {
			if e.Ref.Name == "kube-root-ca.crt" {
				return
			}
			old := ""
			if e.Old != nil {
				old = e.Old.(*corev1.ConfigMap).Data["k"] + "->"
			}
			h.add("%v %s %s%s", e.Type, e.Ref.Name, old, e.Object.(*corev1.ConfigMap).Data["k"])
		},
		Synced: func() { h.add("synced") },
	}
}

// await waits until the lines are those.
func (h *heard) await(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		got = append(got[:0], h.lines...)
		return len(got) >= len(want)
	}, apitest.EventMax, time.Millisecond, "%v", want)
	require.Equal(t, want, got)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = nil
}

func TestFollow(t *testing.T) {
	s := apitest.New(t, "127.0.0.1:0")
	s.Create(configMap("a", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	var h heard
	ended := make(chan struct{})
	go func() {
		s.Admin.Follow(ctx, kinds.ConfigMap, client.Selection{Namespace: "default"}, h.sink())
		close(ended)
	}()
	h.await(t, "ADDED a 1", "synced")
	s.Write(api.Update(configMap("a", "2")))
	s.Create(configMap("b", "1"))
	s.Write(api.Delete(mapRef("a"), ""))
	h.await(t, "MODIFIED a 1->2", "ADDED b 1", "DELETED a 2->2")

	// What happened while the server was away is told once it is back, by the watch that
	// goes on where it was.
	s.Create(configMap("c", "1"))
	h.await(t, "ADDED c 1")
	s.GoAway()
	s.Quietly(api.Update(configMap("b", "2")))
	s.Quietly(api.Delete(mapRef("c"), ""))
	s.ComeBack()
	h.await(t, "MODIFIED b 1->2", "DELETED c 1->1")

	// A view that is too old is listed anew, and only what differs is told.
	s.GoAway()
	s.Quietly(api.Delete(mapRef("b"), ""))
	s.Quietly(api.Create(configMap("b", "again")))
	s.Quietly(api.Create(configMap("d", "1")))
	for i := range 3000 {
		s.Quietly(api.Update(configMap("d", fmt.Sprint(i))))
	}
	s.ComeBack()
	h.awaitLast(t, "d", "2999")
	cancel()
	<-ended
}

// awaitLast waits until the last line about a name ends with a value.
func (h *heard) awaitLast(t *testing.T, name, value string) {
	t.Helper()
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for i := len(h.lines) - 1; i >= 0; i-- {
			if f := strings.Fields(h.lines[i]); len(f) > 2 && f[1] == name {
				return f[2] == value || strings.HasSuffix(f[2], "->"+value)
			}
		}
		return false
	}, apitest.EventMax, time.Millisecond)
}

func TestRecorder(t *testing.T) {
	s := apitest.New(t, "127.0.0.1:0")
	r := client.NewRecorder(s.Admin)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go r.Run(ctx)
	about := s.Create(configMap("a", "1"))
	for range 3 {
		r.Record(api.Warning(about, "kubelet", "Bad", "it is bad"))
	}
	r.Record(api.Normal(about, "kubelet", "Good", strings.Repeat("é", 2000)))
	var counted *corev1.Event
	s.Until("the events", func() bool {
		list, _, err := s.Admin.List(t.Context(), kinds.Event, client.Selection{Namespace: "default"})
		require.NoError(t, err)
		for _, o := range list {
			if e := o.(*corev1.Event); e.Reason == "Bad" {
				counted = e
			}
		}
		return len(list) == 2 && counted != nil && counted.Count == 3
	})
	require.Equal(t, "kubelet", counted.Source.Component)
	require.Equal(t, about.GetUID(), counted.InvolvedObject.UID)
}

func TestConfigIsChecked(t *testing.T) {
	for _, bad := range []string{"", "http://x", "https://", "https://x?y", "::"} {
		_, err := client.New(client.Config{Server: bad})
		require.ErrorContains(t, err, "want https://HOST:PORT")
	}
	_, err := client.New(client.Config{Server: "https://x"})
	require.ErrorContains(t, err, "certificate authority")
	s := apitest.New(t, "127.0.0.1:0")
	s.GoAway()
	_, err = s.Admin.Get(t.Context(), mapRef("a"))
	var answered apierrors.APIStatus
	require.Error(t, err)
	require.False(t, errors.As(err, &answered), "no answer came")
}
