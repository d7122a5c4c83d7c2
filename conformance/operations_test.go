package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// operations is a test of all verbs of a kind: that discovery shows it, and that
// create, get, list, watch, patch, update, delete and deletecollection do what they
// say. The kind may have a status, of which a field can be set.
type operations struct {
	gvr     schema.GroupVersionResource
	object  string   // JSON of an object; its name and labels are given to it
	cluster bool     // it has no namespace
	status  []string // path of a field of status, nil for none
	value   any      // which it is set to
	other   any      // and then to
}

const operated = "operated" // label by which objects are selected, with the namespace as value

func (o operations) test(t *testing.T, c *cluster) {
	o.discovered(t, c)
	objects, all := o.client(c)
	selector := selecting(operated + "=" + c.ns)
	before, err := objects.List(c.ctx, selector)
	require.NoError(t, err)
	require.Empty(t, before.Items)
	var first *unstructured.Unstructured
	for _, suffix := range []string{"-a", "-b", "-c"} {
		u := loose(t, o.object)
		u.SetName(c.ns + suffix)
		u.SetLabels(map[string]string{operated: c.ns})
		made, err := objects.Create(c.ctx, u, metav1.CreateOptions{})
		require.NoError(t, err)
		require.NotEmpty(t, made.GetUID())
		if first == nil {
			first = made
		}
	}
	got, err := objects.Get(c.ctx, first.GetName(), metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, first.GetUID(), got.GetUID())
	for _, from := range []dynamic.ResourceInterface{objects, all} {
		list, err := from.List(c.ctx, selector)
		require.NoError(t, err)
		require.Len(t, list.Items, 3)
	}
	list, err := objects.List(c.ctx, selector)
	require.NoError(t, err)
	w, err := objects.Watch(c.ctx, metav1.ListOptions{LabelSelector: selector.LabelSelector, ResourceVersion: list.GetResourceVersion()})
	require.NoError(t, err)
	defer w.Stop()
	o.changed(t, c, objects, first.GetName(), w)
	if o.status != nil {
		o.statusChanged(t, c, objects, first.GetName())
	}
	o.deleted(t, c, objects, first.GetName(), w)
}

func (o operations) client(c *cluster) (objects, all dynamic.ResourceInterface) {
	r := c.dyn.Resource(o.gvr)
	if o.cluster {
		return r, r
	}
	return r.Namespace(c.ns), r
}

// discovered looks for the kind in each document that must show it.
func (o operations) discovered(t *testing.T, c *cluster) {
	t.Helper()
	d := c.kube.Discovery()
	if o.gvr.Group != "" {
		groups, err := d.ServerGroups()
		require.NoError(t, err)
		var in, below bool
		for _, g := range groups.Groups {
			for _, v := range g.Versions {
				in = in || g.Name == o.gvr.Group && v.Version == o.gvr.Version
			}
		}
		require.True(t, in, "%v is not in /apis", o.gvr.GroupVersion())
		var g metav1.APIGroup
		require.NoError(t, d.RESTClient().Get().AbsPath("/apis/"+o.gvr.Group).Do(c.ctx).Into(&g))
		for _, v := range g.Versions {
			below = below || v.Version == o.gvr.Version
		}
		require.True(t, below, "%v is not in /apis/%s", o.gvr.GroupVersion(), o.gvr.Group)
	}
	list, err := d.ServerResourcesForGroupVersion(o.gvr.GroupVersion().String())
	require.NoError(t, err)
	want := map[string]bool{o.gvr.Resource: false}
	if o.status != nil {
		want[o.gvr.Resource+"/status"] = false
	}
	for _, r := range list.APIResources {
		if _, asked := want[r.Name]; asked {
			want[r.Name] = true
		}
		if r.Name == o.gvr.Resource {
			require.Subset(t, r.Verbs, []string{"create", "get", "list", "watch", "update", "patch", "delete", "deletecollection"})
		}
	}
	for name, there := range want {
		require.True(t, there, "%s is not discovered", name)
	}
}

// changed patches and updates an object, and sees both through a watch.
func (o operations) changed(t *testing.T, c *cluster, objects dynamic.ResourceInterface, name string, w watch.Interface) {
	t.Helper()
	p, err := objects.Patch(c.ctx, name, mergePatch, annotated(t, "patched", "true"), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "true", p.GetAnnotations()["patched"])
	p.SetAnnotations(map[string]string{"patched": "true", "updated": "true"})
	u, err := objects.Update(c.ctx, p, metav1.UpdateOptions{})
	require.NoError(t, err)
	require.Equal(t, "true", u.GetAnnotations()["updated"])
	for _, key := range []string{"patched", "updated"} {
		seen(t, w, watch.Modified, func(u *unstructured.Unstructured) bool {
			return u.GetName() == name && u.GetAnnotations()[key] == "true"
		})
	}
}

// statusChanged patches and updates the status and nothing else.
func (o operations) statusChanged(t *testing.T, c *cluster, objects dynamic.ResourceInterface, name string) {
	t.Helper()
	body := &unstructured.Unstructured{Object: map[string]any{}}
	require.NoError(t, unstructured.SetNestedField(body.Object, o.value, o.status...))
	p, err := objects.Patch(c.ctx, name, mergePatch, patch(t, body.Object), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	o.statusIs(t, p, o.value)
	require.NoError(t, unstructured.SetNestedField(p.Object, o.other, o.status...))
	u, err := objects.UpdateStatus(c.ctx, p, metav1.UpdateOptions{})
	require.NoError(t, err)
	o.statusIs(t, u, o.other)
	got, err := objects.Get(c.ctx, name, metav1.GetOptions{}, "status")
	require.NoError(t, err)
	o.statusIs(t, got, o.other)
	require.Equal(t, p.GetUID(), got.GetUID())
}

func (o operations) statusIs(t *testing.T, u *unstructured.Unstructured, want any) {
	t.Helper()
	have, _, err := unstructured.NestedFieldNoCopy(u.Object, o.status...)
	require.NoError(t, err)
	require.Equal(t, want, have)
}

// deleted deletes one object, then the others at once.
func (o operations) deleted(t *testing.T, c *cluster, objects dynamic.ResourceInterface, name string, w watch.Interface) {
	t.Helper()
	selector := selecting(operated + "=" + c.ns)
	require.NoError(t, objects.Delete(c.ctx, name, metav1.DeleteOptions{}))
	seen(t, w, watch.Deleted, func(u *unstructured.Unstructured) bool { return u.GetName() == name })
	_, err := objects.Get(c.ctx, name, metav1.GetOptions{})
	is, err := gone(err)
	require.True(t, is, "%v", err)
	list, err := objects.List(c.ctx, selector)
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	require.NoError(t, objects.DeleteCollection(c.ctx, metav1.DeleteOptions{}, selector))
	c.until(t, "the collection to go", func() (bool, error) {
		list, err := objects.List(c.ctx, selector)
		return err == nil && len(list.Items) == 0, err
	})
}
