package conformance

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

const (
	noCRDs      = "custom resource definitions are not served"
	noAggregate = "the API is not extended by other servers"
)

var discoveryEntries = []entry{
	{Group: "Discovery", Name: "Discovery, confirm the groupVersion and a resource from each apiGroup",
		Codename: "[sig-api-machinery] Discovery should locate the groupVersion and a resource within each APIGroup", Test: eachGroupHasAResource},
	{Group: "Discovery", Name: "Discovery, confirm the PreferredVersion for each api group",
		Codename: "[sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup", Test: preferredVersions},
	{Group: "Discovery", Name: "Aggregated Discovery Interface",
		Codename: "[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface", Test: aggregatedInterface},
	{Group: "Discovery", Name: "Aggregated Discovery Endpoint Accept Headers",
		Codename: "[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers", Test: aggregatedRaw},
	{Group: "Discovery", Name: "Aggregated Discovery Interface CRDs",
		Codename: "[sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface for CRDs", Missing: noCRDs},
	{Group: "Discovery", Name: "Aggregated Discovery Endpoint Accept Headers CRDs",
		Codename: "[sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery request for CRDs", Missing: noCRDs},
	{Group: "Discovery", Name: "Confirm a server version",
		Codename: "[sig-api-machinery] server version should find the server version", Test: serverVersion},
	{Group: "Discovery", Name: "aggregator-supports-the-sample-apiserver",
		Codename: "[sig-api-machinery] Aggregator Should be able to support the 1.17 Sample API Server using the current Aggregator", Missing: noAggregate},
	{Group: "Tables", Name: "API metadata HTTP return",
		Codename: "[sig-api-machinery] Servers with support for Table transformation should return a 406 for a backend which does not implement metadata", Test: noTableOfAReview},
}

func eachGroupHasAResource(t *testing.T, c *cluster) {
	groups, err := c.kube.Discovery().ServerGroups()
	require.NoError(t, err)
	require.NotEmpty(t, groups.Groups)
	for _, g := range groups.Groups {
		if g.Name == "" {
			continue // the core group has another path
		}
		var one metav1.APIGroup
		require.NoError(t, c.kube.Discovery().RESTClient().Get().AbsPath("/apis/"+g.Name).Do(c.ctx).Into(&one))
		require.Equal(t, g.Versions, one.Versions)
		for _, v := range one.Versions {
			list, err := c.kube.Discovery().ServerResourcesForGroupVersion(v.GroupVersion)
			require.NoError(t, err)
			require.Equal(t, v.GroupVersion, list.GroupVersion)
			gv, err := schema.ParseGroupVersion(v.GroupVersion)
			require.NoError(t, err)
			require.Equal(t, schema.GroupVersion{Group: g.Name, Version: v.Version}, gv)
			require.NotEmpty(t, list.APIResources, v.GroupVersion)
			for _, r := range list.APIResources {
				require.NotEmpty(t, r.Name)
				require.NotEmpty(t, r.Kind)
				require.NotEmpty(t, r.Verbs, r.Name)
			}
		}
	}
}

func preferredVersions(t *testing.T, c *cluster) {
	var list metav1.APIGroupList
	require.NoError(t, c.kube.Discovery().RESTClient().Get().AbsPath("/apis").Do(c.ctx).Into(&list))
	require.NotEmpty(t, list.Groups)
	for _, g := range list.Groups {
		var one metav1.APIGroup
		require.NoError(t, c.kube.Discovery().RESTClient().Get().AbsPath("/apis/"+g.Name).Do(c.ctx).Into(&one))
		require.NotEmpty(t, one.PreferredVersion.GroupVersion, g.Name)
		require.Contains(t, one.Versions, one.PreferredVersion, g.Name)
		require.Equal(t, g.PreferredVersion, one.PreferredVersion)
	}
}

// builtIn are some resources of each group that cannot be absent.
var builtIn = []schema.GroupVersionResource{
	{Version: "v1", Resource: "pods"}, {Version: "v1", Resource: "services"}, {Version: "v1", Resource: "namespaces"},
	{Version: "v1", Resource: "nodes"}, {Version: "v1", Resource: "configmaps"}, {Version: "v1", Resource: "secrets"},
	{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"}, {Group: "apps", Version: "v1", Resource: "replicasets"},
	{Group: "batch", Version: "v1", Resource: "jobs"}, {Group: "batch", Version: "v1", Resource: "cronjobs"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}, {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}, {Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"},
	{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}, {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
}

func aggregatedInterface(t *testing.T, c *cluster) {
	d, ok := c.kube.Discovery().(discovery.AggregatedDiscoveryInterface)
	require.True(t, ok)
	groups, resources, failed, err := d.GroupsAndMaybeResources()
	require.NoError(t, err)
	require.Empty(t, failed)
	require.NotEmpty(t, groups.Groups)
	require.NotEmpty(t, resources, "the server answered with groups alone")
	for _, want := range builtIn {
		list := resources[want.GroupVersion()]
		require.NotNil(t, list, want)
		has := false
		for _, r := range list.APIResources {
			has = has || r.Name == want.Resource
		}
		require.True(t, has, "%v", want)
	}
}

func aggregatedRaw(t *testing.T, c *cluster) {
	const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	have := map[schema.GroupVersionResource]bool{}
	for _, path := range []string{"/api", "/apis"} {
		var kind string
		raw, err := c.kube.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", accept).Do(c.ctx).ContentType(&kind).Raw()
		require.NoError(t, err)
		require.Contains(t, kind, "as=APIGroupDiscoveryList")
		var list apidiscoveryv2.APIGroupDiscoveryList
		require.NoError(t, json.Unmarshal(raw, &list))
		require.Equal(t, "APIGroupDiscoveryList", list.Kind)
		for _, g := range list.Items {
			for _, v := range g.Versions {
				for _, r := range v.Resources {
					have[schema.GroupVersionResource{Group: g.Name, Version: v.Version, Resource: r.Resource}] = true
				}
			}
		}
	}
	for _, want := range builtIn {
		require.True(t, have[want], "%v", want)
	}
}

func serverVersion(t *testing.T, c *cluster) {
	v, err := c.kube.Discovery().ServerVersion()
	require.NoError(t, err)
	digits := regexp.MustCompile(`^\d+$`)
	require.Regexp(t, digits, v.Major)
	require.Regexp(t, digits, strings.TrimSuffix(v.Minor, "+"))
	require.Regexp(t, digits, v.Minor)
}

// noTableOfAReview asks for a review as a Table, which nothing can be.
func noTableOfAReview(t *testing.T, c *cluster) {
	body := `{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"namespace":"` + c.ns + `","verb":"get","resource":"pods"}}}`
	code := 0
	res := c.kube.AuthorizationV1().RESTClient().Post().Resource("selfsubjectaccessreviews").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").SetHeader("Content-Type", "application/json").
		Body([]byte(body)).Do(c.ctx).StatusCode(&code)
	require.Error(t, res.Error())
	require.Equal(t, http.StatusNotAcceptable, code)
}
