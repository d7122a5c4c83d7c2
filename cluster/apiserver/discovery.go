package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// plainPath answers for the paths that are no resource: health, versions,
// discovery and the API's description.
func (c *call) plainPath() error {
	path := strings.TrimSuffix(c.r.URL.Path, "/")
	switch { // reading what is not /api is open to GET and HEAD alone
	case c.r.Method != http.MethodGet && c.r.Method != http.MethodHead:
		if strings.HasPrefix(path, "/api") || path == "/version" || path == "/healthz" {
			return c.methodNotAllowed()
		}
		return notFoundPath()
	}
	switch path {
	case "":
		return c.json(map[string]any{"paths": c.paths()})
	case "/version":
		return c.json(c.s.version())
	case "/healthz", "/livez", "/readyz", "/healthz/ping", "/livez/ping", "/readyz/ping":
		return c.healthy(path)
	case "/api":
		return c.apiVersions()
	case "/apis":
		return c.apiGroups()
	case "/openapi/v2":
		return c.openAPIV2()
	case "/openapi/v3":
		return c.openAPIV3Index()
	}
	if rest, ok := strings.CutPrefix(path, "/openapi/v3/"); ok {
		return c.openAPIV3(rest)
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) == 2 && parts[0] == "api":
		return c.apiResources("", parts[1])
	case len(parts) == 2 && parts[0] == "apis":
		return c.apiGroup(parts[1])
	case len(parts) == 3 && parts[0] == "apis":
		return c.apiResources(parts[1], parts[2])
	}
	return notFoundPath()
}

// json answers with a value that is no API object.
func (c *call) json(v any) error {
	b, err := marshalIndent(v)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	c.send(http.StatusOK, mediaJSON, b)
	return nil
}

func (c *call) healthy(path string) error {
	text := "ok"
	if c.query.Has("verbose") {
		text = "[+]ping ok\n" + strings.TrimPrefix(path, "/") + " check passed\n"
	}
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	c.send(http.StatusOK, "text/plain; charset=utf-8", []byte(text))
	return nil
}

// The Kubernetes release whose types and behaviour this API has.
const (
	releaseMajor = "1"
	releaseMinor = "37"
	releasePatch = "2"
)

func (s *Server) version() version.Info {
	if s.cfg.Version != nil {
		return *s.cfg.Version
	}
	return version.Info{Major: releaseMajor, Minor: releaseMinor, GitVersion: "v" + releaseMajor + "." + releaseMinor + "." + releasePatch,
		GitTreeState: "clean", Platform: "linux/amd64", Compiler: "gc"}
}

func (c *call) paths() []string {
	list := []string{"/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"}
	for path := range c.s.cfg.Paths {
		list = append(list, path)
	}
	for _, g := range c.s.resources.groups {
		if g.name == "" {
			continue
		}
		list = append(list, "/apis/"+g.name)
		for _, v := range g.versions {
			list = append(list, "/apis/"+v.gv.String())
		}
	}
	slices.Sort(list)
	return list
}

// apiVersions is the answer to /api.
func (c *call) apiVersions() error {
	if c.out.form == formDiscovery {
		return c.aggregated(func(g *group) bool { return g.name == "" })
	}
	v := &metav1.APIVersions{Versions: []string{"v1"},
		ServerAddressByClientCIDRs: []metav1.ServerAddressByClientCIDR{{ClientCIDR: "0.0.0.0/0", ServerAddress: c.r.Host}}}
	v.SetGroupVersionKind(schema.GroupVersionKind{Kind: "APIVersions"})
	return c.discovery(v)
}

// discovery answers with a document of discovery, whose kind has no group.
func (c *call) discovery(o runtime.Object) error {
	gvk := o.GetObjectKind().GroupVersionKind()
	if gvk.Version == "" {
		gvk.Version = "v1"
		o.GetObjectKind().SetGroupVersionKind(gvk)
		if gvk.Kind == "APIVersions" && c.out.media != mediaProto {
			o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{Kind: gvk.Kind})
		}
	}
	c.out.form = formWhole
	return c.answer(http.StatusOK, o)
}

