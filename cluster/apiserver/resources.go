package apiserver

import (
	"cmp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/kinds"
)

// resource is one row of the paths served.
type resource struct {
	gvr        schema.GroupVersionResource
	gvk        schema.GroupVersionKind // as served
	kind       kinds.Kind              // as stored; 0 for a virtual resource
	old        bool                    // served in another version than it is stored in
	namespaced bool
	singular   string
	shortNames []string
	categories []string
	verbs      []string
	subs       map[string]*subresource
	create     *Virtual // instead of the store
	warning    string   // of a deprecated version
}

// subresource is one kind of path below an object.
type subresource struct {
	name    string
	gvk     schema.GroupVersionKind // of its body
	verbs   []string
	create  *Virtual
	connect bool // handed on to a node's agent: see Streams
}

// resources is what is served, found by path and in the order of discovery.
type resources struct {
	byGVR  map[schema.GroupVersionResource]*resource
	groups []group
}

// group is one API group, with its versions in order of preference.
type group struct {
	name     string
	versions []groupVersion
}

type groupVersion struct {
	gv   schema.GroupVersion
	rows []*resource // by name
}

var (
	verbsStored  = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	verbsVirtual = []string{"create"}
	verbsRead    = []string{"get"}
	verbsStatus  = []string{"get", "patch", "update"}
)

