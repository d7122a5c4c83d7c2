package conformance

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

var configMapEntries = slices.Concat([]entry{
	{Group: "Config maps", Name: "ConfigMap, with empty-key", Codename: "[sig-node] ConfigMap should fail to create ConfigMap with empty key", Test: configMapEmptyKey},
	{Group: "Config maps", Name: "ConfigMap lifecycle", Codename: "[sig-node] ConfigMap should run through a ConfigMap lifecycle", Test: configMapLifecycle},
	{Group: "Config maps", Name: "ConfigMap Volume, immutability", Codename: "[sig-storage] ConfigMap should be immutable if `immutable` field is set", Test: configMapImmutable},
}, missing("Config maps", noProcess,
	"ConfigMap, from environment field", "[sig-node] ConfigMap should be consumable via environment variable [NodeConformance]",
	"ConfigMap, from environment variables", "[sig-node] ConfigMap should be consumable via the environment [NodeConformance]",
), missing("Config maps", noVolumes,
	"ConfigMap Volume, text data, binary data", "[sig-storage] ConfigMap binary data should be reflected in volume [NodeConformance]",
	"ConfigMap Volume, create, update and delete", "[sig-storage] ConfigMap optional updates should be reflected in volume [NodeConformance]",
	"ConfigMap Volume, without mapping", "[sig-storage] ConfigMap should be consumable from pods in volume [NodeConformance]",
	"ConfigMap Volume, without mapping, non-root user", "[sig-storage] ConfigMap should be consumable from pods in volume as non-root [NodeConformance]",
	"ConfigMap Volume, without mapping, volume mode set", "[sig-storage] ConfigMap should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance]",
	"ConfigMap Volume, with mapping", "[sig-storage] ConfigMap should be consumable from pods in volume with mappings [NodeConformance]",
	"ConfigMap Volume, with mapping, volume mode set", "[sig-storage] ConfigMap should be consumable from pods in volume with mappings and Item mode set [LinuxOnly] [NodeConformance]",
	"ConfigMap Volume, with mapping, non-root user", "[sig-storage] ConfigMap should be consumable from pods in volume with mappings as non-root [NodeConformance]",
	"ConfigMap Volume, multiple volume maps", "[sig-storage] ConfigMap should be consumable in multiple volumes in the same pod [NodeConformance]",
	"ConfigMap Volume, update", "[sig-storage] ConfigMap updates should be reflected in volume [NodeConformance]",
))

var secretEntries = slices.Concat([]entry{
	{Group: "Secrets", Name: "Secrets, with empty-key", Codename: "[sig-node] Secrets should fail to create secret due to empty secret key", Test: secretEmptyKey},
	{Group: "Secrets", Name: "Secret patching", Codename: "[sig-node] Secrets should patch a secret", Test: secretPatched},
	{Group: "Secrets", Name: "Secrets Volume, immutability", Codename: "[sig-storage] Secrets should be immutable if `immutable` field is set", Test: secretImmutable},
}, missing("Secrets", noProcess,
	"Secrets, pod environment field", "[sig-node] Secrets should be consumable from pods in env vars [NodeConformance]",
	"Secrets, pod environment from source", "[sig-node] Secrets should be consumable via the environment [NodeConformance]",
), missing("Secrets", noVolumes,
	"Secrets Volume, create, update and delete", "[sig-storage] Secrets optional updates should be reflected in volume [NodeConformance]",
	"Secrets Volume, volume mode default, secret with same name in different namespace", "[sig-storage] Secrets should be able to mount in a volume regardless of a different secret existing with same name in different namespace [NodeConformance]",
	"Secrets Volume, default", "[sig-storage] Secrets should be consumable from pods in volume [NodeConformance]",
	"Secrets Volume, volume mode 0440, fsGroup 1001 and uid 1000", "[sig-storage] Secrets should be consumable from pods in volume as non-root with defaultMode and fsGroup set [LinuxOnly] [NodeConformance]",
	"Secrets Volume, volume mode 0400", "[sig-storage] Secrets should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance]",
	"Secrets Volume, mapping", "[sig-storage] Secrets should be consumable from pods in volume with mappings [NodeConformance]",
	"Secrets Volume, mapping, volume mode 0400", "[sig-storage] Secrets should be consumable from pods in volume with mappings and Item Mode set [LinuxOnly] [NodeConformance]",
	"Secrets Volume, mapping multiple volume paths", "[sig-storage] Secrets should be consumable in multiple volumes in a pod [NodeConformance]",
))

var leaseEntries = []entry{
	{Group: "Leases", Name: "lease API should be available", Codename: "[sig-node] Lease lease API should be available", Test: leases},
}

