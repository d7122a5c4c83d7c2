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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"
)

var setEntries = []entry{
	{Group: "Replica sets", Name: "ReplicaSet, is created, Replaced and Patched", Codename: "[sig-apps] ReplicaSet Replace and Patch tests", Test: replicaSetReplaced},
	{Group: "Replica sets", Name: "ReplicaSet, completes the scaling of a ReplicaSet subresource", Codename: "[sig-apps] ReplicaSet Replicaset should have a working scale subresource", Test: replicaSetScale},
	{Group: "Replica sets", Name: "Replica Set, adopt matching pods and release non matching pods", Codename: "[sig-apps] ReplicaSet should adopt matching pods on creation and release no longer matching pods", Test: replicaSetAdopts},
	{Group: "Replica sets", Name: "ReplicaSet, list and delete a collection of ReplicaSets", Codename: "[sig-apps] ReplicaSet should list and delete a collection of ReplicaSets", Test: replicaSetsDeleted},
	{Group: "Replica sets", Name: "ReplicaSet, status sub-resource", Codename: "[sig-apps] ReplicaSet should validate Replicaset Status endpoints", Test: replicaSetStatus},
	{Group: "Replica sets", Name: "Replica Set, run basic image", Codename: "[sig-apps] ReplicaSet should serve a basic image on each replica with a public image", Missing: noTraffic},
	{Group: "Replication controllers", Name: "Replication Controller, adopt matching pods", Codename: "[sig-apps] ReplicationController should adopt matching pods on creation", Test: rcAdopts},
	{Group: "Replication controllers", Name: "Replication Controller, get and update ReplicationController scale", Codename: "[sig-apps] ReplicationController should get and update a ReplicationController scale", Test: rcScale},
	{Group: "Replication controllers", Name: "Replication Controller, release pods", Codename: "[sig-apps] ReplicationController should release no longer matching pods", Test: rcReleases},
	{Group: "Replication controllers", Name: "Replication Controller, lifecycle", Codename: "[sig-apps] ReplicationController should test the lifecycle of a ReplicationController", Test: rcLifecycle},
	{Group: "Replication controllers", Name: "Replication Controller, run basic image", Codename: "[sig-apps] ReplicationController should serve a basic image on each replica with a public image", Missing: noTraffic},
	{Group: "Replication controllers", Name: "Replication Controller, check for issues like exceeding allocated quota", Codename: "[sig-apps] ReplicationController should surface a failure condition on a common issue like exceeded quota", Missing: noQuota},
	{Group: "Stateful sets", Name: "StatefulSet resource Replica scaling", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should have a working scale subresource", Test: statefulSetScale},
	{Group: "Stateful sets", Name: "StatefulSet, list, patch and delete a collection of StatefulSets", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should list, patch and delete a collection of StatefulSets", Test: statefulSetsDeleted},
	{Group: "Stateful sets", Name: "StatefulSet, status sub-resource", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should validate Statefulset Status endpoints", Test: statefulSetStatus},
	{Group: "Stateful sets", Name: "StatefulSet, Rolling Update", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform rolling updates and roll backs of template modifications", Test: statefulSetRolls},
	{Group: "Stateful sets", Name: "StatefulSet, Rolling Update with Partition", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] should perform canary updates and phased rolling updates of template modifications", Test: statefulSetPartition},
	{Group: "Stateful sets", Name: "StatefulSet, Scaling", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Scaling should happen in predictable order and halt if any stateful pod is unhealthy [Slow]", Missing: noBreaking},
	{Group: "Stateful sets", Name: "StatefulSet, Burst Scaling", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Burst scaling should run to completion even with unhealthy pods [Slow]", Missing: noBreaking},
	{Group: "Stateful sets", Name: "StatefulSet, Recreate Failed Pod", Codename: "[sig-apps] StatefulSet Basic StatefulSet functionality [StatefulSetBasic] Should recreate evicted statefulset", Missing: notYet},
	{Group: "Daemon sets", Name: "DaemonSet-Creation", Codename: "[sig-apps] Daemon set [Serial] should run and stop simple daemon", Test: daemonSetRuns},
	{Group: "Daemon sets", Name: "DaemonSet-RollingUpdate", Codename: "[sig-apps] Daemon set [Serial] should update pod when spec was updated and update strategy is RollingUpdate", Test: daemonSetRolls},
	{Group: "Daemon sets", Name: "DaemonSet, list and delete a collection of DaemonSets", Codename: "[sig-apps] Daemon set [Serial] should list and delete a collection of DaemonSets", Test: daemonSetsDeleted},
	{Group: "Daemon sets", Name: "DaemonSet, status sub-resource", Codename: "[sig-apps] Daemon set [Serial] should verify changes to a daemon set status", Test: daemonSetStatus},
	{Group: "Daemon sets", Name: "DaemonSet-FailedPodCreation", Codename: "[sig-apps] Daemon set [Serial] should retry creating failed daemon pods", Test: daemonSetRetries},
	{Group: "Daemon sets", Name: "DaemonSet-NodeSelection", Codename: "[sig-apps] Daemon set [Serial] should run and stop complex daemon", Test: daemonSetSelects},
	{Group: "Daemon sets", Name: "DaemonSet-Rollback", Codename: "[sig-apps] Daemon set [Serial] should rollback without unnecessary restarts", Test: daemonSetRollback},
	{Group: "Daemon sets", Name: "ControllerRevision, resource lifecycle", Codename: "[sig-apps] ControllerRevision [Serial] should manage the lifecycle of a ControllerRevision", Test: controllerRevisions},
}

const (
	noQuota    = "resource quotas are stored but not enforced, and no controller works out their status"
	noBreaking = "a test cannot make a running container unhealthy: commands are not run in containers"
	notYet     = "the test is not written yet"
)

func hasCondition(kind string) func(*unstructured.Unstructured) bool {
	return func(u *unstructured.Unstructured) bool {
		list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		return slices.ContainsFunc(list, func(c any) bool { return c.(map[string]any)["type"] == kind })
	}
}

func (c *cluster) makeReplicaSet(t *testing.T, rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	t.Helper()
	made, err := c.kube.AppsV1().ReplicaSets(c.ns).Create(c.ctx, rs, metav1.CreateOptions{})
	require.NoError(t, err)
	c.untilPods(t, "app="+rs.Name, int(*rs.Spec.Replicas), running)
	return made
}

func (c *cluster) getReplicaSet(t *testing.T) *appsv1.ReplicaSet {
	t.Helper()
	rs, err := c.kube.AppsV1().ReplicaSets(c.ns).Get(c.ctx, "web", metav1.GetOptions{})
	require.NoError(t, err)
	return rs
}

func replicaSetReplaced(t *testing.T, c *cluster) {
	c.makeReplicaSet(t, replicaSet("web", 1))
	sets := c.kube.AppsV1().ReplicaSets(c.ns)
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		rs := c.getReplicaSet(t)
		*rs.Spec.Replicas = 2
		_, err := sets.Update(c.ctx, rs, metav1.UpdateOptions{})
		return err
	}))
	c.untilPods(t, "app=web", 2, running)
	_, err := sets.Patch(c.ctx, "web", strategicPatch, []byte(`{"metadata":{"labels":{"patched":"yes"}},"spec":{"replicas":3,"template":{"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"demo/x:2"}]}}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.until(t, "three replicas", func() (bool, error) {
		rs := c.getReplicaSet(t)
		return rs.Labels["patched"] == "yes" && rs.Status.ReadyReplicas == 3 && rs.Spec.Template.Spec.Containers[0].Image == "demo/x:2", nil
	})
}

func replicaSetScale(t *testing.T, c *cluster) {
	c.makeReplicaSet(t, replicaSet("web", 1))
	c.until(t, "its status", func() (bool, error) { return c.getReplicaSet(t).Status.Replicas == 1, nil })
	c.scaled(t, "replicasets", func() int32 { return *c.getReplicaSet(t).Spec.Replicas })
}

func replicaSetStatus(t *testing.T, c *cluster) {
	c.makeReplicaSet(t, replicaSet("web", 1))
	c.until(t, "its status", func() (bool, error) { return c.getReplicaSet(t).Status.ReadyReplicas == 1, nil })
	c.statusEndpoints(t, "replicasets")
}

// relabelled takes the label away by which a pod is selected.
func (c *cluster) relabelled(t *testing.T, pod string) {
	t.Helper()
	_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, pod, mergePatch, labelled(t, "app", "released"), metav1.PatchOptions{})
	require.NoError(t, err)
}

func (c *cluster) untilAdopted(t *testing.T, pod string, owner metav1.Object) {
	t.Helper()
	c.until(t, "the pod to be adopted", func() (bool, error) {
		p, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, pod, metav1.GetOptions{})
		return err == nil && metav1.IsControlledBy(p, owner), err
	})
}

func (c *cluster) untilReleased(t *testing.T, pod string) {
	t.Helper()
	c.until(t, "the pod to be released", func() (bool, error) {
		p, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, pod, metav1.GetOptions{})
		return err == nil && metav1.GetControllerOf(p) == nil, err
	})
}

func replicaSetAdopts(t *testing.T, c *cluster) {
	c.makePod(t, "orphan", app("web"), podSpec(anImage))
	rs := c.makeReplicaSet(t, replicaSet("web", 1))
	c.untilAdopted(t, "orphan", rs)
	c.relabelled(t, "orphan")
	c.untilReleased(t, "orphan")
}

func replicaSetsDeleted(t *testing.T, c *cluster) {
	c.makeReplicaSet(t, replicaSet("web", 3))
	sets := c.kube.AppsV1().ReplicaSets(c.ns)
	require.Len(t, c.replicaSets(t, "app=web"), 1)
	require.NoError(t, sets.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=web")))
	c.until(t, "the sets to go", func() (bool, error) { return len(c.replicaSets(t, "app=web")) == 0, nil })
}

func rcAdopts(t *testing.T, c *cluster) {
	c.makePod(t, "orphan", app("rc"), podSpec(anImage))
	c.untilAdopted(t, "orphan", c.makeRC(t, "rc", 1))
}

func rcReleases(t *testing.T, c *cluster) {
	c.makeRC(t, "rc", 1)
	pod := c.untilPods(t, "app=rc", 1, running)[0]
	c.relabelled(t, pod.Name)
	c.untilReleased(t, pod.Name)
	c.untilPods(t, "app=rc", 1, running)
}

func rcScale(t *testing.T, c *cluster) {
	c.makeRC(t, "rc", 1)
	rcs := c.kube.CoreV1().ReplicationControllers(c.ns)
	scale, err := rcs.GetScale(c.ctx, "rc", metav1.GetOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 1, scale.Spec.Replicas)
	scale, err = rcs.UpdateScale(c.ctx, "rc", &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "rc", Namespace: c.ns}, Spec: autoscalingv1.ScaleSpec{Replicas: 2}}, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 2, scale.Spec.Replicas)
	c.untilPods(t, "app=rc", 2, running)
}

func rcLifecycle(t *testing.T, c *cluster) {
	rcs := c.kube.CoreV1().ReplicationControllers(c.ns)
	w, err := rcs.Watch(c.ctx, selecting("app=rc"))
	require.NoError(t, err)
	defer w.Stop()
	c.makeRC(t, "rc", 1)
	next(t, w, watch.Added)
	seen(t, w, watch.Modified, func(rc *corev1.ReplicationController) bool { return rc.Status.ReadyReplicas == 1 })
	_, err = rcs.Patch(c.ctx, "rc", strategicPatch, labelled(t, "patched", "yes"), metav1.PatchOptions{})
	require.NoError(t, err)
	seen(t, w, watch.Modified, func(rc *corev1.ReplicationController) bool { return rc.Labels["patched"] == "yes" })
	_, err = rcs.Patch(c.ctx, "rc", strategicPatch, []byte(`{"status":{"readyReplicas":0,"availableReplicas":0}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	seen(t, w, watch.Modified, func(rc *corev1.ReplicationController) bool { return rc.Status.ReadyReplicas == 0 })
	seen(t, w, watch.Modified, func(rc *corev1.ReplicationController) bool { return rc.Status.ReadyReplicas == 1 })
	_, err = rcs.Patch(c.ctx, "rc", strategicPatch, []byte(`{"spec":{"replicas":2}}`), metav1.PatchOptions{}, "scale")
	require.NoError(t, err)
	seen(t, w, watch.Modified, func(rc *corev1.ReplicationController) bool { return rc.Status.ReadyReplicas == 2 })
	got, err := rcs.Get(c.ctx, "rc", metav1.GetOptions{})
	require.NoError(t, err)
	got.Labels["updated"] = "yes"
	_, err = rcs.Update(c.ctx, got, metav1.UpdateOptions{})
	require.NoError(t, err)
	all, err := c.kube.CoreV1().ReplicationControllers("").List(c.ctx, selecting("updated=yes"))
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	require.NoError(t, rcs.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=rc")))
	seen(t, w, watch.Deleted, whatever[*corev1.ReplicationController])
}

func (c *cluster) makeStatefulSet(t *testing.T, s *appsv1.StatefulSet) *appsv1.StatefulSet {
	t.Helper()
	made, err := c.kube.AppsV1().StatefulSets(c.ns).Create(c.ctx, s, metav1.CreateOptions{})
	require.NoError(t, err)
	c.untilPods(t, "app="+s.Name, int(*s.Spec.Replicas), running)
	return made
}

func (c *cluster) getStatefulSet(t *testing.T) *appsv1.StatefulSet {
	t.Helper()
	s, err := c.kube.AppsV1().StatefulSets(c.ns).Get(c.ctx, "web", metav1.GetOptions{})
	require.NoError(t, err)
	return s
}

func statefulSetScale(t *testing.T, c *cluster) {
	c.makeStatefulSet(t, statefulSet("web", 1))
	c.until(t, "its status", func() (bool, error) { return c.getStatefulSet(t).Status.Replicas == 1, nil })
	c.scaled(t, "statefulsets", func() int32 { return *c.getStatefulSet(t).Spec.Replicas })
}

func statefulSetStatus(t *testing.T, c *cluster) {
	c.makeStatefulSet(t, statefulSet("web", 1))
	c.until(t, "its status", func() (bool, error) { return c.getStatefulSet(t).Status.ReadyReplicas == 1, nil })
	c.statusEndpoints(t, "statefulsets")
}

func statefulSetsDeleted(t *testing.T, c *cluster) {
	c.makeStatefulSet(t, statefulSet("web", 1))
	sets := c.kube.AppsV1().StatefulSets(c.ns)
	_, err := sets.Patch(c.ctx, "web", strategicPatch, []byte(`{"metadata":{"labels":{"patched":"yes"}},"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"c","image":"demo/x:2"}]}}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.until(t, "the rollout", func() (bool, error) {
		s := c.getStatefulSet(t)
		return s.Status.ReadyReplicas == 2 && s.Status.UpdatedReplicas == 2, nil
	})
	all, err := c.kube.AppsV1().StatefulSets("").List(c.ctx, selecting("patched=yes,app=web"))
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(all.Items, func(s appsv1.StatefulSet) bool { return s.Namespace == c.ns }))
	require.NoError(t, sets.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("patched=yes")))
	c.until(t, "the sets to go", func() (bool, error) {
		list, err := sets.List(c.ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0, err
	})
}

func (c *cluster) changeStatefulSet(t *testing.T, f func(*appsv1.StatefulSet)) {
	t.Helper()
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		s := c.getStatefulSet(t)
		f(s)
		_, err := c.kube.AppsV1().StatefulSets(c.ns).Update(c.ctx, s, metav1.UpdateOptions{})
		return err
	}))
}

func imageOf(image string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool { return running(p) && p.Spec.Containers[0].Image == image }
}

// statefulSetRolls updates a set and rolls it back: pods go one at a time from the
// last, and the revision is the first again.
func statefulSetRolls(t *testing.T, c *cluster) {
	c.makeStatefulSet(t, statefulSet("web", 3))
	untilSettled := func() *appsv1.StatefulSet {
		var s *appsv1.StatefulSet
		c.until(t, "one revision", func() (bool, error) {
			s = c.getStatefulSet(t)
			return s.Status.ObservedGeneration == s.Generation && s.Status.CurrentRevision == s.Status.UpdateRevision && s.Status.ReadyReplicas == 3 && s.Status.CurrentReplicas == 3, nil
		})
		return s
	}
	first := untilSettled().Status.CurrentRevision
	roll := func(image string) {
		t.Helper()
		list, err := c.kube.CoreV1().Pods(c.ns).List(c.ctx, selecting("app=web"))
		require.NoError(t, err)
		w, err := c.kube.CoreV1().Pods(c.ns).Watch(c.ctx, metav1.ListOptions{LabelSelector: "app=web", ResourceVersion: list.ResourceVersion})
		require.NoError(t, err)
		defer w.Stop()
		c.changeStatefulSet(t, func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = image })
		for _, name := range []string{"web-2", "web-1", "web-0"} {
			for { // until the pod is back and ready, none else may go
				e := <-w.ResultChan()
				p, ok := e.Object.(*corev1.Pod)
				require.True(t, ok, "%v", e)
				if e.Type == watch.Deleted {
					require.Equal(t, name, p.Name, "pods go one at a time, from the last")
				}
				if p.Name == name && imageOf(image)(p) {
					break
				}
			}
		}
	}
	roll("demo/x:2")
	second := untilSettled()
	require.NotEqual(t, first, second.Status.CurrentRevision)
	c.untilPods(t, "app=web", 3, imageOf("demo/x:2"))
	roll(anImage)
	require.Equal(t, first, untilSettled().Status.CurrentRevision, "a template that was there before is the revision it was")
	c.untilPods(t, "app=web", 3, imageOf(anImage))
}

func statefulSetPartition(t *testing.T, c *cluster) {
	s, partition := statefulSet("web", 3), int32(3)
	s.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{Partition: &partition}}
	c.makeStatefulSet(t, s)
	c.changeStatefulSet(t, func(s *appsv1.StatefulSet) { s.Spec.Template.Spec.Containers[0].Image = "demo/x:2" })
	c.until(t, "the new revision", func() (bool, error) {
		s := c.getStatefulSet(t)
		return s.Status.ObservedGeneration == s.Generation && s.Status.UpdateRevision != s.Status.CurrentRevision, nil
	})
	untilImages := func(from int32) { // pods of that ordinal and more have the new image
		t.Helper()
		c.untilPods(t, "app=web", 3, func(p *corev1.Pod) bool {
			want := anImage
			if p.Name >= fmt.Sprint("web-", from) {
				want = "demo/x:2"
			}
			return imageOf(want)(p)
		})
	}
	c.settle(t)
	untilImages(3)
	for _, from := range []int32{2, 1} { // a canary, then a phase more
		c.changeStatefulSet(t, func(s *appsv1.StatefulSet) { *s.Spec.UpdateStrategy.RollingUpdate.Partition = from })
		untilImages(from)
		for _, name := range []string{"web-0", "web-2"} { // either side comes back as it was
			before, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, name, metav1.GetOptions{})
			require.NoError(t, err)
			require.NoError(t, c.kube.CoreV1().Pods(c.ns).Delete(c.ctx, name, metav1.DeleteOptions{}))
			c.until(t, name+" to come back", func() (bool, error) {
				p, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, name, metav1.GetOptions{})
				is, err := found(err)
				return is && p.UID != before.UID && running(p), err
			})
		}
		untilImages(from)
	}
	c.changeStatefulSet(t, func(s *appsv1.StatefulSet) { *s.Spec.UpdateStrategy.RollingUpdate.Partition = 0 })
	untilImages(0)
}

// nodes is how many nodes the cluster has that take pods.
const nodes = 3

func (c *cluster) makeDaemonSet(t *testing.T, d *appsv1.DaemonSet, pods int) *appsv1.DaemonSet {
	t.Helper()
	made, err := c.kube.AppsV1().DaemonSets(c.ns).Create(c.ctx, d, metav1.CreateOptions{})
	require.NoError(t, err)
	c.untilPods(t, "app="+d.Name, pods, running)
	return made
}

func (c *cluster) changeDaemonSet(t *testing.T, f func(*appsv1.DaemonSet)) {
	t.Helper()
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		d, err := c.kube.AppsV1().DaemonSets(c.ns).Get(c.ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		f(d)
		_, err = c.kube.AppsV1().DaemonSets(c.ns).Update(c.ctx, d, metav1.UpdateOptions{})
		return err
	}))
}

func daemonSetRuns(t *testing.T, c *cluster) {
	c.makeDaemonSet(t, daemonSet("web"), nodes)
	pods, on := c.pods(t, "app=web"), map[string]bool{}
	for _, p := range pods {
		on[p.Spec.NodeName] = true
	}
	require.Len(t, on, nodes)
	require.NoError(t, c.kube.CoreV1().Pods(c.ns).Delete(c.ctx, pods[0].Name, metav1.DeleteOptions{}))
	c.untilPods(t, "app=web", nodes, func(p *corev1.Pod) bool { return running(p) && p.UID != pods[0].UID })
}

func daemonSetRolls(t *testing.T, c *cluster) {
	c.makeDaemonSet(t, daemonSet("web"), nodes)
	c.changeDaemonSet(t, func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.Containers[0].Image = "demo/x:2" })
	c.untilPods(t, "app=web", nodes, imageOf("demo/x:2"))
	revisions, err := c.kube.AppsV1().ControllerRevisions(c.ns).List(c.ctx, selecting("app=web"))
	require.NoError(t, err)
	require.Len(t, revisions.Items, 2)
}

func daemonSetsDeleted(t *testing.T, c *cluster) {
	c.makeDaemonSet(t, daemonSet("web"), nodes)
	sets := c.kube.AppsV1().DaemonSets(c.ns)
	list, err := sets.List(c.ctx, selecting("app=web"))
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.NoError(t, sets.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=web")))
	c.until(t, "the sets to go", func() (bool, error) {
		list, err := sets.List(c.ctx, selecting("app=web"))
		return err == nil && len(list.Items) == 0, err
	})
}

func daemonSetStatus(t *testing.T, c *cluster) {
	c.makeDaemonSet(t, daemonSet("web"), nodes)
	c.statusEndpoints(t, "daemonsets")
}

func daemonSetRetries(t *testing.T, c *cluster) {
	c.makeDaemonSet(t, daemonSet("web"), nodes)
	pod := c.pods(t, "app=web")[0]
	_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, pod.Name, mergePatch, []byte(`{"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	c.until(t, "the failed pod to go", func() (bool, error) {
		p, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, pod.Name, metav1.GetOptions{})
		if err == nil {
			return p.UID != pod.UID, nil
		}
		return gone(err)
	})
	c.untilPods(t, "app=web", nodes, running)
}

// daemonSetSelects labels one node with a label of the entry's own.
func daemonSetSelects(t *testing.T, c *cluster) {
	list, err := c.kube.CoreV1().Nodes().List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	node := list.Items[0].Name
	color := func(value any) {
		_, err := c.kube.CoreV1().Nodes().Patch(c.ctx, node, mergePatch, patch(t, map[string]any{"metadata": map[string]any{"labels": map[string]any{c.ns: value}}}), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	d := daemonSet("web")
	d.Spec.Template.Spec.NodeSelector = map[string]string{c.ns: "blue"}
	c.makeDaemonSet(t, d, 0)
	c.settle(t)
	require.Empty(t, c.pods(t, "app=web"))
	color("blue")
	require.Equal(t, node, c.untilPods(t, "app=web", 1, running)[0].Spec.NodeName)
	color("green")
	c.untilPods(t, "app=web", 0, whatever)
	c.changeDaemonSet(t, func(d *appsv1.DaemonSet) {
		d.Spec.Template.Spec.NodeSelector = map[string]string{c.ns: "green"}
		d.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType}
	})
	require.Equal(t, node, c.untilPods(t, "app=web", 1, running)[0].Spec.NodeName)
	color(nil)
	c.untilPods(t, "app=web", 0, whatever)
}

// daemonSetRollback takes back an update that cannot come up: pods that it had not
// reached keep running.
func daemonSetRollback(t *testing.T, c *cluster) {
	c.makeDaemonSet(t, daemonSet("web"), nodes)
	was := map[string]bool{}
	for _, p := range c.pods(t, "app=web") {
		was[string(p.UID)] = true
	}
	c.changeDaemonSet(t, func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.Containers[0].Image = "demo/broken:1" })
	c.until(t, "a pod of the update", func() (bool, error) {
		return slices.ContainsFunc(c.pods(t, "app=web"), func(p corev1.Pod) bool { return p.Spec.Containers[0].Image == "demo/broken:1" }), nil
	})
	kept := map[string]bool{}
	for _, p := range c.pods(t, "app=web") {
		if was[string(p.UID)] && p.DeletionTimestamp == nil {
			kept[string(p.UID)] = true
		}
	}
	require.NotEmpty(t, kept)
	c.changeDaemonSet(t, func(d *appsv1.DaemonSet) { d.Spec.Template.Spec.Containers[0].Image = anImage })
	pods := c.untilPods(t, "app=web", nodes, imageOf(anImage))
	for _, p := range pods {
		delete(kept, string(p.UID))
		for _, s := range p.Status.ContainerStatuses {
			require.Zero(t, s.RestartCount)
		}
	}
	require.Empty(t, kept, "pods that ran the right template were replaced")
}

func controllerRevisions(t *testing.T, c *cluster) {
	ds := c.makeDaemonSet(t, daemonSet("web"), nodes)
	revisions := c.kube.AppsV1().ControllerRevisions(c.ns)
	list := func(n int) []appsv1.ControllerRevision {
		t.Helper()
		var out []appsv1.ControllerRevision
		c.until(t, fmt.Sprint(n, " revisions"), func() (bool, error) {
			list, err := revisions.List(c.ctx, selecting("app=web"))
			require.NoError(t, err)
			out = list.Items
			return len(out) == n, nil
		})
		return out
	}
	initial := list(1)[0]
	patched, err := revisions.Patch(c.ctx, initial.Name, strategicPatch, labelled(t, initial.Name, "patched"), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "patched", patched.Labels[initial.Name])
	made := initial.DeepCopy()
	made.ObjectMeta = metav1.ObjectMeta{Name: "made", Labels: initial.Labels, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet"))}}
	made.Revision++
	_, err = revisions.Create(c.ctx, made, metav1.CreateOptions{})
	require.NoError(t, err)
	list(2)
	require.NoError(t, revisions.Delete(c.ctx, initial.Name, metav1.DeleteOptions{}))
	left := list(1)[0]
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		r, err := revisions.Get(c.ctx, left.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		r.Labels[left.Name] = "updated"
		r, err = revisions.Update(c.ctx, r, metav1.UpdateOptions{})
		if err == nil {
			require.Equal(t, "updated", r.Labels[left.Name])
		}
		return err
	}))
	_, err = c.kube.AppsV1().DaemonSets(c.ns).Patch(c.ctx, "web", strategicPatch, []byte(`{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1}}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	list(2)
	require.NoError(t, revisions.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting(left.Name+"=updated")))
	last := list(1)[0]
	require.EqualValues(t, 3, last.Revision)
}
