package conformance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	noRoot     = "kube-root-ca.crt is published only where the cluster has a root certificate, which the cluster of these tests has not"
	notGuarded = "not run here: the cluster of these tests lets everyone do everything, so a review has nothing to compare"
)

var accountEntries = slices.Concat([]entry{
	{Group: "Service accounts and access reviews", Name: "ServiceAccount lifecycle test", Codename: "[sig-auth] ServiceAccounts should run through the lifecycle of a ServiceAccount", Test: accountLifecycle},
	{Group: "Service accounts and access reviews", Name: "ServiceAccount, update a ServiceAccount", Codename: "[sig-auth] ServiceAccounts should update a ServiceAccount", Test: accountUpdated},
	{Group: "Service accounts and access reviews", Name: "RootCA ConfigMap test", Codename: "[sig-auth] ServiceAccounts should guarantee kube-root-ca.crt exist in any namespace", Missing: noRoot},
	{Group: "Service accounts and access reviews", Name: "SubjectReview, API Operations", Codename: "[sig-auth] SubjectReview should support SubjectReview API operations", Missing: notGuarded},
	{Group: "Service accounts and access reviews", Name: "CertificateSigningRequest API", Codename: "[sig-auth] Certificates API [Privileged:ClusterAdmin] should support CSR API operations", Missing: "certificates.k8s.io is not served"},
}, missing("Service accounts and access reviews", "tokens are not mounted into pods: a container has no files",
	"OIDC Discovery (ServiceAccountIssuerDiscovery)", "[sig-auth] ServiceAccounts ServiceAccountIssuerDiscovery should support OIDC discovery of service account issuer",
	"Service account tokens auto mount optionally", "[sig-auth] ServiceAccounts should allow opting out of API token automount",
	"Service Account Tokens Must AutoMount", "[sig-auth] ServiceAccounts should mount an API token into pods",
	"TokenRequestProjection should mount a projected volume with token using TokenRequest API.", "[sig-auth] ServiceAccounts should mount projected service account token",
))

var quotaEntries = slices.Concat([]entry{
	{Group: "Quotas and limits", Name: "ResourceQuota, update and delete", Codename: "[sig-api-machinery] ResourceQuota should be able to update and delete ResourceQuota.", Test: quotaUpdated},
	{Group: "Quotas and limits", Name: "ResourceQuota, manage lifecycle of a ResourceQuota", Codename: "[sig-api-machinery] ResourceQuota should manage the lifecycle of a ResourceQuota", Test: quotaLifecycle},
	{Group: "Quotas and limits", Name: "LimitRange, list, patch and delete a LimitRange by collection", Codename: "[sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection", Test: limitRangeDeleted},
	{Group: "Quotas and limits", Name: "LimitRange, resources", Codename: "[sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those defaults applied.", Missing: "limit ranges are stored but give pods no defaults"},
}, missing("Quotas and limits", noQuota,
	"ResourceQuota, apply changes to a ResourceQuota status", "[sig-api-machinery] ResourceQuota should apply changes to a resourcequota status",
	"ResourceQuota, object count quota, configmap", "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a configMap.",
	"ResourceQuota, object count quota, pod", "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a pod.",
	"ResourceQuota, object count quota, replicaSet", "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replica set.",
	"ResourceQuota, object count quota, replicationController", "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a replication controller.",
	"ResourceQuota, object count quota, secret", "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret.",
	"ResourceQuota, object count quota, service", "[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a service.",
	"ResourceQuota, object count quota, resourcequotas", "[sig-api-machinery] ResourceQuota should create a ResourceQuota and ensure its status is promptly calculated.",
	"ResourceQuota, quota scope, BestEffort and NotBestEffort scope", "[sig-api-machinery] ResourceQuota should verify ResourceQuota with best effort scope.",
	"ResourceQuota, quota scope, Terminating and NotTerminating scope", "[sig-api-machinery] ResourceQuota should verify ResourceQuota with terminating scopes.",
))

