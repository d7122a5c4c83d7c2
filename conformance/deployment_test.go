package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"
)

var deploymentEntries = []entry{
	{Group: "Deployments", Name: "Deployment, completes the scaling of a Deployment subresource", Codename: "[sig-apps] Deployment Deployment should have a working scale subresource", Test: deploymentScale},
	{Group: "Deployments", Name: "Deployment Recreate", Codename: "[sig-apps] Deployment RecreateDeployment should delete old pods and create new ones", Test: deploymentRecreate},
	{Group: "Deployments", Name: "Deployment RollingUpdate", Codename: "[sig-apps] Deployment RollingUpdateDeployment should delete old pods and create new ones", Test: deploymentRolls},
	{Group: "Deployments", Name: "Deployment RevisionHistoryLimit", Codename: "[sig-apps] Deployment deployment should delete old replica sets", Test: deploymentHistory},
	{Group: "Deployments", Name: "Deployment Proportional Scaling", Codename: "[sig-apps] Deployment deployment should support proportional scaling", Test: deploymentProportional},
	{Group: "Deployments", Name: "Deployment Rollover", Codename: "[sig-apps] Deployment deployment should support rollover", Test: deploymentRollover},
	{Group: "Deployments", Name: "Deployment, completes the lifecycle of a Deployment", Codename: "[sig-apps] Deployment should run the lifecycle of a Deployment", Test: deploymentLifecycle},
	{Group: "Deployments", Name: "Deployment, status sub-resource", Codename: "[sig-apps] Deployment should validate Deployment Status endpoints", Test: deploymentStatus},
}

func (c *cluster) getDeployment(t *testing.T, name string) *appsv1.Deployment {
	t.Helper()
	d, err := c.kube.AppsV1().Deployments(c.ns).Get(c.ctx, name, metav1.GetOptions{})
	require.NoError(t, err)
	return d
}

// changeDeployment updates a deployment, again on a conflict.
func (c *cluster) changeDeployment(t *testing.T, name string, f func(*appsv1.Deployment)) {
	t.Helper()
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		d := c.getDeployment(t, name)
		f(d)
		_, err := c.kube.AppsV1().Deployments(c.ns).Update(c.ctx, d, metav1.UpdateOptions{})
		return err
	}))
}

// untilRolledOut waits until the newest template runs everywhere and nothing else does.
func (c *cluster) untilRolledOut(t *testing.T, name string) *appsv1.Deployment {
	t.Helper()
	var d *appsv1.Deployment
	c.until(t, "the rollout of "+name, func() (bool, error) {
		d = c.getDeployment(t, name)
		n := *d.Spec.Replicas
		return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == n && d.Status.Replicas == n && d.Status.AvailableReplicas == n, nil
	})
	return d
}

// scaled drives the scale of a workload: it must be 1, is updated to 2 and patched to 4.
func (c *cluster) scaled(t *testing.T, resource string, replicas func() int32) {
	t.Helper()
	client := c.kube.AppsV1().RESTClient()
	var scale autoscalingv1.Scale
	require.NoError(t, client.Get().Namespace(c.ns).Resource(resource).Name("web").SubResource("scale").Do(c.ctx).Into(&scale))
	require.EqualValues(t, 1, scale.Spec.Replicas)
	require.EqualValues(t, 1, scale.Status.Replicas)
	scale.ResourceVersion = ""
	scale.Spec.Replicas = 2
	var got autoscalingv1.Scale
	require.NoError(t, client.Put().Namespace(c.ns).Resource(resource).Name("web").SubResource("scale").Body(&scale).Do(c.ctx).Into(&got))
	require.EqualValues(t, 2, got.Spec.Replicas)
	require.EqualValues(t, 2, replicas())
	require.NoError(t, client.Patch(mergePatch).Namespace(c.ns).Resource(resource).Name("web").SubResource("scale").Body([]byte(`{"spec":{"replicas":4}}`)).Do(c.ctx).Into(&got))
	require.EqualValues(t, 4, got.Spec.Replicas)
	require.EqualValues(t, 4, replicas())
	c.untilPods(t, "app=web", 4, running)
}

func deploymentScale(t *testing.T, c *cluster) {
	c.makeDeployment(t, deployment("web", 1))
	c.untilRolledOut(t, "web")
	c.scaled(t, "deployments", func() int32 { return *c.getDeployment(t, "web").Spec.Replicas })
}