// apiGroups is the answer to /apis.
func (c *call) apiGroups() error {
	if c.out.form == formDiscovery {
		return c.aggregated(func(g *group) bool { return g.name != "" })
	}
	list := &metav1.APIGroupList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "APIGroupList"})
	for i := range c.s.resources.groups {
		if g := &c.s.resources.groups[i]; g.name != "" {
			list.Groups = append(list.Groups, g.describe())
		}
	}
	return c.discovery(list)
}

func (g *group) describe() metav1.APIGroup {
	out := metav1.APIGroup{Name: g.name}
	for _, v := range g.versions {
		out.Versions = append(out.Versions, metav1.GroupVersionForDiscovery{GroupVersion: v.gv.String(), Version: v.gv.Version})
	}
	out.PreferredVersion = out.Versions[0]
	return out
}

func (c *call) apiGroup(name string) error {
	g := c.s.resources.group(name)
	if g == nil || name == "" {
		return notFoundPath()
	}
	out := g.describe()
	out.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "APIGroup"})
	return c.discovery(&out)
}

// apiResources is the answer to /api/v1 and /apis/GROUP/VERSION.
func (c *call) apiResources(groupName, versionName string) error {
	g := c.s.resources.group(groupName)
	if g == nil || g.version(versionName) == nil {
		return notFoundPath()
	}
	v := g.version(versionName)
	list := &metav1.APIResourceList{GroupVersion: v.gv.String()}
	list.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "APIResourceList"})
	for _, r := range v.rows {
		list.APIResources = append(list.APIResources, metav1.APIResource{Name: r.gvr.Resource, SingularName: r.singular, Namespaced: r.namespaced,
			Kind: r.gvk.Kind, Verbs: r.verbs, ShortNames: r.shortNames, Categories: r.categories})
		for _, s := range r.sortedSubs() {
			a := metav1.APIResource{Name: r.gvr.Resource + "/" + s.name, Namespaced: r.namespaced, Kind: s.gvk.Kind, Verbs: s.verbs}
			if s.gvk.GroupVersion() != v.gv {
				a.Group, a.Version = s.gvk.Group, s.gvk.Version
			}
			list.APIResources = append(list.APIResources, a)
		}
	}
	return c.discovery(list)
}

func (r *resource) sortedSubs() []*subresource {
	list := make([]*subresource, 0, len(r.subs))
	for _, s := range r.subs {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *subresource) int { return strings.Compare(a.name, b.name) })
	return list
}

// aggregated is all of discovery in one answer
// (kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery).
func (c *call) aggregated(want func(*group) bool) error {
	list := &apidiscoveryv2.APIGroupDiscoveryList{}
	list.SetGroupVersionKind(apidiscoveryv2.SchemeGroupVersion.WithKind("APIGroupDiscoveryList"))
	for i := range c.s.resources.groups {
		g := &c.s.resources.groups[i]
		if !want(g) {
			continue
		}
		out := apidiscoveryv2.APIGroupDiscovery{ObjectMeta: metav1.ObjectMeta{Name: g.name}}
		for _, v := range g.versions {
			out.Versions = append(out.Versions, v.describe())
		}
		list.Items = append(list.Items, out)
	}
	c.out.form = formWhole
	b, err := encode(list, c.out)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if c.notModified(b) {
		return nil
	}
	c.send(http.StatusOK, fmt.Sprintf("%s;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", c.out.media), b)
	return nil
}

func (v groupVersion) describe() apidiscoveryv2.APIVersionDiscovery {
	out := apidiscoveryv2.APIVersionDiscovery{Version: v.gv.Version, Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent}
	kind := func(gvk schema.GroupVersionKind) *metav1.GroupVersionKind {
		return &metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
	}
	for _, r := range v.rows {
		scope := apidiscoveryv2.ScopeCluster
		if r.namespaced {
			scope = apidiscoveryv2.ScopeNamespace
		}
		d := apidiscoveryv2.APIResourceDiscovery{Resource: r.gvr.Resource, ResponseKind: kind(r.gvk), Scope: scope, SingularResource: r.singular,
			Verbs: r.verbs, ShortNames: r.shortNames, Categories: r.categories}
		for _, s := range r.sortedSubs() {
			d.Subresources = append(d.Subresources, apidiscoveryv2.APISubresourceDiscovery{Subresource: s.name, ResponseKind: kind(s.gvk), Verbs: s.verbs})
		}
		out.Resources = append(out.Resources, d)
	}
	return out
}