// restEntries are of kinds that take all verbs, and what else is small.
var restEntries = slices.Concat([]entry{
	{Group: "Nodes and pods", Name: "Node, resource lifecycle", Codename: "[sig-node] Node Lifecycle should run through the lifecycle of a node", Test: operations{
		gvr: corev1.SchemeGroupVersion.WithResource("nodes"), cluster: true, object: `{"apiVersion":"v1","kind":"Node","metadata":{},"spec":{"unschedulable":true}}`}.test},
	{Group: "Nodes and pods", Name: "Pods, QOS", Codename: "[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits for memory and cpu", Test: podQOS},
	{Group: "Nodes and pods", Name: "Pods, ActiveDeadlineSeconds", Codename: "[sig-node] Pods should allow activeDeadlineSeconds to be updated [NodeConformance]", Test: podDeadline},
	{Group: "Nodes and pods", Name: "Pods, lifecycle", Codename: "[sig-node] Pods should be submitted and removed [NodeConformance]", Test: podSubmitted},
	{Group: "Nodes and pods", Name: "Pods, update", Codename: "[sig-node] Pods should be updated [NodeConformance]", Test: podUpdated},
	{Group: "Nodes and pods", Name: "Pods, delete a collection", Codename: "[sig-node] Pods should delete a collection of pods", Test: podsDeleted},
	{Group: "Nodes and pods", Name: "Pods, assigned hostip", Codename: "[sig-node] Pods should get a host IP [NodeConformance]", Test: podHostIP},
	{Group: "Nodes and pods", Name: "Pods, patching status", Codename: "[sig-node] Pods should patch a pod status", Test: podStatus},
	{Group: "Nodes and pods", Name: "Ephemeral Container Creation", Codename: "[sig-node] Ephemeral Containers will start an ephemeral container in an existing pod [NodeConformance]", Test: podGuest},
	{Group: "Nodes and pods", Name: "Ephemeral Container, update ephemeral containers", Codename: "[sig-node] Ephemeral Containers should update the ephemeral containers in an existing pod [NodeConformance]", Test: podGuests},
	{Group: "Scheduling", Name: "Scheduler, resource limits", Codename: "[sig-scheduling] SchedulerPredicates [Serial] validates resource limits of pods that are allowed to run", Missing: notYet},
	{Group: "Scheduling", Name: "Scheduler, node selector matching", Codename: "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if matching", Test: nodeSelected},
	{Group: "Scheduling", Name: "Scheduler, node selector not matching", Codename: "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if not matching", Test: nodeNotSelected},
	{Group: "Scheduling", Name: "Scheduler, Verify PriorityClass endpoints", Codename: "[sig-scheduling] SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods", Test: priorityClasses},
	{Group: "Storage API", Name: "CSIStorageCapacity API", Codename: "[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations", Test: operations{
		gvr: storageV1("csistoragecapacities"), object: `{"apiVersion":"storage.k8s.io/v1","kind":"CSIStorageCapacity","metadata":{},"storageClassName":"x","capacity":"10Gi"}`}.test},
	{Group: "Storage API", Name: "CSIDriver, lifecycle", Codename: "[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver", Test: operations{
		gvr: storageV1("csidrivers"), cluster: true, object: `{"apiVersion":"storage.k8s.io/v1","kind":"CSIDriver","metadata":{},"spec":{"attachRequired":false}}`}.test},
	{Group: "Storage API", Name: "CSINode, lifecycle", Codename: "[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode", Test: operations{
		gvr: storageV1("csinodes"), cluster: true, object: `{"apiVersion":"storage.k8s.io/v1","kind":"CSINode","metadata":{},"spec":{"drivers":[]}}`}.test},
	{Group: "Storage API", Name: "StorageClass, lifecycle", Codename: "[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass", Test: operations{
		gvr: storageV1("storageclasses"), cluster: true, object: `{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{},"provisioner":"example.com/fake"}`}.test},
	{Group: "Storage API", Name: "VolumeAttachment, lifecycle", Codename: "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment", Test: operations{
		gvr: storageV1("volumeattachments"), cluster: true, object: `{"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttachment","metadata":{},"spec":{"attacher":"example.com/fake","nodeName":"n","source":{"persistentVolumeName":"pv"}}}`}.test},
	{Group: "Storage API", Name: "VolumeAttachment, apply changes to a volumeattachment status", Codename: "[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status", Test: operations{
		gvr: storageV1("volumeattachments"), cluster: true, object: `{"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttachment","metadata":{},"spec":{"attacher":"example.com/fake","nodeName":"n","source":{"persistentVolumeName":"pv"}}}`,
		status: []string{"status", "attached"}, value: true, other: false}.test},
}, missing("Scheduling", "the scheduler does not preempt",
	"Pod preemption verification", "[sig-scheduling] SchedulerPreemption [Serial] PreemptionExecutionPath runs ReplicaSets to verify preemption running path",
	"Scheduler, Basic Preemption", "[sig-scheduling] SchedulerPreemption [Serial] validates basic preemption works",
	"Scheduler, Preemption for critical pod", "[sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod preemption by critical pod",
	"Verify the DisruptionTarget condition is added to the preempted pod", "[sig-scheduling] SchedulerPreemption [Serial] validates pod disruption condition is added to the preempted pod",
), missing("Runtime classes", "node.k8s.io is not served",
	"RuntimeClass API", "[sig-node] RuntimeClass should support RuntimeClasses API operations",
	"Pod with the deleted RuntimeClass is rejected.", "[sig-node] RuntimeClass should reject a Pod requesting a deleted RuntimeClass [NodeConformance]",
	"Pod with the non-existing RuntimeClass is rejected.", "[sig-node] RuntimeClass should reject a Pod requesting a non-existent RuntimeClass [NodeConformance]",
	"RuntimeClass Overhead field must be respected.", "[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead [NodeConformance]",
	"Can schedule a pod requesting existing RuntimeClass.", "[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead [NodeConformance]",
), missing("Priority and fairness", "flowcontrol.apiserver.k8s.io is not served",
	"Priority and Fairness FlowSchema API", "[sig-api-machinery] API priority and fairness should support FlowSchema API operations",
	"Priority and Fairness PriorityLevelConfiguration API", "[sig-api-machinery] API priority and fairness should support PriorityLevelConfiguration API operations",
))

