package replicaset_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/replicaset"
)

// settled is a world with one ReplicaSet of n ready pods and a status that says so.
func settled(n int) (*ctrltest.World, kinds.Ref) {
	w := ctrltest.New()
	size := int32(n)
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}}
	rs.Spec.Replicas = &size
	rs.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	rs.Spec.Template.Labels = map[string]string{"app": "web"}
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "nginx"}}
	rs.Status = appsv1.ReplicaSetStatus{Replicas: size, FullyLabeledReplicas: size, ReadyReplicas: size, AvailableReplicas: size, ObservedGeneration: 1}
	w.Load(rs)
	for i := range n {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("web-", i), Namespace: "default", Labels: map[string]string{"app": "web"}}}
		pod.OwnerReferences = []metav1.OwnerReference{ownership.Ref(rs)}
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		w.Load(pod)
	}
	return w, kinds.RefOf(rs)
}

// A turn with nothing to do costs the same for ten pods and for ten thousand: it
// allocates as much.
func TestQuietTurnDoesNotWalk(t *testing.T) {
	var allocs [2]float64
	for i, n := range []int{10, 10_000} {
		w, ref := settled(n)
		c := replicaset.New()
		p := c.Reconcile(w.Now, w.View, ref)
		require.True(t, p.Empty(), "%d pods: %s", n, w.Print(&p))
		allocs[i] = testing.AllocsPerRun(100, func() { c.Reconcile(w.Now, w.View, ref) })
	}
	require.Equal(t, allocs[0], allocs[1])
}

func BenchmarkQuiet(b *testing.B) {
	w, ref := settled(10_000)
	c := replicaset.New()
	b.ReportAllocs()
	for b.Loop() {
		c.Reconcile(w.Now, w.View, ref)
	}
}

func BenchmarkCreate500(b *testing.B) {
	w, ref := settled(0)
	rs := kinds.Clone(w.View.Object(ref)).(*appsv1.ReplicaSet)
	*rs.Spec.Replicas = 500
	if _, err := w.Store.Update(rs, 0); err != nil {
		b.Fatal(err)
	}
	events, _ := w.Store.Since(w.View.RV())
	w.View.Apply(events[0])
	c := replicaset.New()
	b.ReportAllocs()
	for b.Loop() {
		if p := c.Reconcile(w.Now, w.View, ref); len(p.Writes) < 500 {
			b.Fatal(len(p.Writes))
		}
	}
}
