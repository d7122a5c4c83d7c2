package job_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/job"
)

// nearEnd is a world with a Job of n indexes, of which all but the last four are
// through and two of those run, with a rule of success that is not met yet.
func nearEnd(n int32) (*ctrltest.World, kinds.Ref) {
	two, mode := int32(2), batchv1.IndexedCompletion
	all := fmt.Sprint("0-", n-1)
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "sum", Namespace: "default"}}
	j.Spec.Completions, j.Spec.Parallelism, j.Spec.CompletionMode, j.Spec.BackoffLimitPerIndex = &n, &two, &mode, new(int32)
	j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: &all}}}
	j.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "sum"}}
	j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	j.Status.CompletedIndexes, j.Status.Succeeded = fmt.Sprintf("0-%d", n-5), n-4
	w := ctrltest.New(job.New())
	w.Load(j)
	if !w.Settle() {
		panic("the controller does not come to rest")
	}
	return w, kinds.RefOf(j)
}

// A turn costs what the Job's pods cost, however many indexes there are beside them.
func TestTurnDoesNotWalkIndexes(t *testing.T) {
	var allocs [2]float64
	for i, n := range []int32{1000, 100_000} {
		w, ref := nearEnd(n)
		c := job.New()
		p := c.Reconcile(w.Now, w.View, ref)
		require.True(t, p.Empty(), "%d indexes: %s", n, w.Print(&p))
		allocs[i] = testing.AllocsPerRun(100, func() { c.Reconcile(w.Now, w.View, ref) })
	}
	require.Equal(t, allocs[0], allocs[1])
}

func BenchmarkQuiet(b *testing.B) {
	w, ref := nearEnd(100_000)
	c := job.New()
	b.ReportAllocs()
	for b.Loop() {
		c.Reconcile(w.Now, w.View, ref)
	}
}