func storageV1(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: name}
}

func accountLifecycle(t *testing.T, c *cluster) {
	accounts, no := c.kube.CoreV1().ServiceAccounts(c.ns), false
	w, err := accounts.Watch(c.ctx, selecting("static=true"))
	require.NoError(t, err)
	defer w.Stop()
	_, err = accounts.Create(c.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "sa", Labels: map[string]string{"static": "true"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, "true", next(t, w, watch.Added).(*corev1.ServiceAccount).Labels["static"])
	_, err = accounts.Patch(c.ctx, "sa", strategicPatch, patch(t, map[string]any{"automountServiceAccountToken": no}), metav1.PatchOptions{})
	require.NoError(t, err)
	require.False(t, *next(t, w, watch.Modified).(*corev1.ServiceAccount).AutomountServiceAccountToken)
	all, err := c.kube.CoreV1().ServiceAccounts("").List(c.ctx, selecting("static=true"))
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(all.Items, func(s corev1.ServiceAccount) bool {
		return s.Namespace == c.ns && s.Name == "sa" && s.AutomountServiceAccountToken != nil && !*s.AutomountServiceAccountToken
	}))
	require.NoError(t, accounts.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("static=true")))
	next(t, w, watch.Deleted)
}

func accountUpdated(t *testing.T, c *cluster) {
	accounts, no := c.kube.CoreV1().ServiceAccounts(c.ns), false
	sa, err := accounts.Create(c.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "sa"}}, metav1.CreateOptions{})
	require.NoError(t, err)
	sa.AutomountServiceAccountToken = &no
	sa, err = accounts.Update(c.ctx, sa, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.False(t, *sa.AutomountServiceAccountToken)
}

