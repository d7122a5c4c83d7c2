package conformance

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var collectorEntries = []entry{
	{Group: "Garbage collection", Name: "Garbage Collector, delete replication controller, propagation policy background",
		Codename: "[sig-api-machinery] Garbage collector should delete pods created by rc when not orphaning", Test: backgroundRC},
	{Group: "Garbage collection", Name: "Garbage Collector, delete replication controller, propagation policy orphan",
		Codename: "[sig-api-machinery] Garbage collector should orphan pods created by rc if delete options say so", Test: orphanRC},
	{Group: "Garbage collection", Name: "Garbage Collector, delete deployment,  propagation policy background",
		Codename: "[sig-api-machinery] Garbage collector should delete RS created by deployment when not orphaning", Test: backgroundDeployment},
	{Group: "Garbage collection", Name: "Garbage Collector, delete deployment, propagation policy orphan",
		Codename: "[sig-api-machinery] Garbage collector should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan", Test: orphanDeployment},
	{Group: "Garbage collection", Name: "Garbage Collector, delete replication controller, after owned pods",
		Codename: "[sig-api-machinery] Garbage collector should keep the rc around until all its pods are deleted if the deleteOptions says so", Test: foregroundRC},
	{Group: "Garbage collection", Name: "Garbage Collector, multiple owners",
		Codename: "[sig-api-machinery] Garbage collector should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted", Test: twoOwners},
	{Group: "Garbage collection", Name: "Garbage Collector, dependency cycle",
		Codename: "[sig-api-machinery] Garbage collector should not be blocked by dependency circle", Test: ownersInACircle},
}

func propagate(p metav1.DeletionPropagation, uid *metav1.Preconditions) metav1.DeleteOptions {
	return metav1.DeleteOptions{PropagationPolicy: &p, Preconditions: uid}
}

func (c *cluster) deleteRC(t *testing.T, rc *corev1.ReplicationController, p metav1.DeletionPropagation) {
	t.Helper()
	require.NoError(t, c.kube.CoreV1().ReplicationControllers(c.ns).Delete(c.ctx, rc.Name, propagate(p, &metav1.Preconditions{UID: &rc.UID})))
}

func (c *cluster) untilRCGone(t *testing.T, name string) {
	t.Helper()
	c.until(t, "the replication controller to go", func() (bool, error) {
		_, err := c.kube.CoreV1().ReplicationControllers(c.ns).Get(c.ctx, name, metav1.GetOptions{})
		return gone(err)
	})
}

func backgroundRC(t *testing.T, c *cluster) {
	rc := c.makeRC(t, "rc", 2)
	c.until(t, "a pod", func() (bool, error) { return len(c.pods(t, "app=rc")) > 0, nil })
	c.deleteRC(t, rc, metav1.DeletePropagationBackground)
	c.untilRCGone(t, "rc")
	c.untilPods(t, "app=rc", 0, whatever)
}

func orphanRC(t *testing.T, c *cluster) {
	rc := c.makeRC(t, "rc", 20)
	c.untilPods(t, "app=rc", 20, running)
	c.deleteRC(t, rc, metav1.DeletePropagationOrphan)
	c.untilRCGone(t, "rc")
	c.untilPods(t, "app=rc", 20, func(p *corev1.Pod) bool { return len(p.OwnerReferences) == 0 && p.DeletionTimestamp == nil })
	c.settle(t)
	require.Len(t, c.pods(t, "app=rc"), 20, "orphans must stay")
}

// settle lets enough virtual time pass for the controllers to have done what they
// would: a pod that ends by itself is made and has ended.
func (c *cluster) settle(t *testing.T) {
	t.Helper()
	spec := podSpec("demo/done:1")
	spec.RestartPolicy = corev1.RestartPolicyNever
	c.makePod(t, "settle", map[string]string{"settle": "x"}, spec)
	c.untilPods(t, "settle=x", 1, phase(corev1.PodSucceeded))
	require.NoError(t, c.kube.CoreV1().Pods(c.ns).Delete(c.ctx, "settle", metav1.DeleteOptions{}))
	c.untilPods(t, "settle=x", 0, whatever)
}

func (c *cluster) replicaSets(t *testing.T, selector string) []appsv1.ReplicaSet {
	t.Helper()
	list, err := c.kube.AppsV1().ReplicaSets(c.ns).List(c.ctx, selecting(selector))
	require.NoError(t, err)
	return list.Items
}

