package apiserver_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// deadline is how long a test waits for what must come.
const deadline = 20 * time.Second

func clients(t *testing.T, url, contentType string) *kubernetes.Clientset {
	c, err := kubernetes.NewForConfig(&rest.Config{Host: url, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: contentType, AcceptContentTypes: contentType}})
	require.NoError(t, err)
	return c
}

func withDeadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

var mediaTypes = []string{"application/json", mediaProto}

// TestTypedClient goes through the verbs with client-go, in JSON and protobuf.
func TestTypedClient(t *testing.T) {
	for _, media := range mediaTypes {
		t.Run(media, func(t *testing.T) {
			c := newCluster(t, store.WindowDefault, apiserver.Config{})
			ctx, pods := withDeadline(t), clients(t, c.serve(t).URL, media).CoreV1().Pods("default")
			made, err := pods.Create(ctx, pod("web"), metav1.CreateOptions{})
			require.NoError(t, err)
			require.NotEmpty(t, made.UID)
			made.Labels["tier"] = "front"
			changed, err := pods.Update(ctx, made, metav1.UpdateOptions{})
			require.NoError(t, err)
			_, err = pods.Update(ctx, made, metav1.UpdateOptions{})
			require.True(t, apierrors.IsConflict(err), "%v", err)
			changed.Status.Phase = corev1.PodRunning
			changed, err = pods.UpdateStatus(ctx, changed, metav1.UpdateOptions{})
			require.NoError(t, err)
			require.Equal(t, corev1.PodRunning, changed.Status.Phase)
			require.NoError(t, pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}, metav1.CreateOptions{}))
			list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=n"})
			require.NoError(t, err)
			require.Len(t, list.Items, 1)
			require.Equal(t, "front", list.Items[0].Labels["tier"])
			require.NoError(t, pods.Delete(ctx, "web", *metav1.NewDeleteOptions(0)))
			_, err = pods.Get(ctx, "web", metav1.GetOptions{})
			require.True(t, apierrors.IsNotFound(err), "%v", err)
		})
	}
}

// TestInformer lets client-go's reflector follow a cluster that changes: the list in
// a stream (sendInitialEvents) with its bookmark, then events.
func TestInformer(t *testing.T) {
	for _, media := range mediaTypes {
		t.Run(media, func(t *testing.T) {
			c := newCluster(t, store.WindowDefault, apiserver.Config{})
			for i := range 20 {
				c.must(t, api.Create(pod(fmt.Sprintf("old-%d", i))))
			}
			ctx := withDeadline(t)
			f := informers.NewSharedInformerFactory(clients(t, c.serve(t).URL, media), 0)
			in := f.Core().V1().Pods()
			done := make(chan string, 100)
			_, err := in.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc:    func(o any) { done <- "add " + o.(*corev1.Pod).Name },
				DeleteFunc: func(o any) { done <- "delete " + o.(*corev1.Pod).Name },
			})
			require.NoError(t, err)
			f.Start(ctx.Done())
			require.True(t, cache.WaitForCacheSync(ctx.Done(), in.Informer().HasSynced))
			list, err := in.Lister().List(labels.Everything())
			require.NoError(t, err)
			require.Len(t, list, 20)
			c.must(t, api.Create(pod("new")))
			c.must(t, api.Delete(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: "default", Name: "new"}}, ""))
			want := map[string]bool{"add new": true, "delete new": true}
			for len(want) > 0 {
				select {
				case s := <-done:
					delete(want, s)
				case <-ctx.Done():
					t.Fatalf("never saw %v", want)
				}
			}
		})
	}
}

// TestWatchSelectors: a watch sees an object come when it begins to match, and go
// when it ceases to.
func TestWatchSelectors(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	ctx, pods := withDeadline(t), clients(t, c.serve(t).URL, "application/json").CoreV1().Pods("default")
	w, err := pods.Watch(ctx, metav1.ListOptions{LabelSelector: "app=web", ResourceVersion: "1"})
	require.NoError(t, err)
	defer w.Stop()
	p := c.must(t, api.Create(pod("a"))).(*corev1.Pod).DeepCopy()
	p.Labels["app"] = "other"
	p = c.must(t, api.Update(p)).(*corev1.Pod).DeepCopy()
	p.Labels["app"] = "web"
	c.must(t, api.Update(p))
	c.must(t, api.Delete(kinds.RefOf(p), ""))
	for i, want := range []watch.EventType{watch.Added, watch.Deleted, watch.Added, watch.Deleted} {
		e := <-w.ResultChan()
		require.Equal(t, want, e.Type)
		require.Equal(t, fmt.Sprint(i+2), e.Object.(*corev1.Pod).ResourceVersion)
	}
}