func quota(name string, cpu string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("500Mi")}}}
}

func quotaUpdated(t *testing.T, c *cluster) {
	quotas := c.kube.CoreV1().ResourceQuotas(c.ns)
	q, err := quotas.Create(c.ctx, quota("q", "1"), metav1.CreateOptions{})
	require.NoError(t, err)
	q.Spec.Hard[corev1.ResourceCPU] = resource.MustParse("2")
	q.Spec.Hard[corev1.ResourceMemory] = resource.MustParse("1Gi")
	_, err = quotas.Update(c.ctx, q, metav1.UpdateOptions{})
	require.NoError(t, err)
	q, err = quotas.Get(c.ctx, "q", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "2", q.Spec.Hard.Cpu().String())
	require.Equal(t, "1Gi", q.Spec.Hard.Memory().String())
	require.NoError(t, quotas.Delete(c.ctx, "q", metav1.DeleteOptions{}))
	_, err = quotas.Get(c.ctx, "q", metav1.GetOptions{})
	is, _ := gone(err)
	require.True(t, is, "%v", err)
}

func quotaLifecycle(t *testing.T, c *cluster) {
	quotas := c.kube.CoreV1().ResourceQuotas(c.ns)
	q := quota("q", "1")
	q.Labels = app(c.ns)
	_, err := quotas.Create(c.ctx, q, metav1.CreateOptions{})
	require.NoError(t, err)
	all, err := c.kube.CoreV1().ResourceQuotas("").List(c.ctx, selecting("app="+c.ns))
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	patched, err := quotas.Patch(c.ctx, "q", strategicPatch, []byte(`{"metadata":{"labels":{"patched":"yes"}},"spec":{"hard":{"memory":"750Mi"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "yes", patched.Labels["patched"])
	require.Equal(t, "750Mi", patched.Spec.Hard.Memory().String())
	require.Equal(t, "1", patched.Spec.Hard.Cpu().String())
	require.NoError(t, quotas.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app="+c.ns)))
	c.until(t, "the quota to go", func() (bool, error) {
		_, err := quotas.Get(c.ctx, "q", metav1.GetOptions{})
		return gone(err)
	})
}

func limitRangeDeleted(t *testing.T, c *cluster) {
	other := c.space(t)
	for _, ns := range []string{c.ns, other} {
		_, err := c.kube.CoreV1().LimitRanges(ns).Create(c.ctx, &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "l", Labels: app(c.ns)},
			Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, DefaultRequest: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}}}}, metav1.CreateOptions{})
		require.NoError(t, err)
	}
	count := func() int {
		all, err := c.kube.CoreV1().LimitRanges("").List(c.ctx, selecting("app="+c.ns))
		require.NoError(t, err)
		return len(all.Items)
	}
	require.Equal(t, 2, count())
	ranges := c.kube.CoreV1().LimitRanges(c.ns)
	p, err := ranges.Patch(c.ctx, "l", strategicPatch, []byte(`{"metadata":{"labels":{"l":"patched"}},"spec":{"limits":[{"type":"Container","defaultRequest":{"cpu":"50m"}}]}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "patched", p.Labels["l"])
	require.Equal(t, "50m", p.Spec.Limits[0].DefaultRequest.Cpu().String())
	require.NoError(t, ranges.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("l=patched")))
	c.until(t, "one limit range to remain", func() (bool, error) { return count() == 1, nil })
}

func podQOS(t *testing.T, c *cluster) {
	spec := podSpec(anImage)
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("100Mi")}
	spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list, Limits: list}
	c.makePod(t, "pod", nil, spec)
	p, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, "pod", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, corev1.PodQOSGuaranteed, p.Status.QOSClass)
}

