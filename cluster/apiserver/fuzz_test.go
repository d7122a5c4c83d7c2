package apiserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// fuzzSeeds are requests of every sort, for the fuzzer to bend.
var fuzzSeeds = [][5]string{
	{"GET", "/api/v1/namespaces/default/pods?labelSelector=a%20in%20(b)&fieldSelector=status.phase=Running&limit=1", "", "application/json;as=Table;g=meta.k8s.io;v=v1", ""},
	{"GET", "/api/v1/pods?watch=1&resourceVersion=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "", "application/vnd.kubernetes.protobuf;stream=watch", ""},
	{"GET", "/api/v1/pods?limit=1&continue=eyJydiI6MSwibmFtZSI6ImEifQ", "", "application/yaml", ""},
	{"POST", "/api/v1/namespaces/default/pods?fieldValidation=Strict", "application/json", "", `{"metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1"}}}]}}`},
	{"POST", "/apis/extensions/v1beta1/namespaces/default/ingresses", "application/yaml", "", "metadata: {name: x}\nspec: {backend: {serviceName: a, servicePort: 1}}"},
	{"POST", "/apis/apps/v1/namespaces/default/deployments", "application/json", "", `{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`},
	{"POST", "/api/v1/namespaces/default/pods", mediaProto, "", "k8s\x00\n\x09\n\x02v1\x12\x03Pod\x12\x07\n\x05\n\x01x\x12\x00\x1a\x00\"\x00"},
	{"PUT", "/api/v1/namespaces/default/pods/kept/status", "application/json", "", `{"metadata":{"name":"kept"},"status":{"phase":"Running"}}`},
	{"PATCH", "/api/v1/namespaces/default/pods/kept", "application/json-patch+json", "", `[{"op":"copy","from":"/metadata","path":"/spec"},{"op":"add","path":"/metadata/labels/a","value":"b"}]`},
	{"PATCH", "/api/v1/namespaces/default/pods/kept", "application/strategic-merge-patch+json", "", `{"spec":{"containers":[{"name":"web","$patch":"delete"}],"$setElementOrder/containers":[{"name":"web"}]}}`},
	{"PATCH", "/api/v1/namespaces/default/pods/kept", "application/merge-patch+json", "", `{"metadata":{"labels":null,"managedFields":[{}]}}`},
	{"PATCH", "/api/v1/namespaces/default/configmaps/x?fieldManager=m&force=true", "application/apply-patch+yaml", "", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}"},
	{"PATCH", "/apis/apps/v1/namespaces/default/deployments/web/scale", "application/merge-patch+json", "", `{"spec":{"replicas":3}}`},
	{"DELETE", "/api/v1/namespaces/default/pods/x?propagationPolicy=Foreground&gracePeriodSeconds=1", "application/json", "", `{"preconditions":{"uid":"x"}}`},
	{"DELETE", "/api/v1/namespaces/default/configmaps?labelSelector=a=b", "", "", ""},
	{"POST", "/api/v1/namespaces/default/pods/kept/eviction", "application/json", "", `{"deleteOptions":{"gracePeriodSeconds":1}}`},
	{"POST", "/api/v1/namespaces/default/pods/kept/binding", "application/json", "", `{"target":{"name":"n"}}`},
	{"PATCH", "/api/v1/namespaces/default/pods/kept/resize", "application/strategic-merge-patch+json", "", `{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"1"}}}]}}`},
	{"GET", "/api/v1/namespaces/default/pods/kept/log?tailLines=1", "", "", ""},
	{"POST", "/apis/events.k8s.io/v1/namespaces/default/events", "application/json", "", `{"metadata":{"name":"e"},"regarding":{"name":"p"}}`},
	{"POST", "/api/v1/namespaces/default/services", "application/json", "", `{"metadata":{"name":"s"},"spec":{"type":"NodePort","ports":[{"port":80,"nodePort":30001}]}}`},
	{"GET", "/apis", "", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", ""},
	{"GET", "/openapi/v3/apis/apps/v1?hash=x", "", "*/*", ""},
}

// FuzzRequest sends requests that nobody in his right mind would. Whatever they are,
// the answer is no server error, and an object that they do not name stays.
func FuzzRequest(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s[0], s[1], s[2], s[3], s[4])
	}
	f.Fuzz(func(t *testing.T, method, path, contentType, accept, body string) {
		u, err := url.ParseRequestURI("/" + strings.TrimLeft(path, "/"))
		if err != nil || strings.Contains(path, "canary") || !validMethod(method) {
			return
		}
		c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{FlushEvery: time.Microsecond},
			Report: func(p any, stack []byte) { t.Errorf("panic: %v\n%s", p, stack) }})
		c.must(t, api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "canary"}}))
		c.must(t, api.Create(pod("kept")))
		canary := pod("canary")
		canary.Namespace = "canary"
		c.must(t, api.Create(canary))
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond) // ends a watch
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, method, "/", strings.NewReader(body))
		r.URL = u
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		c.srv.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusNotImplemented && w.Code != http.StatusGatewayTimeout {
			t.Errorf("%s %q (%q, %q) %q: %d %s", method, path, contentType, accept, body, w.Code, w.Body)
		}
		if c.api.Store().Get(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: "canary", Name: "canary"}}) == nil {
			t.Errorf("%s %q %q: lost the canary", method, path, body)
		}
		if w := c.request("GET", "/api/v1/pods", "", ""); w.Code != http.StatusOK {
			t.Errorf("after %s %q %q: %d %s", method, path, body, w.Code, w.Body)
		}
	})
}

func validMethod(m string) bool {
	for _, r := range m {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return m != ""
}
