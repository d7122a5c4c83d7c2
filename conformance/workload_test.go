package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const anImage = "demo/x:1"

func podSpec(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}}
}

func podTemplateSpec(image string, labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: podSpec(image)}
}

// app is the label of what belongs to a workload.
func app(name string) map[string]string { return map[string]string{"app": name} }

func (c *cluster) makePod(t *testing.T, name string, labels map[string]string, spec corev1.PodSpec) *corev1.Pod {
	t.Helper()
	p, err := c.kube.CoreV1().Pods(c.ns).Create(c.ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: spec}, metav1.CreateOptions{})
	require.NoError(t, err)
	return p
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(name)}, Spec: appsv1.DeploymentSpec{Replicas: &replicas,
		Selector: &metav1.LabelSelector{MatchLabels: app(name)}, Template: podTemplateSpec(anImage, app(name))}}
}

func replicaSet(name string, replicas int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(name)}, Spec: appsv1.ReplicaSetSpec{Replicas: &replicas,
		Selector: &metav1.LabelSelector{MatchLabels: app(name)}, Template: podTemplateSpec(anImage, app(name))}}
}

func statefulSet(name string, replicas int32) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(name)}, Spec: appsv1.StatefulSetSpec{Replicas: &replicas, ServiceName: name,
		Selector: &metav1.LabelSelector{MatchLabels: app(name)}, Template: podTemplateSpec(anImage, app(name))}}
}

func daemonSet(name string) *appsv1.DaemonSet {
	return &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(name)}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: app(name)}, Template: podTemplateSpec(anImage, app(name))}}
}

func (c *cluster) makeDeployment(t *testing.T, d *appsv1.Deployment) *appsv1.Deployment {
	t.Helper()
	made, err := c.kube.AppsV1().Deployments(c.ns).Create(c.ctx, d, metav1.CreateOptions{})
	require.NoError(t, err)
	return made
}

func (c *cluster) makeRC(t *testing.T, name string, replicas int32) *corev1.ReplicationController {
	t.Helper()
	template := podTemplateSpec(anImage, app(name))
	made, err := c.kube.CoreV1().ReplicationControllers(c.ns).Create(c.ctx, &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(name)},
		Spec: corev1.ReplicationControllerSpec{Replicas: &replicas, Selector: app(name), Template: &template}}, metav1.CreateOptions{})
	require.NoError(t, err)
	return made
}

// pods lists what a selector selects.
func (c *cluster) pods(t *testing.T, selector string) []corev1.Pod {
	t.Helper()
	list, err := c.kube.CoreV1().Pods(c.ns).List(c.ctx, selecting(selector))
	require.NoError(t, err)
	return list.Items
}

// untilPods waits until n pods are selected, each of them as it should be.
func (c *cluster) untilPods(t *testing.T, selector string, n int, is func(*corev1.Pod) bool) []corev1.Pod {
	t.Helper()
	var have []corev1.Pod
	c.until(t, "pods with "+selector, func() (bool, error) {
		have = c.pods(t, selector)
		for i := range have {
			if !is(&have[i]) {
				return false, nil
			}
		}
		return len(have) == n, nil
	})
	return have
}

// running: the pod runs and is ready.
func running(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}

func phase(want corev1.PodPhase) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool { return p.Status.Phase == want }
}