func podDeadline(t *testing.T, c *cluster) {
	c.makePod(t, "pod", app("pod"), podSpec(anImage))
	c.untilPods(t, "app=pod", 1, running)
	_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, "pod", mergePatch, []byte(`{"spec":{"activeDeadlineSeconds":5}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	p := c.untilPods(t, "app=pod", 1, phase(corev1.PodFailed))[0]
	require.Equal(t, "DeadlineExceeded", p.Status.Reason)
}

func podSubmitted(t *testing.T, c *cluster) {
	require.Empty(t, c.pods(t, "app=pod"))
	w, err := c.kube.CoreV1().Pods(c.ns).Watch(c.ctx, selecting("app=pod"))
	require.NoError(t, err)
	defer w.Stop()
	c.makePod(t, "pod", app("pod"), podSpec(anImage))
	require.Len(t, c.pods(t, "app=pod"), 1)
	next(t, w, watch.Added)
	seen(t, w, watch.Modified, running)
	require.NoError(t, c.kube.CoreV1().Pods(c.ns).Delete(c.ctx, "pod", metav1.DeleteOptions{}))
	seen(t, w, watch.Modified, func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
	last := seen(t, w, watch.Deleted, whatever[*corev1.Pod])
	require.NotNil(t, last.DeletionTimestamp)
	require.Empty(t, c.pods(t, "app=pod"))
}

func podUpdated(t *testing.T, c *cluster) {
	c.makePod(t, "pod", app("pod"), podSpec(anImage))
	p := c.untilPods(t, "app=pod", 1, running)[0]
	c.until(t, "an update without conflict", func() (bool, error) {
		got, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, p.Name, metav1.GetOptions{})
		require.NoError(t, err)
		got.Labels["time"] = "new"
		_, err = c.kube.CoreV1().Pods(c.ns).Update(c.ctx, got, metav1.UpdateOptions{})
		return err == nil, nil
	})
	require.Len(t, c.pods(t, "time=new"), 1)
}

func podsDeleted(t *testing.T, c *cluster) {
	for _, name := range []string{"one", "two", "three"} {
		c.makePod(t, name, app("set"), podSpec(anImage))
	}
	require.Len(t, c.pods(t, "app=set"), 3)
	require.NoError(t, c.kube.CoreV1().Pods(c.ns).DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=set")))
	c.untilPods(t, "app=set", 0, whatever)
}

func podHostIP(t *testing.T, c *cluster) {
	c.makePod(t, "pod", app("pod"), podSpec(anImage))
	p := c.untilPods(t, "app=pod", 1, running)[0]
	n, err := c.kube.CoreV1().Nodes().Get(c.ctx, p.Spec.NodeName, metav1.GetOptions{})
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool {
		return a.Type == corev1.NodeInternalIP && a.Address == p.Status.HostIP
	}))
}

func podStatus(t *testing.T, c *cluster) {
	c.makePod(t, "pod", app("pod"), podSpec(anImage))
	c.untilPods(t, "app=pod", 1, running)
	p, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, "pod", strategicPatch, []byte(`{"metadata":{"labels":{"status":"patched"}},"status":{"message":"Patched by e2e test","reason":"E2E"}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	require.Equal(t, "Patched by e2e test", p.Status.Message)
	require.Equal(t, "E2E", p.Status.Reason)
	require.Equal(t, "patched", p.Labels["status"])
}

// addGuest adds an ephemeral container to a pod and waits until it runs.
func (c *cluster) addGuest(t *testing.T, pod, name string) {
	t.Helper()
	change := map[string]any{"spec": map[string]any{"ephemeralContainers": []any{map[string]any{"name": name, "image": anImage}}}}
	_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, pod, strategicPatch, patch(t, change), metav1.PatchOptions{}, "ephemeralcontainers")
	require.NoError(t, err)
	c.until(t, "the ephemeral container to run", func() (bool, error) {
		p, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, pod, metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(p.Status.EphemeralContainerStatuses, func(s corev1.ContainerStatus) bool {
			return s.Name == name && s.State.Running != nil
		}), err
	})
}

func podGuest(t *testing.T, c *cluster) {
	c.makePod(t, "pod", app("pod"), podSpec(anImage))
	c.untilPods(t, "app=pod", 1, running)
	c.addGuest(t, "pod", "debugger")
	require.EqualValues(t, 2, c.pods(t, "app=pod")[0].Generation)
}

func podGuests(t *testing.T, c *cluster) {
	podGuest(t, c)
	require.Len(t, c.pods(t, "app=pod")[0].Spec.EphemeralContainers, 1)
	c.addGuest(t, "pod", "debugger2")
	p, err := c.kube.CoreV1().Pods(c.ns).Get(c.ctx, "pod", metav1.GetOptions{})
	require.NoError(t, err)
	require.Len(t, p.Spec.EphemeralContainers, 2)
	_, err = c.kube.CoreV1().Pods(c.ns).UpdateEphemeralContainers(c.ctx, p.Name, p, metav1.UpdateOptions{})
	require.NoError(t, err)
}

func nodeSelected(t *testing.T, c *cluster) {
	list, err := c.kube.CoreV1().Nodes().List(c.ctx, selecting("!"+operated))
	require.NoError(t, err)
	node := list.Items[len(list.Items)-1].Name
	label := func(value any) {
		_, err := c.kube.CoreV1().Nodes().Patch(c.ctx, node, mergePatch, patch(t, map[string]any{"metadata": map[string]any{"labels": map[string]any{c.ns: value}}}), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	label("42")
	spec := podSpec(anImage)
	spec.NodeSelector = map[string]string{c.ns: "42"}
	c.makePod(t, "pod", app("pod"), spec)
	require.Equal(t, node, c.untilPods(t, "app=pod", 1, running)[0].Spec.NodeName)
	label(nil)
}

func nodeNotSelected(t *testing.T, c *cluster) {
	spec := podSpec(anImage)
	spec.NodeSelector = map[string]string{"label": "nonempty"}
	c.makePod(t, "pod", app("pod"), spec)
	p := c.untilPods(t, "app=pod", 1, func(p *corev1.Pod) bool {
		return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
		})
	})[0]
	require.Empty(t, p.Spec.NodeName)
	events, err := c.kube.CoreV1().Events(c.ns).List(c.ctx, metav1.ListOptions{FieldSelector: "reason=FailedScheduling,involvedObject.name=pod"})
	require.NoError(t, err)
	require.NotEmpty(t, events.Items)
}

// priorityClasses: what may change changes, the value may not.
func priorityClasses(t *testing.T, c *cluster) {
	classes := c.kube.SchedulingV1().PriorityClasses()
	name := c.ns + "-p"
	made, err := classes.Create(c.ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: 1}, metav1.CreateOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, classes.Delete(c.ctx, name, metav1.DeleteOptions{})) }()
	list, err := classes.List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(list.Items, func(p schedulingv1.PriorityClass) bool { return p.Name == name }))
	p, err := classes.Patch(c.ctx, name, strategicPatch, []byte(`{"description":"patched"}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "patched", p.Description)
	p.Description = "updated"
	p, err = classes.Update(c.ctx, p, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, "updated", p.Description)
	_, err = classes.Patch(c.ctx, name, strategicPatch, []byte(`{"value":2}`), metav1.PatchOptions{})
	require.Error(t, err)
	p.Value = 2
	_, err = classes.Update(c.ctx, p, metav1.UpdateOptions{})
	require.Error(t, err)
	got, err := classes.Get(c.ctx, name, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, made.Value, got.Value)
}
