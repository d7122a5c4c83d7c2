package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim/play"
)

const served = `
apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: served}
spec:
  seed: 3
  duration: 10m
  cluster: {nodeGroups: [{name: w, count: 2}]}
  manifests:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec: {containers: [{name: c, image: "demo/web:1"}]}
  images:
  - {match: "demo/web:*", logs: [{line: hello}, {every: 10s, line: "tick {n}"}]}
  timeline:
  - {at: 1m, crash: {node: w-0}}
`

// open serves a scenario until the test ends.
func open(t *testing.T) (*Cluster, context.Context, string) {
	file := filepath.Join(t.TempDir(), "served.yaml")
	require.NoError(t, os.WriteFile(file, []byte(served), 0o666))
	scn, err := scenarios.Read(file)
	require.NoError(t, err)
	c, err := New(scn, scn.Seed, func(store.Event) {})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return c, ctx, filepath.Dir(file)
}

func count(t *testing.T, c *Cluster, ctx context.Context, k kinds.Kind) (n int) {
	require.NoError(t, c.Do(ctx, func(_ time.Time, a *api.API) { n = a.Store().Len(k) }))
	return n
}

func TestNothingMovesWhileTheClockStands(t *testing.T) {
	c, ctx, _ := open(t)
	require.NoError(t, c.Step(ctx, 30*time.Second))
	require.Equal(t, 2, count(t, c, ctx, kinds.Pod))
	before, err := c.State(ctx)
	require.NoError(t, err)
	require.Equal(t, 30*time.Second, before.Time)
	require.NoError(t, c.Do(ctx, func(now time.Time, a *api.API) {
		_, err := a.Do(now, api.Scale(kinds.Ref{Kind: kinds.Deployment, Key: kinds.Key{Namespace: "default", Name: "web"}}, 4))
		require.NoError(t, err)
	}))
	require.Equal(t, 2, count(t, c, ctx, kinds.Pod), "no controller may have moved")
	after, err := c.State(ctx)
	require.NoError(t, err)
	require.Equal(t, before.Time, after.Time)
	require.NoError(t, c.Step(ctx, 10*time.Second))
	require.Equal(t, 4, count(t, c, ctx, kinds.Pod))
}

func TestTheFirstRequestFindsWhatAClusterBeginsWith(t *testing.T) {
	c, ctx, _ := open(t)
	require.NoError(t, c.Do(ctx, func(_ time.Time, a *api.API) {
		require.NotNil(t, a.Store().Get(kinds.Ref{Kind: kinds.Namespace, Key: kinds.Key{Name: "default"}}))
	}))
}

func TestUntilStopsWhereItHolds(t *testing.T) {
	c, ctx, _ := open(t)
	require.NoError(t, c.Until(ctx, `pods.filter(p, p.status.phase == "Running").size() == 2`))
	s, err := c.State(ctx)
	require.NoError(t, err)
	require.Less(t, s.Time, 10*time.Second)
	require.Error(t, c.Until(ctx, `pods.nonsense`))
}

// TestARecordingRepeatsTheRun asks things of a cluster, some of which it refuses, and
// plays the recording: the hashes must be equal.
func TestARecordingRepeatsTheRun(t *testing.T) {
	c, ctx, dir := open(t)
	ask := func(r func() api.Request) {
		require.NoError(t, c.Do(ctx, func(now time.Time, a *api.API) { _, _ = a.Do(now, r()) }))
	}
	configMap := func() api.Request {
		return api.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x"}})
	}
	web := kinds.Ref{Kind: kinds.Deployment, Key: kinds.Key{Namespace: "default", Name: "web"}}
	require.NoError(t, c.Step(ctx, 20*time.Second))
	ask(configMap)
	ask(configMap) // refused
	ask(func() api.Request { return api.Scale(web, 5) })
	require.NoError(t, c.Step(ctx, 90*time.Second))
	ask(func() api.Request { return api.Delete(web, "") })
	require.NoError(t, c.Step(ctx, time.Minute))
	want, err := c.State(ctx)
	require.NoError(t, err)

	text, err := c.Recording(ctx, dir)
	require.NoError(t, err)
	scn, err := scenarios.Parse(filepath.Join(dir, "recorded.yaml"), text)
	require.NoError(t, err, string(text))
	v, _ := play.Run(scn, play.Options{Seed: scn.Seed})
	require.NoError(t, v.Err)
	require.Equal(t, want.Events, v.Events)
	require.Equal(t, want.Hash, fmt.Sprintf("%016x", v.Hash))
}

func TestLogsFollowTheClock(t *testing.T) {
	c, ctx, _ := open(t)
	require.NoError(t, c.Step(ctx, 30*time.Second))
	var pod *corev1.Pod
	require.NoError(t, c.Do(ctx, func(_ time.Time, a *api.API) {
		for o := range a.Store().List(kinds.Pod, "") {
			pod = o.(*corev1.Pod)
		}
	}))
	r, err := c.Logs(ctx, pod, &corev1.PodLogOptions{Container: "c"})
	require.NoError(t, err)
	b := make([]byte, 1000)
	n, _ := r.Read(b)
	require.Equal(t, "hello\ntick 0\ntick 1\ntick 2\n", string(b[:n]))
	_, err = c.Logs(ctx, pod, &corev1.PodLogOptions{Container: "c", Previous: true})
	require.ErrorContains(t, err, "previous terminated container")
}

func TestAPanicIsTheCallers(t *testing.T) {
	c, ctx, _ := open(t)
	require.PanicsWithValue(t, "mine", func() { _ = c.Do(ctx, func(time.Time, *api.API) { panic("mine") }) })
	require.NoError(t, c.Step(ctx, time.Second), "the cluster goes on")
}