// deploymentRecreate watches the pods: no new one may be there before the old are gone.
func deploymentRecreate(t *testing.T, c *cluster) {
	d := deployment("web", 2)
	d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
	c.makeDeployment(t, d)
	c.untilRolledOut(t, "web")
	list, err := c.kube.CoreV1().Pods(c.ns).List(c.ctx, selecting("app=web"))
	require.NoError(t, err)
	w, err := c.kube.CoreV1().Pods(c.ns).Watch(c.ctx, metav1.ListOptions{LabelSelector: "app=web", ResourceVersion: list.ResourceVersion})
	require.NoError(t, err)
	defer w.Stop()
	c.changeDeployment(t, "web", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "demo/x:2" })
	old := map[string]bool{}
	for _, p := range list.Items {
		old[p.Name] = true
	}
	for ready := map[string]bool{}; len(ready) < 2; {
		e := <-w.ResultChan()
		p, ok := e.Object.(*corev1.Pod)
		require.True(t, ok, "%v", e)
		switch {
		case old[p.Name] && e.Type == watch.Deleted || old[p.Name] && p.Status.Phase == corev1.PodSucceeded || old[p.Name] && p.Status.Phase == corev1.PodFailed:
			delete(old, p.Name)
		case p.Spec.Containers[0].Image == "demo/x:2":
			require.Empty(t, old, "%s was made while old pods ran", p.Name)
			if running(p) {
				ready[p.Name] = true
			}
		}
	}
	c.untilRolledOut(t, "web")
}

func deploymentRolls(t *testing.T, c *cluster) {
	set := replicaSet("adopted", 1)
	set.Spec.Template.Labels, set.Spec.Selector.MatchLabels = app("web"), app("web")
	set.Labels = app("web")
	_, err := c.kube.AppsV1().ReplicaSets(c.ns).Create(c.ctx, set, metav1.CreateOptions{})
	require.NoError(t, err)
	c.untilPods(t, "app=web", 1, running)
	d := deployment("web", 1)
	d.Spec.Template.Spec.Containers[0].Image = "demo/x:2"
	d = c.makeDeployment(t, d)
	c.untilRolledOut(t, "web")
	pods := c.untilPods(t, "app=web", 1, running)
	require.Equal(t, "demo/x:2", pods[0].Spec.Containers[0].Image)
	sets := c.replicaSets(t, "app=web")
	require.Len(t, sets, 2)
	for _, s := range sets {
		require.True(t, metav1.IsControlledBy(&s, d), "%s", s.Name)
		require.Equal(t, s.Name != "adopted", *s.Spec.Replicas == 1)
	}
}

func deploymentHistory(t *testing.T, c *cluster) {
	d, none := deployment("web", 1), int32(0)
	d.Spec.RevisionHistoryLimit = &none
	c.makeDeployment(t, d)
	c.untilRolledOut(t, "web")
	c.changeDeployment(t, "web", func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "demo/x:2" })
	c.untilRolledOut(t, "web")
	c.until(t, "the old replica set to go", func() (bool, error) { return len(c.replicaSets(t, "app=web")) == 1, nil })
	require.Equal(t, "demo/x:2", c.replicaSets(t, "app=web")[0].Spec.Template.Spec.Containers[0].Image)
}

// deploymentProportional scales a deployment whose rollout is stuck: each replica set
// grows by its share.
func deploymentProportional(t *testing.T, c *cluster) {
	d := deployment("web", 10)
	surge, unavailable := intstr.FromInt32(3), intstr.FromInt32(2)
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &surge, MaxUnavailable: &unavailable}}
	c.makeDeployment(t, d)
	c.untilRolledOut(t, "web")
	c.changeDeployment(t, "web", func(d *appsv1.Deployment) {
		pod := &d.Spec.Template.Spec
		pod.Containers[0].Image = "demo/unready:1"
		pod.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}}
	})
	sizes := func() (out [2]int32) { // of the old and the new one
		for _, s := range c.replicaSets(t, "app=web") {
			i := 0
			if s.Spec.Template.Spec.Containers[0].Image == "demo/unready:1" {
				i = 1
			}
			out[i] = *s.Spec.Replicas
		}
		return out
	}
	untilSizes := func(old, fresh int32) {
		t.Helper()
		c.until(t, fmt.Sprintf("replica sets of %d and %d", old, fresh), func() (bool, error) { return sizes() == [2]int32{old, fresh}, nil })
	}
	untilSizes(8, 5)
	c.until(t, "the pods of the new one", func() (bool, error) { return len(c.pods(t, "app=web")) == 13, nil })
	c.changeDeployment(t, "web", func(d *appsv1.Deployment) { *d.Spec.Replicas = 30 })
	untilSizes(20, 13)
}

