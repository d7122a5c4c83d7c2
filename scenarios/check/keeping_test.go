package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// TestNothingIsKept: what is kept grows with the objects that exist, not with
// those that ever did, and is let go with the last check that needs it.
func TestNothingIsKept(t *testing.T) {
	scn := &scenarios.Scenario{Duration: time.Hour, Checks: []scenarios.Check{
		{Name: "a", Mode: scenarios.Always, Expr: `pods.filter(p, p.metadata.name != "").size() <= 1`, To: time.Minute},
		{Name: "b", Mode: scenarios.Always, Expr: `pods.all(p, p.metadata.name != "") && ready("service/default/web") == 0`, To: 2 * time.Minute},
		{Name: "c", Mode: scenarios.AtEnd, Expr: `pods.filter(p, p.metadata.name != "").size() == 0`, To: time.Hour},
	}}
	j, err := New(scn)
	require.NoError(t, err)
	s := store.New(8)
	j.Watch(s)
	j.Settle(0)
	tracker := &j.scope.trackers[kinds.Pod]
	require.Len(t, tracker.live, 1, "equal tallies are one")
	for i := range 1000 {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint(i)}}
		e, err := s.Create(p)
		require.NoError(t, err)
		j.Observe(e)
		j.Settle(time.Duration(2*i + 1))
		e, err = s.Delete(e.Ref, nil, 0)
		require.NoError(t, err)
		j.Observe(e)
		j.Settle(time.Duration(2*i + 2))
	}
	require.Len(t, tracker.place, 1)
	require.Empty(t, tracker.slots)
	require.Len(t, j.scope.services, 1)
	j.Settle(time.Minute)
	require.Len(t, tracker.live, 1, "check b still needs it")
	j.Settle(2 * time.Minute)
	require.Nil(t, tracker.slots)
	require.Empty(t, j.scope.services)
	at, ok := j.Next()
	require.True(t, ok)
	require.Equal(t, time.Hour, at)
	j.Settle(time.Hour)
	_, ok = j.Next()
	require.False(t, ok)
	for _, r := range j.Results() {
		require.True(t, r.Held, r.Name)
	}
}

// TestStopped: a run that stops early leaves checks without a verdict, and says so.
func TestStopped(t *testing.T) {
	j, err := New(&scenarios.Scenario{Duration: time.Hour, Checks: []scenarios.Check{{Name: "a", Mode: scenarios.AtEnd, Expr: "true", To: time.Hour}}})
	require.NoError(t, err)
	j.Watch(store.New(8))
	j.Settle(time.Minute)
	r := j.Results()[0]
	require.False(t, r.Held)
	require.Equal(t, time.Minute, r.At)
	require.Contains(t, r.Saw, "the run stopped")
}

// TestLimits: an expression has a greatest length and depth.
func TestLimits(t *testing.T) {
	for name, expr := range map[string]string{
		"length": `"` + strings.Repeat("x", codeMax) + `" == ""`,
		"depth":  strings.Repeat("!(", depthMax) + "true" + strings.Repeat(")", depthMax),
	} {
		_, err := New(&scenarios.Scenario{File: "s.yaml", Checks: []scenarios.Check{{Name: "a", Mode: scenarios.AtEnd, Expr: expr, Line: 3}}})
		var bad *kinds.InputError
		require.ErrorAs(t, err, &bad, name)
		require.Less(t, len(bad.Error()), 200, name)
		t.Log(bad)
	}
}