// groupOrder is the order in which Kubernetes shows its groups, by which kubectl
// prefers one group to another.
var groupOrder = []string{"", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
	"certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io", "admissionregistration.k8s.io",
	"apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "flowcontrol.apiserver.k8s.io", "extensions"}

func newResources(virtual []Virtual) *resources {
	rs := &resources{byGVR: map[schema.GroupVersionResource]*resource{}}
	for _, i := range kinds.All() {
		rs.add(&resource{gvr: i.GVR(), gvk: i.GVK, kind: i.Kind})
	}
	for _, gvk := range kinds.OldVersions() {
		k, _ := kinds.StorageKind(gvk)
		rs.add(&resource{gvr: gvk.GroupVersion().WithResource(k.Info().Plural), gvk: gvk, kind: k, old: true, warning: kinds.Deprecation(gvk)})
	}
	bindings := schema.GroupVersionResource{Version: "v1", Resource: "bindings"}
	rs.byGVR[bindings] = &resource{gvr: bindings, gvk: corev1.SchemeGroupVersion.WithKind("Binding"), namespaced: true, singular: "binding", verbs: verbsVirtual}
	for i := range virtual {
		rs.addVirtual(&virtual[i])
	}
	rs.sort()
	return rs
}

// add completes a row for a stored kind.
func (rs *resources) add(r *resource) {
	i := r.kind.Info()
	r.namespaced, r.singular, r.shortNames, r.verbs = i.Namespaced, i.Singular, i.ShortNames, verbsStored
	r.subs = subresourcesOf(r, i)
	if r.kind == kinds.EventsEvent { // one storage for the two faces of an event
		r.kind, r.old = kinds.Event, true
	}
	if r.old { // a short word means the present version
		r.shortNames = nil
		rs.byGVR[r.gvr] = r
		return
	}
	switch i.Kind {
	case kinds.Pod, kinds.Service, kinds.ReplicationController, kinds.Deployment, kinds.ReplicaSet, kinds.StatefulSet, kinds.DaemonSet,
		kinds.Job, kinds.CronJob, kinds.HorizontalPodAutoscaler:
		r.categories = []string{"all"}
	}
	rs.byGVR[r.gvr] = r
}

func subresourcesOf(r *resource, i *kinds.Info) map[string]*subresource {
	subs := map[string]*subresource{}
	put := func(name string, gvk schema.GroupVersionKind, verbs ...string) *subresource {
		s := &subresource{name: name, gvk: gvk, verbs: verbs}
		subs[name] = s
		return s
	}
	if i.Status {
		put("status", r.gvk, verbsStatus...)
	}
	if i.Scale && (!r.old || r.gvk.GroupVersion() == appsv1.SchemeGroupVersion) {
		put("scale", autoscalingv1.SchemeGroupVersion.WithKind("Scale"), verbsStatus...)
	}
	core := corev1.SchemeGroupVersion
	switch i.Kind {
	case kinds.Namespace:
		put("finalize", r.gvk, "update")
	case kinds.Node:
		put("proxy", core.WithKind("NodeProxyOptions"), proxyVerbs...).connect = true
	case kinds.Service:
		put("proxy", core.WithKind("ServiceProxyOptions"), proxyVerbs...).connect = true
	case kinds.Pod:
		put("log", r.gvk, "get")
		put("binding", core.WithKind("Binding"), "create")
		put("eviction", policyv1.SchemeGroupVersion.WithKind("Eviction"), "create")
		put("ephemeralcontainers", r.gvk, verbsStatus...)
		put("resize", r.gvk, verbsStatus...)
		put("exec", core.WithKind("PodExecOptions"), "create", "get").connect = true
		put("attach", core.WithKind("PodAttachOptions"), "create", "get").connect = true
		put("portforward", core.WithKind("PodPortForwardOptions"), "create", "get").connect = true
		put("proxy", core.WithKind("PodProxyOptions"), proxyVerbs...).connect = true
	}
	return subs
}

var proxyVerbs = []string{"create", "delete", "get", "patch", "update"}

func (rs *resources) addVirtual(v *Virtual) {
	if v.Subresource != "" {
		if parent := rs.byGVR[v.Resource]; parent != nil {
			parent.subs[v.Subresource] = &subresource{name: v.Subresource, gvk: v.Kind, verbs: verbsVirtual, create: v}
		}
		return
	}
	rs.byGVR[v.Resource] = &resource{gvr: v.Resource, gvk: v.Kind, namespaced: v.Namespaced,
		singular: strings.ToLower(v.Kind.Kind), verbs: verbsVirtual, create: v}
}

// sort puts groups, versions and rows into the order of discovery.
func (rs *resources) sort() {
	byGroup := map[string]map[string][]*resource{}
	for _, r := range rs.byGVR {
		g := byGroup[r.gvr.Group]
		if g == nil {
			g = map[string][]*resource{}
			byGroup[r.gvr.Group] = g
		}
		g[r.gvr.Version] = append(g[r.gvr.Version], r)
	}
	for name, versions := range byGroup {
		g := group{name: name}
		for version, rows := range versions {
			slices.SortFunc(rows, func(a, b *resource) int { return strings.Compare(a.gvr.Resource, b.gvr.Resource) })
			g.versions = append(g.versions, groupVersion{schema.GroupVersion{Group: name, Version: version}, rows})
		}
		slices.SortFunc(g.versions, func(a, b groupVersion) int { return -compareVersions(a, b) })
		rs.groups = append(rs.groups, g)
	}
	rank := func(g group) int {
		if i := slices.Index(groupOrder, g.name); i >= 0 {
			return i
		}
		return len(groupOrder)
	}
	slices.SortFunc(rs.groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.name, b.name))
	})
}

// compareVersions: a version whose objects are stored is above one that is only
// converted; among equals the newer is higher.
func compareVersions(a, b groupVersion) int {
	stored := func(v groupVersion) int {
		for _, r := range v.rows {
			if !r.old {
				return 1
			}
		}
		return 0
	}
	return cmp.Or(cmp.Compare(stored(a), stored(b)), compareVersionNames(a.gv.Version, b.gv.Version))
}

// compareVersionNames orders v1beta1 < v1beta2 < v1 < v2.
func compareVersionNames(a, b string) int {
	rank := func(v string) (int, string) {
		switch {
		case strings.Contains(v, "alpha"):
			return 0, v
		case strings.Contains(v, "beta"):
			return 1, v
		}
		return 2, v
	}
	ra, sa := rank(a)
	rb, sb := rank(b)
	return cmp.Or(cmp.Compare(ra, rb), strings.Compare(sa, sb))
}

// group finds a group by its name.
func (rs *resources) group(name string) *group {
	for i := range rs.groups {
		if rs.groups[i].name == name {
			return &rs.groups[i]
		}
	}
	return nil
}

func (g *group) version(name string) *groupVersion {
	for i := range g.versions {
		if g.versions[i].gv.Version == name {
			return &g.versions[i]
		}
	}
	return nil
}