// TestWatchTooOld: a version that the log no longer has is a 410, and so is a watch
// that cannot keep up.
func TestWatchTooOld(t *testing.T) {
	c := newCluster(t, 1024, apiserver.Config{})
	ctx, maps := withDeadline(t), clients(t, c.serve(t).URL, "application/json").CoreV1().ConfigMaps("default")
	for i := range 4000 {
		c.must(t, api.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("c", i)}}))
	}
	_, err := maps.Watch(ctx, metav1.ListOptions{ResourceVersion: "1"})
	require.True(t, apierrors.IsResourceExpired(err), "%v", err)
	first, err := maps.List(ctx, metav1.ListOptions{Limit: 10})
	require.NoError(t, err)
	for i := range 4000 {
		c.must(t, api.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("d", i)}}))
	}
	_, err = maps.List(ctx, metav1.ListOptions{Limit: 10, Continue: first.Continue})
	require.True(t, apierrors.IsResourceExpired(err), "%v", err)
	again := err.(*apierrors.StatusError).ErrStatus.ListMeta.Continue
	rest, err := maps.List(ctx, metav1.ListOptions{Continue: again})
	require.NoError(t, err)
	require.Len(t, rest.Items, 7990)
}

// TestReset: a world that was set back sends its watchers to list again.
func TestReset(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	w, err := clients(t, c.serve(t).URL, "application/json").CoreV1().Pods("").Watch(withDeadline(t), metav1.ListOptions{ResourceVersion: "1"})
	require.NoError(t, err)
	c.srv.Reset()
	e := <-w.ResultChan()
	require.True(t, apierrors.IsResourceExpired(apierrors.FromObject(e.Object)), "%v", e)
}

// TestBookmarks come as often as the limit says, with the version of the cluster.
func TestBookmarks(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{BookmarkEvery: time.Millisecond}})
	w, err := clients(t, c.serve(t).URL, mediaProto).CoreV1().Secrets("").Watch(withDeadline(t), metav1.ListOptions{ResourceVersion: "1", AllowWatchBookmarks: true})
	require.NoError(t, err)
	c.must(t, api.Create(pod("a")))
	for e := range w.ResultChan() {
		require.Equal(t, watch.Bookmark, e.Type)
		if e.Object.(*corev1.Secret).ResourceVersion == "2" {
			w.Stop()
			return
		}
	}
	t.Fatal("no bookmark of version 2 came")
}

// TestQuietWatch: a watch over HTTP/2 outlives the deadlines of what it writes.
func TestQuietWatch(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{BookmarkEvery: 60 * time.Millisecond, WriteTimeout: 10 * time.Millisecond, RequestTimeout: 10 * time.Millisecond}})
	s := httptest.NewUnstartedServer(c.srv)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	t.Cleanup(c.srv.Close)
	r, err := http.NewRequestWithContext(withDeadline(t), "GET", s.URL+"/api/v1/pods?watch=1&allowWatchBookmarks=true", nil)
	require.NoError(t, err)
	resp, err := s.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 2, resp.ProtoMajor)
	lines := bufio.NewScanner(resp.Body)
	for range 4 {
		require.True(t, lines.Scan(), "%v", lines.Err())
		require.Contains(t, lines.Text(), "BOOKMARK")
	}
}

