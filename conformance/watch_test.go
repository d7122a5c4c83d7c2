package conformance

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

var watchEntries = []entry{
	{Group: "Watch", Name: "watch-configmaps-with-multiple-watchers",
		Codename: "[sig-api-machinery] Watchers should observe add, update, and delete watch notifications on configmaps", Test: watchersOfLabels},
	{Group: "Watch", Name: "watch-configmaps-from-resource-version",
		Codename: "[sig-api-machinery] Watchers should be able to start watching from a specific resource version", Test: watchFromVersion},
	{Group: "Watch", Name: "watch-configmaps-closed-and-restarted",
		Codename: "[sig-api-machinery] Watchers should be able to restart watching from the last resource version observed by the previous watch", Test: watchAgain},
	{Group: "Watch", Name: "watch-configmaps-label-changed",
		Codename: "[sig-api-machinery] Watchers should observe an object deletion if it stops meeting the requirements of the selector", Test: watchLabelChanges},
	{Group: "Watch", Name: "watch-consistency",
		Codename: "[sig-api-machinery] Watchers should receive events on concurrent watches in same order", Test: watchersAgree},
}

// configMap makes a config map with labels given as pairs.
func configMap(name string, labels ...string) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	for i := 0; i < len(labels); i += 2 {
		cm.Labels[labels[i]] = labels[i+1]
	}
	return cm
}

func (c *cluster) makeConfigMap(t *testing.T, cm *corev1.ConfigMap) *corev1.ConfigMap {
	t.Helper()
	made, err := c.kube.CoreV1().ConfigMaps(c.ns).Create(c.ctx, cm, metav1.CreateOptions{})
	require.NoError(t, err)
	return made
}

// setMutation writes n into a config map.
func (c *cluster) setMutation(t *testing.T, name string, n int) *corev1.ConfigMap {
	t.Helper()
	cm, err := c.kube.CoreV1().ConfigMaps(c.ns).Get(c.ctx, name, metav1.GetOptions{})
	require.NoError(t, err)
	if cm.Data == nil {
		cm.Data = map[string]string{}
	}
	cm.Data["mutation"] = fmt.Sprint(n)
	cm, err = c.kube.CoreV1().ConfigMaps(c.ns).Update(c.ctx, cm, metav1.UpdateOptions{})
	require.NoError(t, err)
	return cm
}

func (c *cluster) deleteConfigMap(t *testing.T, name string) {
	t.Helper()
	require.NoError(t, c.kube.CoreV1().ConfigMaps(c.ns).Delete(c.ctx, name, metav1.DeleteOptions{}))
}

func (c *cluster) watchConfigMaps(t *testing.T, opts metav1.ListOptions) watch.Interface {
	t.Helper()
	w, err := c.kube.CoreV1().ConfigMaps(c.ns).Watch(c.ctx, opts)
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	return w
}

// nextConfigMap is next with what the event must hold.
func nextConfigMap(t *testing.T, w watch.Interface, want watch.EventType, name, mutation string) *corev1.ConfigMap {
	t.Helper()
	cm := next(t, w, want).(*corev1.ConfigMap)
	require.Equal(t, name, cm.Name)
	require.Equal(t, mutation, cm.Data["mutation"])
	return cm
}

// watchersOfLabels: events go to the watchers whose selectors match and to no other.
// That nothing else came is seen by what comes after: an event that should not be
// there would be in its place.
func watchersOfLabels(t *testing.T, c *cluster) {
	a := c.watchConfigMaps(t, selecting("which=A"))
	b := c.watchConfigMaps(t, selecting("which=B"))
	both := c.watchConfigMaps(t, selecting("which in (A,B)"))
	c.makeConfigMap(t, configMap("a", "which", "A"))
	for _, w := range []watch.Interface{a, both} {
		nextConfigMap(t, w, watch.Added, "a", "")
	}
	for n := 1; n <= 2; n++ {
		c.setMutation(t, "a", n)
		for _, w := range []watch.Interface{a, both} {
			nextConfigMap(t, w, watch.Modified, "a", fmt.Sprint(n))
		}
	}
	c.deleteConfigMap(t, "a")
	for _, w := range []watch.Interface{a, both} {
		nextConfigMap(t, w, watch.Deleted, "a", "2")
	}
	c.makeConfigMap(t, configMap("b", "which", "B"))
	c.deleteConfigMap(t, "b")
	for _, w := range []watch.Interface{b, both} {
		nextConfigMap(t, w, watch.Added, "b", "")
		nextConfigMap(t, w, watch.Deleted, "b", "")
	}
	c.makeConfigMap(t, configMap("end", "which", "A"))
	nextConfigMap(t, a, watch.Added, "end", "")
}

