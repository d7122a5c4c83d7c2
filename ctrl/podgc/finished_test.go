package podgc

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Of the finished pods above the limit, evicted ones go first and then the oldest;
// below it nothing is asked for.
func TestFinishedAboveLimit(t *testing.T) {
	require.Equal(t, finishedMax, New().max)
	c, v, s := New(), view.New(), store.New(100)
	c.max = 3
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var asked []kinds.Ref
	for i, reason := range []string{"", "", "Evicted", "", ""} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprint("p", i), Namespace: "default", CreationTimestamp: metav1.NewTime(start.Add(-time.Duration(i) * time.Minute)),
		}}
		pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, reason
		e, err := s.Create(pod)
		require.NoError(t, err)
		v.Apply(e)
		c.Keys(v, e, func(r kinds.Ref) { asked = append(asked, r) })
	}
	require.Equal(t, []kinds.Ref{allFinished(), allFinished()}, asked)
	p := c.Reconcile(start, v, allFinished())
	var gone []string
	for _, w := range p.Writes {
		gone = append(gone, w.String())
		require.Zero(t, w.Grace)
	}
	require.Equal(t, []string{"delete pod/default/p2", "delete pod/default/p4"}, gone)
}