// TestPager: client-go's pager gathers what the pieces hold, of one version.
func TestPager(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	for i := range 95 {
		c.must(t, api.Create(pod(fmt.Sprintf("p-%02d", i))))
	}
	pods := clients(t, c.serve(t).URL, mediaProto).CoreV1().Pods("")
	pages := 0
	p := pager.New(pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) {
		pages++ // something new before each page, somewhere in the list
		c.must(t, api.Create(pod(fmt.Sprintf("p-%02d-later-%d", pages*7%90, pages))))
		return pods.List(context.Background(), o)
	}))
	p.PageSize = 10
	n := 0
	require.NoError(t, p.EachListItem(withDeadline(t), metav1.ListOptions{}, func(runtime.Object) error { n++; return nil }))
	require.Equal(t, 96, n) // the first page's own newcomer is in
}

// TestApplyConflict: server-side apply by two managers, with client-go.
func TestApplyConflict(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	ctx, maps := withDeadline(t), clients(t, c.serve(t).URL, "application/json").CoreV1().ConfigMaps("default")
	want := applycorev1.ConfigMap("x", "default").WithData(map[string]string{"a": "1"})
	_, err := maps.Apply(ctx, want, metav1.ApplyOptions{FieldManager: "ann"})
	require.NoError(t, err)
	_, err = maps.Patch(ctx, "x", types.MergePatchType, []byte(`{"data":{"a":"2"}}`), metav1.PatchOptions{FieldManager: "bob"})
	require.NoError(t, err)
	_, err = maps.Apply(ctx, want, metav1.ApplyOptions{FieldManager: "ann"})
	require.True(t, apierrors.IsConflict(err), "%v", err)
	got, err := maps.Apply(ctx, want, metav1.ApplyOptions{FieldManager: "ann", Force: true})
	require.NoError(t, err)
	require.Equal(t, "1", got.Data["a"])
	mine, err := applycorev1.ExtractConfigMap(got, "ann")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1"}, mine.Data)
}

// TestDiscovery: client-go finds every kind of the table, by either way.
func TestDiscovery(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	cfg := &rest.Config{Host: c.serve(t).URL, QPS: -1}
	d, err := discovery.NewDiscoveryClientForConfig(cfg)
	require.NoError(t, err)
	for _, legacy := range []bool{false, true} {
		d.UseLegacyDiscovery = legacy
		_, lists, err := d.ServerGroupsAndResources()
		require.NoError(t, err)
		have := map[schema.GroupVersionResource]string{}
		for _, l := range lists {
			gv, err := schema.ParseGroupVersion(l.GroupVersion)
			require.NoError(t, err)
			for _, r := range l.APIResources {
				have[gv.WithResource(r.Name)] = r.Kind
			}
		}
		for _, i := range kinds.All() {
			require.Equal(t, i.GVK.Kind, have[i.GVR()], "legacy %v", legacy)
		}
	}
	_, err = d.OpenAPISchema()
	require.NoError(t, err)
	paths, err := d.OpenAPIV3().Paths()
	require.NoError(t, err)
	for path, gv := range paths {
		_, err := gv.Schema("application/json")
		require.NoError(t, err, path)
	}
}

// TestEveryKind makes, reads, lists, watches and deletes an object of each kind that
// can be made of nothing, as the dynamic client does.
func TestEveryKind(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	url := c.serve(t).URL
	dyn, err := dynamic.NewForConfig(&rest.Config{Host: url, QPS: -1})
	require.NoError(t, err)
	ctx := withDeadline(t)
	for _, i := range kinds.All() {
		all := dyn.Resource(i.GVR())
		list, err := all.List(ctx, metav1.ListOptions{})
		require.NoError(t, err, i.GVK)
		require.Equal(t, i.GVK.Kind+"List", list.GetKind())
		w, err := all.Watch(ctx, metav1.ListOptions{})
		require.NoError(t, err, i.GVK)
		w.Stop()
		for _, accept := range []string{"application/json;as=Table;v=v1;g=meta.k8s.io", mediaProto, "application/yaml"} {
			r, err := http.NewRequestWithContext(ctx, "GET", url+path(i), nil)
			require.NoError(t, err)
			r.Header.Set("Accept", accept)
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, 200, resp.StatusCode, "%s as %s", i.GVK, accept)
		}
	}
}

func path(i *kinds.Info) string {
	if i.GVK.Group == "" {
		return "/api/v1/" + i.Plural
	}
	return "/apis/" + i.GVK.GroupVersion().String() + "/" + i.Plural
}
