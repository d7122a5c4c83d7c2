package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var namespaceEntries = []entry{
	{Group: "Namespaces", Name: "namespace-deletion-removes-pods",
		Codename: "[sig-api-machinery] Namespaces [Serial] should ensure that all pods are removed when a namespace is deleted", Test: namespaceTakesPods},
	{Group: "Namespaces", Name: "namespace-deletion-removes-services",
		Codename: "[sig-api-machinery] Namespaces [Serial] should ensure that all services are removed when a namespace is deleted", Test: namespaceTakesServices},
	{Group: "Namespaces", Name: "Namespace patching",
		Codename: "[sig-api-machinery] Namespaces [Serial] should patch a Namespace", Test: namespacePatched},
	{Group: "Namespaces", Name: "Namespace, apply update to a namespace",
		Codename: "[sig-api-machinery] Namespaces [Serial] should apply an update to a Namespace", Test: namespaceUpdated},
	{Group: "Namespaces", Name: "Namespace, apply changes to a namespace status",
		Codename: "[sig-api-machinery] Namespaces [Serial] should apply changes to a namespace status", Test: namespaceStatus},
	{Group: "Namespaces", Name: "Namespace, apply finalizer to a namespace",
		Codename: "[sig-api-machinery] Namespaces [Serial] should apply a finalizer to a Namespace", Test: namespaceFinalizer},
}

// emptied deletes the entry's namespace and makes it anew.
func (c *cluster) emptied(t *testing.T) {
	t.Helper()
	namespaces := c.kube.CoreV1().Namespaces()
	require.NoError(t, namespaces.Delete(c.ctx, c.ns, metav1.DeleteOptions{}))
	c.until(t, "the namespace to go", func() (bool, error) {
		_, err := namespaces.Get(c.ctx, c.ns, metav1.GetOptions{})
		return gone(err)
	})
	_, err := namespaces.Create(c.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.ns}}, metav1.CreateOptions{})
	require.NoError(t, err)
}

func namespaceTakesPods(t *testing.T, c *cluster) {
	c.makePod(t, "pod", app("pod"), podSpec(anImage))
	c.untilPods(t, "app=pod", 1, running)
	c.emptied(t)
	require.Empty(t, c.pods(t, ""))
}

func namespaceTakesServices(t *testing.T, c *cluster) {
	c.makeService(t, service("svc", corev1.ServicePort{Port: 80}))
	c.emptied(t)
	list, err := c.kube.CoreV1().Services(c.ns).List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, list.Items)
}

func namespacePatched(t *testing.T, c *cluster) {
	_, err := c.kube.CoreV1().Namespaces().Patch(c.ctx, c.ns, strategicPatch, labelled(t, "patched", "yes"), metav1.PatchOptions{})
	require.NoError(t, err)
	ns, err := c.kube.CoreV1().Namespaces().Get(c.ctx, c.ns, metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "yes", ns.Labels["patched"])
}

func (c *cluster) namespace(t *testing.T) *corev1.Namespace {
	t.Helper()
	ns, err := c.kube.CoreV1().Namespaces().Get(c.ctx, c.ns, metav1.GetOptions{})
	require.NoError(t, err)
	return ns
}

func namespaceUpdated(t *testing.T, c *cluster) {
	ns := c.namespace(t)
	ns.Labels["updated"] = "yes"
	ns, err := c.kube.CoreV1().Namespaces().Update(c.ctx, ns, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, "yes", ns.Labels["updated"])
}

func namespaceStatus(t *testing.T, c *cluster) {
	namespaces := c.kube.CoreV1().Namespaces()
	require.Equal(t, corev1.NamespaceActive, c.namespace(t).Status.Phase)
	is := func(ns *corev1.Namespace, kind string) {
		t.Helper()
		for _, cond := range ns.Status.Conditions {
			if string(cond.Type) == kind {
				require.Equal(t, corev1.ConditionTrue, cond.Status)
				return
			}
		}
		require.Fail(t, "no condition", "%s in %v", kind, ns.Status.Conditions)
	}
	ns, err := namespaces.Patch(c.ctx, c.ns, strategicPatch, []byte(`{"metadata":{"annotations":{"a":"patched"}},
		"status":{"conditions":[{"type":"StatusPatch","status":"True","reason":"E2E","message":"patched"}]}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	is(ns, "StatusPatch")
	ns.Status.Conditions = append(ns.Status.Conditions, corev1.NamespaceCondition{Type: "StatusUpdate", Status: corev1.ConditionTrue, Reason: "E2E", Message: "updated"})
	ns, err = namespaces.UpdateStatus(c.ctx, ns, metav1.UpdateOptions{})
	require.NoError(t, err)
	is(ns, "StatusUpdate")
	is(c.namespace(t), "StatusUpdate")
}

func namespaceFinalizer(t *testing.T, c *cluster) {
	const fake = "example.com/fake"
	namespaces := c.kube.CoreV1().Namespaces()
	ns := c.namespace(t)
	require.Contains(t, ns.Spec.Finalizers, corev1.FinalizerKubernetes)
	ns.Spec.Finalizers = append(ns.Spec.Finalizers, fake)
	ns, err := namespaces.Finalize(c.ctx, ns, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Contains(t, ns.Spec.Finalizers, corev1.FinalizerName(fake))
	require.Contains(t, c.namespace(t).Spec.Finalizers, corev1.FinalizerName(fake))
	ns.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	_, err = namespaces.Finalize(c.ctx, ns, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, []corev1.FinalizerName{corev1.FinalizerKubernetes}, c.namespace(t).Spec.Finalizers)
}
