package all_test

import (
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// What the controllers pay for hearing of one pod's change, in a cluster with 200
// sets of 50 pods, each behind a service.
func BenchmarkKeys(b *testing.B) {
	w := ctrltest.New()
	w.Vouch()
	var pods []*corev1.Pod
	for i := range 200 {
		app := map[string]string{"app": fmt.Sprint("app", i)}
		rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("set", i), Namespace: "default"}}
		rs.Spec.Selector = &metav1.LabelSelector{MatchLabels: app}
		w.Load(rs)
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("svc", i), Namespace: "default"}}
		svc.Spec.Selector = app
		w.Load(svc)
		for j := range 50 {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("pod", i, "-", j), Namespace: "default", Labels: app}}
			p.OwnerReferences = []metav1.OwnerReference{ownership.Ref(rs)}
			p.Spec.NodeName, p.Status.PodIP, p.Status.Phase = "n1", "10.0.0.1", corev1.PodRunning
			w.Load(p)
			pods = append(pods, p)
		}
	}
	for name, change := range map[string]func(*corev1.Pod){
		"silent": func(p *corev1.Pod) { p.Status.StartTime = &metav1.Time{} },
		"ready": func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			var hear []ctrl.Controller
			for _, c := range controllers() {
				if slices.Contains(c.Kinds(), kinds.Pod) {
					hear = append(hear, c)
				}
			}
			n := 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				old := pods[i%len(pods)]
				now := *old
				change(&now)
				e := store.Event{Type: store.Modified, Ref: kinds.RefOf(old), Object: &now, Old: old}
				for _, c := range hear {
					c.Keys(w.View, e, func(kinds.Ref) { n++ })
				}
			}
			b.ReportMetric(float64(n)/float64(b.N), "keys/op")
		})
	}
}