var podTemplateEntries = []entry{
	{Group: "Pod templates", Name: "PodTemplate, delete a collection", Codename: "[sig-node] PodTemplates should delete a collection of pod templates", Test: podTemplatesDeleted},
	{Group: "Pod templates", Name: "PodTemplate, replace", Codename: "[sig-node] PodTemplates should replace a pod template", Test: podTemplateReplaced},
	{Group: "Pod templates", Name: "PodTemplate lifecycle", Codename: "[sig-node] PodTemplates should run the lifecycle of PodTemplates", Test: podTemplateLifecycle},
}

func configMapEmptyKey(t *testing.T, c *cluster) {
	cm := configMap("cm")
	cm.Data = map[string]string{"": "value"}
	_, err := c.kube.CoreV1().ConfigMaps(c.ns).Create(c.ctx, cm, metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
}

func configMapLifecycle(t *testing.T, c *cluster) {
	maps := c.kube.CoreV1().ConfigMaps(c.ns)
	w := c.watchConfigMaps(t, selecting("static=yes"))
	cm := configMap("cm", "static", "yes")
	cm.Data = map[string]string{"k": "v"}
	c.makeConfigMap(t, cm)
	next(t, w, watch.Added)
	_, err := maps.Patch(c.ctx, "cm", strategicPatch, []byte(`{"metadata":{"labels":{"patched":"true"}},"data":{"k":"patched"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	next(t, w, watch.Modified)
	got, err := maps.Get(c.ctx, "cm", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "patched", got.Data["k"])
	require.Equal(t, "true", got.Labels["patched"])
	all, err := c.kube.CoreV1().ConfigMaps("").List(c.ctx, selecting("static=yes,patched=true"))
	require.NoError(t, err)
	there := false
	for _, cm := range all.Items {
		there = there || cm.Namespace == c.ns && cm.Name == "cm" && cm.Data["k"] == "patched"
	}
	require.True(t, there)
	require.NoError(t, maps.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("static=yes")))
	next(t, w, watch.Deleted)
	list, err := maps.List(c.ctx, selecting("static=yes"))
	require.NoError(t, err)
	require.Empty(t, list.Items)
}

func configMapImmutable(t *testing.T, c *cluster) {
	maps, yes := c.kube.CoreV1().ConfigMaps(c.ns), true
	cm := configMap("cm")
	cm.Data = map[string]string{"k": "1"}
	cm = c.makeConfigMap(t, cm)
	cm.Data["k"] = "2"
	cm, err := maps.Update(c.ctx, cm, metav1.UpdateOptions{})
	require.NoError(t, err)
	cm.Immutable = &yes
	cm, err = maps.Update(c.ctx, cm, metav1.UpdateOptions{})
	require.NoError(t, err)
	changed := cm.DeepCopy()
	changed.Data["k"] = "3"
	_, err = maps.Update(c.ctx, changed, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	changed = cm.DeepCopy()
	changed.Immutable = nil
	_, err = maps.Update(c.ctx, changed, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	cm.Labels = map[string]string{"x": "y"}
	_, err = maps.Update(c.ctx, cm, metav1.UpdateOptions{})
	require.NoError(t, err)
	c.deleteConfigMap(t, "cm")
}

func secret(name string, labels map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Data: map[string][]byte{"k": []byte("v")}}
}

func secretEmptyKey(t *testing.T, c *cluster) {
	s := secret("s", nil)
	s.Data[""] = []byte("value")
	_, err := c.kube.CoreV1().Secrets(c.ns).Create(c.ctx, s, metav1.CreateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
}

func secretPatched(t *testing.T, c *cluster) {
	secrets := c.kube.CoreV1().Secrets(c.ns)
	_, err := secrets.Create(c.ctx, secret("s", map[string]string{"of": c.ns}), metav1.CreateOptions{})
	require.NoError(t, err)
	selector := selecting("of=" + c.ns)
	everywhere := func(selector metav1.ListOptions) []corev1.Secret {
		all, err := c.kube.CoreV1().Secrets("").List(c.ctx, selector)
		require.NoError(t, err)
		return all.Items
	}
	require.Len(t, everywhere(selector), 1)
	_, err = secrets.Patch(c.ctx, "s", strategicPatch, []byte(`{"metadata":{"labels":{"patched":"true"}},"data":{"k":"dmFsdWUx"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	got, err := secrets.Get(c.ctx, "s", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "value1", string(got.Data["k"]))
	require.Len(t, everywhere(selecting("patched=true,of="+c.ns)), 1)
	require.NoError(t, secrets.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selector))
	require.Empty(t, everywhere(selector))
}

func secretImmutable(t *testing.T, c *cluster) {
	secrets, yes := c.kube.CoreV1().Secrets(c.ns), true
	s, err := secrets.Create(c.ctx, secret("s", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	s.Data["k"] = []byte("2")
	s, err = secrets.Update(c.ctx, s, metav1.UpdateOptions{})
	require.NoError(t, err)
	s.Immutable = &yes
	s, err = secrets.Update(c.ctx, s, metav1.UpdateOptions{})
	require.NoError(t, err)
	changed := s.DeepCopy()
	changed.Data["k"] = []byte("3")
	_, err = secrets.Update(c.ctx, changed, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	changed = s.DeepCopy()
	changed.Immutable = nil
	_, err = secrets.Update(c.ctx, changed, metav1.UpdateOptions{})
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	s.Labels = map[string]string{"x": "y"}
	_, err = secrets.Update(c.ctx, s, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.NoError(t, secrets.Delete(c.ctx, "s", metav1.DeleteOptions{}))
}

// lease makes a lease held by somebody; the times have microseconds, which must come
// back.
func lease(holder string, seconds int32) coordinationv1.LeaseSpec {
	at, transitions := metav1.NewMicroTime(metav1.Now().Truncate(1000)), int32(0)
	return coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &at, RenewTime: &at, LeaseTransitions: &transitions}
}

func leases(t *testing.T, c *cluster) {
	api := c.kube.CoordinationV1().Leases(c.ns)
	is := func(name string, want coordinationv1.LeaseSpec) *coordinationv1.Lease {
		t.Helper()
		got, err := api.Get(c.ctx, name, metav1.GetOptions{})
		require.NoError(t, err)
		require.Equal(t, *want.HolderIdentity, *got.Spec.HolderIdentity)
		require.Equal(t, *want.LeaseDurationSeconds, *got.Spec.LeaseDurationSeconds)
		require.Equal(t, *want.LeaseTransitions, *got.Spec.LeaseTransitions)
		require.True(t, want.AcquireTime.Equal(got.Spec.AcquireTime))
		require.True(t, want.RenewTime.Equal(got.Spec.RenewTime))
		return got
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lease"}, Spec: lease("holder", 30)}
	_, err := api.Create(c.ctx, l, metav1.CreateOptions{})
	require.NoError(t, err)
	got := is("lease", l.Spec)
	got.Spec = lease("holder2", 45)
	_, err = api.Update(c.ctx, got, metav1.UpdateOptions{})
	require.NoError(t, err)
	got = is("lease", got.Spec)
	_, err = api.Patch(c.ctx, "lease", strategicPatch, patch(t, map[string]any{"spec": map[string]any{"holderIdentity": "holder3", "leaseDurationSeconds": 60}}), metav1.PatchOptions{})
	require.NoError(t, err)
	want, holder, seconds := got.Spec, "holder3", int32(60)
	want.HolderIdentity, want.LeaseDurationSeconds = &holder, &seconds
	is("lease", want)
	second := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "second", Labels: app("second")}, Spec: lease("other", 30)}
	_, err = api.Create(c.ctx, second, metav1.CreateOptions{})
	require.NoError(t, err)
	list, err := api.List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	require.NoError(t, api.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=second")))
	list, err = api.List(c.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, "lease", list.Items[0].Name)
	require.NoError(t, api.Delete(c.ctx, "lease", metav1.DeleteOptions{}))
	_, err = api.Get(c.ctx, "lease", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "%v", err)
}

func podTemplatesDeleted(t *testing.T, c *cluster) {
	templates := c.kube.CoreV1().PodTemplates(c.ns)
	for _, name := range []string{"one", "two", "three"} {
		_, err := templates.Create(c.ctx, podTemplate(name, app("set")), metav1.CreateOptions{})
		require.NoError(t, err)
	}
	count := func() int {
		list, err := templates.List(c.ctx, selecting("app=set"))
		require.NoError(t, err)
		return len(list.Items)
	}
	require.Equal(t, 3, count())
	require.NoError(t, templates.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selecting("app=set")))
	require.Equal(t, 0, count())
}

func podTemplateReplaced(t *testing.T, c *cluster) {
	templates := c.kube.CoreV1().PodTemplates(c.ns)
	made, err := templates.Create(c.ctx, podTemplate("x", nil), metav1.CreateOptions{})
	require.NoError(t, err)
	made.Annotations = map[string]string{"updated": "true"}
	_, err = templates.Update(c.ctx, made, metav1.UpdateOptions{})
	require.NoError(t, err)
	got, err := templates.Get(c.ctx, "x", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "true", got.Annotations["updated"])
	require.Equal(t, made.UID, got.UID)
}

func podTemplateLifecycle(t *testing.T, c *cluster) {
	templates := c.kube.CoreV1().PodTemplates(c.ns)
	_, err := templates.Create(c.ctx, podTemplate("x", app(c.ns)), metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = templates.Patch(c.ctx, "x", strategicPatch, labelled(t, "patched", "true"), metav1.PatchOptions{})
	require.NoError(t, err)
	got, err := templates.Get(c.ctx, "x", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, "true", got.Labels["patched"])
	all, err := c.kube.CoreV1().PodTemplates("").List(c.ctx, selecting("patched=true,app="+c.ns))
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	require.NoError(t, templates.Delete(c.ctx, "x", metav1.DeleteOptions{}))
	all, err = c.kube.CoreV1().PodTemplates("").List(c.ctx, selecting("app="+c.ns))
	require.NoError(t, err)
	require.Empty(t, all.Items)
}