// deploymentRollover changes the template while a rollout that cannot end goes on.
func deploymentRollover(t *testing.T, c *cluster) {
	d := deployment("web", 2)
	c.makeDeployment(t, d)
	c.untilRolledOut(t, "web")
	c.changeDeployment(t, "web", func(d *appsv1.Deployment) {
		pod := &d.Spec.Template.Spec
		pod.Containers[0].Image = "demo/unready:1"
		pod.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}}}
	})
	c.until(t, "the second replica set", func() (bool, error) { return len(c.replicaSets(t, "app=web")) == 2, nil })
	c.changeDeployment(t, "web", func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Image = "demo/x:3"
		d.Spec.Template.Spec.Containers[0].ReadinessProbe = nil
	})
	c.untilRolledOut(t, "web")
	sets := c.replicaSets(t, "app=web")
	require.Len(t, sets, 3)
	for _, s := range sets {
		want := int32(0)
		if s.Spec.Template.Spec.Containers[0].Image == "demo/x:3" {
			want = 2
		}
		require.Equal(t, want, *s.Spec.Replicas, s.Spec.Template.Spec.Containers[0].Image)
	}
}

func deploymentLifecycle(t *testing.T, c *cluster) {
	deployments := c.kube.AppsV1().Deployments(c.ns)
	w, err := deployments.Watch(c.ctx, selecting("app=web"))
	require.NoError(t, err)
	defer w.Stop()
	c.makeDeployment(t, deployment("web", 2))
	next(t, w, watch.Added)
	seen(t, w, watch.Modified, func(d *appsv1.Deployment) bool { return d.Status.ReadyReplicas == 2 })
	_, err = deployments.Patch(c.ctx, "web", strategicPatch, []byte(`{"metadata":{"labels":{"patched":"yes"}},"spec":{"replicas":1,"template":{"spec":{"terminationGracePeriodSeconds":30,"containers":[{"name":"c","image":"demo/x:2"}]}}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	seen(t, w, watch.Modified, func(d *appsv1.Deployment) bool {
		return d.Labels["patched"] == "yes" && d.Status.ReadyReplicas == 1 && d.Status.UpdatedReplicas == 1
	})
	all, err := c.kube.AppsV1().Deployments("").List(c.ctx, selecting("app=web"))
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(all.Items, func(d appsv1.Deployment) bool { return d.Namespace == c.ns && d.Labels["patched"] == "yes" }))
	c.changeDeployment(t, "web", func(d *appsv1.Deployment) { *d.Spec.Replicas = 2 })
	seen(t, w, watch.Modified, func(d *appsv1.Deployment) bool { return d.Status.ReadyReplicas == 2 })
	got, err := deployments.Patch(c.ctx, "web", mergePatch, []byte(`{"metadata":{"annotations":{"status":"patched"}},"status":{"readyReplicas":2}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	require.Equal(t, "patched", got.Annotations["status"])
	u, err := c.dyn.Resource(appsv1.SchemeGroupVersion.WithResource("deployments")).Namespace(c.ns).Get(c.ctx, "web", metav1.GetOptions{}, "status")
	require.NoError(t, err)
	require.Equal(t, "web", u.GetName())
	require.NoError(t, deployments.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=web")))
	seen(t, w, watch.Deleted, whatever[*appsv1.Deployment])
}

// statusEndpoints reads, updates and patches the status of a workload: a condition of
// the writer's own must stay visible, whatever the controller writes besides.
func (c *cluster) statusEndpoints(t *testing.T, resource string) {
	t.Helper()
	objects := c.dyn.Resource(appsv1.SchemeGroupVersion.WithResource(resource)).Namespace(c.ns)
	w, err := objects.Watch(c.ctx, selecting("app=web"))
	require.NoError(t, err)
	defer w.Stop()
	_, err = objects.Get(c.ctx, "web", metav1.GetOptions{}, "status")
	require.NoError(t, err)
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		u, err := objects.Get(c.ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		status := u.Object["status"].(map[string]any)
		list, _ := status["conditions"].([]any)
		status["conditions"] = append(list, map[string]any{"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "set"})
		_, err = objects.UpdateStatus(c.ctx, u, metav1.UpdateOptions{})
		return err
	}))
	seen(t, w, watch.Modified, hasCondition("StatusUpdate"))
	_, err = objects.Patch(c.ctx, "web", mergePatch, []byte(`{"status":{"conditions":[{"type":"StatusPatched","status":"True"}]}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	seen(t, w, watch.Modified, hasCondition("StatusPatched"))
}

func deploymentStatus(t *testing.T, c *cluster) {
	c.makeDeployment(t, deployment("web", 1))
	c.untilRolledOut(t, "web")
	c.statusEndpoints(t, "deployments")
}