func backgroundDeployment(t *testing.T, c *cluster) {
	d := c.makeDeployment(t, deployment("web", 2))
	c.until(t, "a replica set", func() (bool, error) { return len(c.replicaSets(t, "app=web")) == 1, nil })
	require.NoError(t, c.kube.AppsV1().Deployments(c.ns).Delete(c.ctx, "web", propagate(metav1.DeletePropagationBackground, &metav1.Preconditions{UID: &d.UID})))
	c.until(t, "the replica set to go", func() (bool, error) { return len(c.replicaSets(t, "app=web")) == 0, nil })
	c.untilPods(t, "app=web", 0, whatever)
}

func orphanDeployment(t *testing.T, c *cluster) {
	d := c.makeDeployment(t, deployment("web", 2))
	c.untilPods(t, "app=web", 2, running)
	require.NoError(t, c.kube.AppsV1().Deployments(c.ns).Delete(c.ctx, "web", propagate(metav1.DeletePropagationOrphan, &metav1.Preconditions{UID: &d.UID})))
	c.until(t, "the deployment to go", func() (bool, error) {
		_, err := c.kube.AppsV1().Deployments(c.ns).Get(c.ctx, "web", metav1.GetOptions{})
		return gone(err)
	})
	c.settle(t)
	sets := c.replicaSets(t, "app=web")
	require.Len(t, sets, 1)
	require.Empty(t, sets[0].OwnerReferences)
	require.Len(t, c.pods(t, "app=web"), 2)
	for _, p := range c.pods(t, "app=web") {
		require.True(t, metav1.IsControlledBy(&p, &sets[0]))
	}
}

func foregroundRC(t *testing.T, c *cluster) {
	rc := c.makeRC(t, "rc", 10)
	c.untilPods(t, "app=rc", 10, running)
	c.deleteRC(t, rc, metav1.DeletePropagationForeground)
	c.until(t, "the replication controller to go", func() (bool, error) {
		pods := c.pods(t, "app=rc")
		now, err := c.kube.CoreV1().ReplicationControllers(c.ns).Get(c.ctx, "rc", metav1.GetOptions{})
		if err == nil {
			require.NotNil(t, now.DeletionTimestamp)
			require.Contains(t, now.Finalizers, metav1.FinalizerDeleteDependents)
		}
		is, err := gone(err)
		if is && len(pods) > 0 { // they may have gone between the two requests
			require.Empty(t, c.pods(t, "app=rc"), "the owner went before what it owns")
		}
		return is, err
	})
	require.Empty(t, c.pods(t, "app=rc"))
}

func ownedBy(t *testing.T, refs ...metav1.OwnerReference) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": refs}})
	require.NoError(t, err)
	return b
}

func twoOwners(t *testing.T, c *cluster) {
	one := c.makeRC(t, "one", 10)
	two := c.makeRC(t, "two", 0)
	pods := c.untilPods(t, "app=one", 10, running)
	shared := map[string]bool{}
	for _, p := range pods[:5] {
		_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, p.Name, strategicPatch,
			ownedBy(t, metav1.OwnerReference{APIVersion: "v1", Kind: "ReplicationController", Name: two.Name, UID: two.UID}), metav1.PatchOptions{})
		require.NoError(t, err)
		shared[p.Name] = true
	}
	c.deleteRC(t, one, metav1.DeletePropagationForeground)
	c.untilRCGone(t, "one")
	c.settle(t)
	left := c.pods(t, "app=one")
	require.Len(t, left, 5)
	for _, p := range left {
		require.True(t, shared[p.Name])
		require.Nil(t, p.DeletionTimestamp)
	}
}

func ownersInACircle(t *testing.T, c *cluster) {
	var pods []*corev1.Pod
	for i := range 3 {
		pods = append(pods, c.makePod(t, fmt.Sprint("pod-", i), app("circle"), podSpec(anImage)))
	}
	yes := true
	for i, p := range pods {
		owner := pods[(i+2)%3]
		_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, p.Name, strategicPatch,
			ownedBy(t, metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: owner.Name, UID: owner.UID, Controller: &yes, BlockOwnerDeletion: &yes}), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, c.kube.CoreV1().Pods(c.ns).Delete(c.ctx, "pod-0", propagate(metav1.DeletePropagationForeground, nil)))
	c.untilPods(t, "app=circle", 0, whatever)
}
