package compare

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// run is a run as its writes tell it.
type run struct {
	m *Milestones
	s *store.Store
}

func (r *run) write(at time.Duration, o kinds.Object) {
	r.m.Observe(at, r.s.Mirror(store.Event{Type: store.Modified, Ref: kinds.RefOf(o), Object: o}))
}

func pod(node string, started, ready bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1", UID: "u1",
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web-rs", Controller: ptr(true)}}}, Spec: corev1.PodSpec{NodeName: node}}
	p.Status.Phase = corev1.PodPending
	if started {
		p.Status.Phase = corev1.PodRunning
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	if ready {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	return p
}

func ptr[T any](v T) *T { return &v }

func deployment(ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: ptr(int32(1))}, Status: appsv1.DeploymentStatus{ReadyReplicas: ready}}
}

func node(ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}}}
}

func TestMilestones(t *testing.T) {
	scn := &scenarios.Scenario{Nodes: []*corev1.Node{node(corev1.ConditionTrue)}, Steps: []scenarios.Step{{At: 10 * time.Second, Action: scenarios.Crash{Node: "n1"}}}}
	r := &run{New(scn), store.New(0)}
	ms := time.Millisecond
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-rs", OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web", Controller: ptr(true)}}}, Spec: appsv1.ReplicaSetSpec{Replicas: ptr(int32(0))}}
	r.write(0, node(corev1.ConditionTrue))
	r.write(0, deployment(0))
	r.write(0, rs)
	r.write(5*ms, pod("", false, false))
	r.write(7*ms, pod("n1", false, false))
	r.write(30*ms, &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "e"}, Reason: "Pulled", InvolvedObject: corev1.ObjectReference{UID: types.UID("u1")}})
	r.write(50*ms, pod("n1", true, false))
	r.write(90*ms, pod("n1", true, true))
	r.write(91*ms, deployment(1))
	r.write(9*time.Second, node(corev1.ConditionFalse)) // before the fault: not its notice
	r.write(9500*ms, node(corev1.ConditionTrue))
	r.write(14*time.Second, node(corev1.ConditionUnknown))
	r.write(14*time.Second, deployment(0))
	r.write(20*time.Second, deployment(1))
	r.write(30*time.Second, deployment(0)) // of something else
	for m, want := range map[Milestone]time.Duration{Scheduled: 2 * ms, Pulled: 23 * ms, Started: 20 * ms, Ready: 40 * ms, Noticed: 4 * time.Second, Recovered: 10 * time.Second} {
		got := r.m.Took(m)
		require.Equal(t, Took{m, 1, want, want}, got, "%s", m)
	}
	state := State(r.s)
	require.Equal(t, []Line{
		{"deployment/default/web", "ready 0 of 1"},
		{"node/n1", "Ready Unknown, taints []"},
		{"pods of deployment/default/web", "1 Running"},
	}, state)
	require.Empty(t, Differences(state, state))
	require.Equal(t, []Difference{{"deployment/default/web", "", "ready 0 of 1"}, {"node/n1", "gone", "Ready Unknown, taints []"}, {"pods of deployment/default/web", "1 Running", ""}},
		Differences([]Line{{"node/n1", "gone"}, state[2]}, state[:2]))
}
