package apiserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

// TestOpenAPIRefs: every reference of every document leads to a definition.
func TestOpenAPIRefs(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	require.NoError(t, json.Unmarshal(c.request("GET", "/openapi/v3", "", "").Body.Bytes(), &index))
	require.NotEmpty(t, index.Paths)
	urls := []string{"/openapi/v2"}
	for _, p := range index.Paths {
		urls = append(urls, p.ServerRelativeURL)
	}
	for _, url := range urls {
		w := c.request("GET", url, "", "")
		require.Equal(t, http.StatusOK, w.Code, url)
		var doc map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
		refs := map[string]bool{}
		collectRefs(doc, refs)
		require.NotEmpty(t, refs, url)
		for ref := range refs {
			at := field(doc, strings.ReplaceAll(strings.TrimPrefix(ref[:strings.LastIndex(ref, "/")], "#/"), "/", "."))
			require.NotNil(t, at.(map[string]any)[ref[strings.LastIndex(ref, "/")+1:]], "%s: %s", url, ref)
		}
		tag := w.Header().Get("ETag")
		require.Equal(t, http.StatusNotModified, c.request("GET", url, "", "", "If-None-Match: "+tag).Code)
	}
}

func collectRefs(v any, refs map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if r, ok := v["$ref"].(string); ok {
			refs[r] = true
		}
		for _, x := range v {
			collectRefs(x, refs)
		}
	case []any:
		for _, x := range v {
			collectRefs(x, refs)
		}
	}
}

// TestOpenAPISays checks a few facts that clients read out of the documents.
func TestOpenAPISays(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	var doc map[string]any
	require.NoError(t, json.Unmarshal(c.request("GET", "/openapi/v3/api/v1", "", "").Body.Bytes(), &doc))
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	podSpec := schemas["io.k8s.api.core.v1.PodSpec"].(map[string]any)
	require.Equal(t, []any{"containers"}, podSpec["required"])
	containers := field(podSpec, "properties.containers").(map[string]any)
	require.Equal(t, "map", containers["x-kubernetes-list-type"])
	require.Equal(t, []any{"name"}, containers["x-kubernetes-list-map-keys"])
	require.Equal(t, "merge", containers["x-kubernetes-patch-strategy"])
	require.Equal(t, "name", containers["x-kubernetes-patch-merge-key"])
	require.Contains(t, containers["description"], "List of containers belonging to the pod")
	pod := schemas["io.k8s.api.core.v1.Pod"].(map[string]any)
	require.Equal(t, []any{map[string]any{"group": "", "version": "v1", "kind": "Pod"}}, pod["x-kubernetes-group-version-kind"])
	patch := field(doc["paths"].(map[string]any)["/api/v1/namespaces/{namespace}/pods/{name}"], "patch").(map[string]any)
	var names []any
	for _, p := range patch["parameters"].([]any) {
		names = append(names, p.(map[string]any)["name"])
	}
	require.Equal(t, []any{"dryRun", "fieldManager", "fieldValidation", "force"}, names)
}
