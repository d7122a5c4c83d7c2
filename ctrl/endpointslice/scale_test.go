package endpointslice_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/endpoint"
	"seatrial.dev/seatrial/ctrl/endpointslice"
)

// What a turn costs for a service of 1000 pods with nothing to do.
func BenchmarkQuiet1000(b *testing.B) {
	app := map[string]string{"app": "web"}
	w := ctrltest.New(endpointslice.New(), endpoint.New())
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"}}
	svc.Spec = corev1.ServiceSpec{Selector: app, ClusterIP: "10.96.0.9", Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80), Protocol: corev1.ProtocolTCP}}}
	w.Load(svc)
	for i := range 1000 {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i), Namespace: "default", Labels: app}}
		p.Status.Phase, p.Status.PodIP = corev1.PodRunning, fmt.Sprintf("10.0.%d.%d", i/256, i%256)
		w.Load(p)
	}
	w.Settle()
	for _, c := range []ctrl.Controller{endpointslice.New(), endpoint.New()} {
		b.Run(c.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p := c.Reconcile(w.Now, w.View, kinds.RefOf(svc)); !p.Empty() {
					b.Fatal(w.Print(&p))
				}
			}
		})
	}
}
