package draw

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/kinds"
)

// owners draws the services and the controllers by which pods are spread that name
// no constraint of their own.
func (c *Cluster) owners() {
	for i := range c.between(0, 2) {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace(), Name: fmt.Sprintf("svc%d", i)}}
		svc.Spec.Ports = []corev1.ServicePort{{Port: 80}}
		svc.Spec.ClusterIP = corev1.ClusterIPNone
		if c.chance(85) {
			svc.Spec.Selector = map[string]string{"app": pick(c, "a", "b", "c")}
		}
		c.make(svc)
	}
	for i, t := range c.templates {
		if len(t.Labels) > 0 && c.chance(45) {
			c.owner(t, fmt.Sprintf("owner%d", i))
		}
	}
}

func (c *Cluster) owner(t *corev1.Pod, name string) {
	meta := metav1.ObjectMeta{Namespace: t.Namespace, Name: name}
	sel := &metav1.LabelSelector{MatchLabels: t.Labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: t.Labels},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "web"}}}}
	var o kinds.Object
	var gv, kind string
	switch c.between(0, 2) {
	case 0:
		o = &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: sel, Template: template}}
		gv, kind = "apps/v1", "ReplicaSet"
	case 1:
		o = &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: sel, Template: template, ServiceName: "svc0"}}
		gv, kind = "apps/v1", "StatefulSet"
	default:
		o = &corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Selector: t.Labels, Template: &template}}
		gv, kind = "v1", "ReplicationController"
	}
	c.make(o)
	t.OwnerReferences = []metav1.OwnerReference{{APIVersion: gv, Kind: kind, Name: name, UID: o.GetUID(), Controller: ptr(true)}}
	if c.chance(5) {
		t.OwnerReferences[0].Name = "gone"
	}
}

func (c *Cluster) budgets() {
	for i := range c.between(0, 3) {
		b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace(), Name: fmt.Sprintf("pdb%d", i)}}
		b.Spec.MinAvailable = ptr(intstr.FromInt32(1))
		b.Spec.Selector = c.selector()
		b.Status.DisruptionsAllowed = int32(pick(c, 0, 0, 1, 2))
		if c.chance(10) {
			b.Status.DisruptedPods = map[string]metav1.Time{fmt.Sprintf("p%d", c.between(20, 60)): metav1.NewTime(Epoch())}
		}
		c.make(b)
	}
}