func watchFromVersion(t *testing.T, c *cluster) {
	c.makeConfigMap(t, configMap("cm", "x", "y"))
	first := c.setMutation(t, "cm", 1)
	c.setMutation(t, "cm", 2)
	c.deleteConfigMap(t, "cm")
	w := c.watchConfigMaps(t, metav1.ListOptions{LabelSelector: "x=y", ResourceVersion: first.ResourceVersion})
	nextConfigMap(t, w, watch.Modified, "cm", "2")
	nextConfigMap(t, w, watch.Deleted, "cm", "2")
}

func watchAgain(t *testing.T, c *cluster) {
	w := c.watchConfigMaps(t, selecting("x=y"))
	c.makeConfigMap(t, configMap("cm", "x", "y"))
	c.setMutation(t, "cm", 1)
	nextConfigMap(t, w, watch.Added, "cm", "")
	last := nextConfigMap(t, w, watch.Modified, "cm", "1")
	w.Stop()
	c.setMutation(t, "cm", 2)
	w = c.watchConfigMaps(t, metav1.ListOptions{LabelSelector: "x=y", ResourceVersion: last.ResourceVersion})
	c.deleteConfigMap(t, "cm")
	nextConfigMap(t, w, watch.Modified, "cm", "2")
	nextConfigMap(t, w, watch.Deleted, "cm", "2")
}

func watchLabelChanges(t *testing.T, c *cluster) {
	w := c.watchConfigMaps(t, selecting("x=in"))
	relabel := func(value string) {
		_, err := c.kube.CoreV1().ConfigMaps(c.ns).Patch(c.ctx, "cm", mergePatch, labelled(t, "x", value), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	c.makeConfigMap(t, configMap("cm", "x", "in"))
	c.setMutation(t, "cm", 1)
	relabel("out")
	nextConfigMap(t, w, watch.Added, "cm", "")
	nextConfigMap(t, w, watch.Modified, "cm", "1")
	nextConfigMap(t, w, watch.Deleted, "cm", "1")
	c.setMutation(t, "cm", 2) // unseen
	relabel("in")
	c.setMutation(t, "cm", 3)
	c.deleteConfigMap(t, "cm")
	nextConfigMap(t, w, watch.Added, "cm", "2")
	nextConfigMap(t, w, watch.Modified, "cm", "3")
	nextConfigMap(t, w, watch.Deleted, "cm", "3")
}

// watchersAgree writes in the background and opens a further watch at each event of
// the first; all must show the same versions in the same order.
func watchersAgree(t *testing.T, c *cluster) {
	const watchers, writes = 20, 100
	first := c.watchConfigMaps(t, metav1.ListOptions{})
	wrote := make(chan error, 1)
	go func() {
		maps := c.kube.CoreV1().ConfigMaps(c.ns)
		for i := range writes {
			name := fmt.Sprint("cm-", i%7)
			cm := configMap(name)
			cm.Data = map[string]string{"i": fmt.Sprint(i)}
			_, err := maps.Create(c.ctx, cm, metav1.CreateOptions{})
			if err != nil {
				if _, err = maps.Update(c.ctx, cm, metav1.UpdateOptions{}); err == nil && i%3 == 0 {
					err = maps.Delete(c.ctx, name, metav1.DeleteOptions{})
				}
			}
			if err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	others := []watch.Interface{first}
	for range watchers {
		version := versionOf(t, <-others[0].ResultChan())
		for _, w := range others[1:] {
			require.Equal(t, version, versionOf(t, <-w.ResultChan()))
		}
		others = append(others, c.watchConfigMaps(t, metav1.ListOptions{ResourceVersion: version}))
	}
	require.NoError(t, <-wrote)
}

func versionOf(t *testing.T, e watch.Event) string {
	t.Helper()
	o, err := meta.Accessor(e.Object)
	require.NoError(t, err, "%v", e)
	return o.GetResourceVersion()
}
