package view

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// drawPod draws a pod in one of the states that the indexes tell apart.
func drawPod(t *rapid.T) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "ns"),
		Name: fmt.Sprintf("p%d", rapid.IntRange(0, 5).Draw(t, "name"))}}
	p.Spec.NodeName = rapid.SampledFrom([]string{"", "n1", "n2"}).Draw(t, "node")
	p.Labels = map[string]string{"v": fmt.Sprint(rapid.IntRange(0, 2*labelSetsMax).Draw(t, "label"))}
	if rapid.Bool().Draw(t, "owned") {
		yes := true
		p.OwnerReferences = []metav1.OwnerReference{{UID: types.UID(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "owner")), Controller: &yes}}
	}
	p.Status.Phase = rapid.SampledFrom([]corev1.PodPhase{corev1.PodPending, corev1.PodRunning, corev1.PodSucceeded, corev1.PodFailed}).Draw(t, "phase")
	if rapid.Bool().Draw(t, "ready") {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	if rapid.IntRange(0, 3).Draw(t, "deleted") == 0 {
		p.DeletionTimestamp = &metav1.Time{}
	}
	return p
}

// TestIndexesFollowEveryChange compares every index with what a walk over all pods
// gives, after random writes.
func TestIndexesFollowEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := store.New(store.WindowDefault), New(kinds.Pod)
		for range rapid.IntRange(1, 60).Draw(t, "writes") {
			pod := drawPod(t)
			ref := kinds.RefOf(pod)
			var e store.Event
			var err error
			switch old := s.Get(ref); {
			case old == nil:
				e, err = s.Create(pod)
			case rapid.IntRange(0, 4).Draw(t, "delete") == 0:
				e, err = s.Delete(ref, nil, 0)
			default:
				e, err = s.Update(pod, 0)
			}
			require.NoError(t, err)
			v.Apply(e)
			v.Apply(e) // once more: an overlapping watch
		}
		compareIndexes(t, s, v)
		replaced := New(kinds.Pod)
		replaced.Replace(s.RV(), s.List(kinds.Pod, ""))
		compareIndexes(t, s, replaced)
	})
}

func compareIndexes(t *rapid.T, s *store.Store, v *View) {
	require.Equal(t, s.RV(), v.RV())
	all := slices.Collect(s.List(kinds.Pod, ""))
	which := func(keep func(*corev1.Pod) bool) []string {
		var out []string
		for _, o := range all {
			if p := o.(*corev1.Pod); keep(p) {
				out = append(out, kinds.KeyOf(p).String())
			}
		}
		return out
	}
	names := func(seq func(func(*corev1.Pod) bool)) []string {
		var out []string
		for p := range seq {
			out = append(out, kinds.KeyOf(p).String())
		}
		return out
	}
	require.Equal(t, which(func(*corev1.Pod) bool { return true }), names(All[*corev1.Pod](v, kinds.Pod)))
	for _, node := range []string{"", "n1", "n2"} {
		require.Equal(t, which(func(p *corev1.Pod) bool { return p.Spec.NodeName == node }), names(v.PodsOn(node)))
	}
	for _, ns := range []string{"a", "b"} {
		require.Equal(t, which(func(p *corev1.Pod) bool { return p.Namespace == ns && controllerOf(p) == "" }), names(v.OrphanPods(ns)))
	}
	for _, uid := range []types.UID{"x", "y"} {
		compareGroup(t, v.PodsOf(uid), func(keep func(*corev1.Pod) bool) []string {
			return which(func(p *corev1.Pod) bool { return controllerOf(p) == uid && keep(p) })
		}, names)
		owned := 0
		for range v.Owned(uid) {
			owned++
		}
		require.Equal(t, len(which(func(p *corev1.Pod) bool { return controllerOf(p) == uid })), owned)
	}
}

func compareGroup(t *rapid.T, g *Group, which func(func(*corev1.Pod) bool) []string, names func(func(func(*corev1.Pod) bool)) []string) {
	require.Equal(t, which(func(*corev1.Pod) bool { return true }), names(g.Pods()))
	require.Equal(t, len(which(Active)), g.Active())
	require.Equal(t, len(which(Finished)), g.Finished())
	require.Equal(t, len(which(func(p *corev1.Pod) bool { return Active(p) && Ready(p) })), g.Ready())
	require.Equal(t, len(which(func(p *corev1.Pod) bool { return !Finished(p) && p.DeletionTimestamp != nil })), g.Terminating())
	odd := func(l map[string]string) bool { return len(l["v"]) == 1 && (l["v"][0]-'0')%2 == 1 }
	require.Equal(t, len(which(func(p *corev1.Pod) bool { return Active(p) && odd(p.Labels) })), g.ActiveMatching(odd))
}

// TestReplaceTellsWhatChanged compares a view that lost its watch with the truth.
func TestReplaceTellsWhatChanged(t *testing.T) {
	s, v := store.New(store.WindowDefault), New(kinds.ConfigMap)
	write := func(f func(kinds.Object) (store.Event, error), name string) store.Event {
		e, err := f(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}})
		require.NoError(t, err)
		return e
	}
	for _, name := range []string{"goes", "stays", "changes"} {
		v.Apply(write(s.Create, name))
	}
	_, err := s.Delete(kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: "a", Name: "goes"}}, nil, 0)
	require.NoError(t, err)
	write(func(o kinds.Object) (store.Event, error) { return s.Update(o, 0) }, "changes")
	write(s.Create, "comes")
	var got []string
	for _, e := range v.Replace(s.RV(), s.List(kinds.ConfigMap, "")) {
		got = append(got, e.Type.String()+" "+e.Ref.Name)
	}
	require.Equal(t, []string{"DELETED goes", "MODIFIED changes", "ADDED comes"}, got)
	require.Equal(t, s.RV(), v.RV())
}
