package conformance

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim/serve"
)

// deadline is how long an entry waits for what must come; pollEvery, how often it
// looks where there is nothing to watch.
const (
	deadline  = 20 * time.Second
	pollEvery = 5 * time.Millisecond
)

// speed of the virtual clock. At 300 the 30 seconds in which a pod may end are a
// tenth of a second, and the hour that an event is kept outlasts every entry.
const speed = 300

const scenario = `
apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: conformance}
spec:
  seed: 1
  duration: 1h
  cluster: {nodeGroups: [{name: node, count: 3, capacity: {cpu: "64", memory: 256Gi, pods: "500"}}]}
  images:
  - {match: "demo/done:*", runFor: 1s}
  - {match: "demo/fail:*", runFor: 1s, exitCode: 42}
  - {match: "demo/unready:*", readyAfter: 1000h}
  - {match: "demo/broken:*", pullError: "no such image"}
`

// cluster is what one entry sees of the cluster.
type cluster struct {
	ctx  context.Context
	cfg  *rest.Config
	kube *kubernetes.Clientset
	dyn  dynamic.Interface
	ns   string // the entry's own
}

// open serves a cluster until the test ends.
func open(t *testing.T) *cluster {
	scn, err := scenarios.Parse("conformance.yaml", []byte(scenario))
	require.NoError(t, err)
	var front *apiserver.Server
	c, err := serve.New(scn, scn.Seed, func(e store.Event) { front.Observe(e) })
	require.NoError(t, err)
	front = apiserver.New(c, apiserver.Config{Report: func(p any, stack []byte) { t.Errorf("a request panicked: %v\n%s", p, stack) }})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	require.NoError(t, c.SetSpeed(ctx, speed))
	server := httptest.NewServer(front)
	t.Cleanup(func() {
		front.Close()
		server.Close()
		cancel()
		require.NoError(t, <-ended)
	})
	return connect(t, server.URL)
}

func connect(t *testing.T, url string) *cluster {
	cfg := &rest.Config{Host: url, QPS: -1}
	kube, err := kubernetes.NewForConfig(cfg)
	require.NoError(t, err)
	dyn, err := dynamic.NewForConfig(cfg)
	require.NoError(t, err)
	return &cluster{cfg: cfg, kube: kube, dyn: dyn}
}

// forEntry returns the cluster as one entry sees it, with a namespace that goes when
// the entry ends.
func (c *cluster) forEntry(t *testing.T) *cluster {
	own := *c
	var cancel context.CancelFunc
	own.ctx, cancel = context.WithTimeout(context.Background(), 2*deadline)
	t.Cleanup(cancel)
	own.ns = own.space(t)
	return &own
}

// space makes a namespace and waits until it has what every namespace has.
func (c *cluster) space(t *testing.T) string {
	ns, err := c.kube.CoreV1().Namespaces().Create(c.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e-"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		err := c.kube.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{})
		if !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			require.NoError(t, err)
		}
	})
	c.until(t, "a default service account", func() (bool, error) {
		_, err := c.kube.CoreV1().ServiceAccounts(ns.Name).Get(c.ctx, "default", metav1.GetOptions{})
		return found(err)
	})
	return ns.Name
}

// until asks again and again until something is so.
func (c *cluster) until(t *testing.T, what string, f func() (bool, error)) {
	t.Helper()
	err := wait.PollUntilContextTimeout(c.ctx, pollEvery, deadline, true, func(context.Context) (bool, error) { return f() })
	require.NoError(t, err, "waiting for %s", what)
}

// found makes an error of get into an answer: it is there, or not, or who knows.
func found(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// gone is found turned around.
func gone(err error) (bool, error) {
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return false, err
}

// next returns the next event of a watch, which must be of a type.
func next(t *testing.T, w watch.Interface, want watch.EventType) runtime.Object {
	t.Helper()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case e, ok := <-w.ResultChan():
		require.True(t, ok, "the watch has ended")
		require.Equal(t, want, e.Type, "%v", e.Object)
		return e.Object
	case <-timer.C:
		require.Fail(t, "no event", "want %s", want)
	}
	return nil
}

// seen reads a watch until an event of a type is as it should be.
func seen[T runtime.Object](t *testing.T, w watch.Interface, want watch.EventType, is func(T) bool) T {
	t.Helper()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	for {
		select {
		case e, ok := <-w.ResultChan():
			require.True(t, ok, "the watch has ended")
			if o, right := e.Object.(T); right && e.Type == want && is(o) {
				return o
			}
		case <-timer.C:
			require.Fail(t, "no such event", "want %s", want)
		}
	}
}

// any is a condition that always holds.
func whatever[T any](T) bool { return true }

// patch makes the bytes of a merge patch.
func patch(t *testing.T, fields map[string]any) []byte {
	b, err := json.Marshal(fields)
	require.NoError(t, err)
	return b
}

// labelled is a patch that sets one label, annotated one that sets one annotation.
func labelled(t *testing.T, key, value string) []byte {
	return patch(t, map[string]any{"metadata": map[string]any{"labels": map[string]any{key: value}}})
}

func annotated(t *testing.T, key, value string) []byte {
	return patch(t, map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
}

// selecting lists what has a label.
func selecting(selector string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: selector}
}

// loose makes an object without a type of its text.
func loose(t *testing.T, text string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	require.NoError(t, u.UnmarshalJSON([]byte(text)))
	return u
}

// The kinds of patches.
const (
	mergePatch     = types.MergePatchType
	strategicPatch = types.StrategicMergePatchType
	jsonPatch      = types.JSONPatchType
)
