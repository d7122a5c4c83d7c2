package apiserver_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

// TestCostlyPatch: while a patch is worked out that costs much, others are answered.
func TestCostlyPatch(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	p := pod("p")
	for i := range 4000 {
		p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: fmt.Sprintf("A%d", i), Value: "1"})
	}
	c.must(t, api.Create(p))
	c.must(t, api.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "m"}}))
	var env, ops strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&env, `,{"name":"B%d","value":"1"}`, i)
	}
	for range 3000 {
		ops.WriteString(`,{"op":"add","path":"/metadata/finalizers/0","value":"x.y/z"}`)
	}
	for name, x := range map[string]struct{ path, media, body string }{
		"strategic": {podsPath + "/p", string(types.StrategicMergePatchType),
			`{"spec":{"containers":[{"name":"` + p.Spec.Containers[0].Name + `","env":[` + env.String()[1:] + `]}]}}`},
		"JSON": {"/api/v1/namespaces/default/configmaps/m", string(types.JSONPatchType),
			`[{"op":"add","path":"/metadata/finalizers","value":[` + strings.Repeat(`"a",`, 100_000) + `"a"]}` + ops.String() + `]`},
	} {
		began, done := time.Now(), make(chan time.Duration)
		go func() {
			c.request(http.MethodPatch, x.path, x.media, x.body)
			done <- time.Since(began)
		}()
		var slowest time.Duration
		for over := false; !over; {
			asked := time.Now()
			require.Equal(t, 200, c.request(http.MethodGet, "/api/v1/namespaces/default", "", "").Code)
			slowest = max(slowest, time.Since(asked))
			select {
			case took := <-done:
				t.Logf("%s: the patch took %v, others %v at most", name, took, slowest)
				require.Less(t, slowest, took/2)
				over = true
			default:
			}
		}
	}
}

// TestCostlyUpdate: the same while it is found out who owns which field of a large object.
func TestCostlyUpdate(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{})
	body := func(label string) string {
		var keys strings.Builder
		for i := range 60_000 {
			fmt.Fprintf(&keys, `,"k%d":%q`, i, label)
		}
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{` + keys.String()[1:] + `}}`
	}
	const path = "/api/v1/namespaces/default/configmaps"
	require.Equal(t, 201, c.request(http.MethodPost, path, "", body("a")).Code)
	began, done := time.Now(), make(chan time.Duration)
	go func() {
		if w := c.request(http.MethodPut, path+"/m", "", body("b")); w.Code != 200 {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		done <- time.Since(began)
	}()
	var slowest time.Duration
	for over := false; !over; {
		asked := time.Now()
		require.Equal(t, 200, c.request(http.MethodGet, "/api/v1/namespaces/default", "", "").Code)
		slowest = max(slowest, time.Since(asked))
		select {
		case took := <-done:
			t.Logf("the update took %v, others %v at most", took, slowest)
			require.Less(t, slowest, took/2)
			over = true
		default:
		}
	}
}

// TestListItemsMax: lists of which it costs the square of their length to see that they are
// right are not looked at when they are too long, however they came about.
func TestListItemsMax(t *testing.T) {
	c := newCluster(t, store.WindowDefault, apiserver.Config{Limits: apiserver.Limits{ListItemsMax: 50}})
	body := func(n int) string {
		var ports strings.Builder
		for i := range n {
			fmt.Fprintf(&ports, `,{"name":"a%d","port":%d}`, i, i+1)
		}
		return `{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[` + ports.String()[1:] + `]}}`
	}
	const path = "/api/v1/namespaces/default/services"
	require.Equal(t, 201, c.request(http.MethodPost, path, "", body(50)).Code)
	for _, w := range []struct{ method, path, media, body string }{
		{http.MethodPost, path, "", body(51)},
		{http.MethodPut, path + "/s", "", body(51)},
		{http.MethodPatch, path + "/s", string(types.JSONPatchType), `[{"op":"add","path":"/spec/ports/-","value":{"name":"b","port":99}}]`},
		{http.MethodPatch, path + "/s?fieldManager=x&force=true", string(types.ApplyYAMLPatchType), body(51)},
	} {
		got := c.request(w.method, w.path, w.media, w.body)
		require.Equal(t, 422, got.Code, "%s: %s", w.method, got.Body)
		require.Contains(t, got.Body.String(), "spec.ports: Too many: 51: must have at most 50 items")
	}
	deep := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i","args":[` +
		strings.Repeat(`"x",`, 50) + `"x"]}]}}}}`
	got := c.request(http.MethodPost, "/apis/apps/v1/namespaces/default/deployments", "", deep)
	require.Equal(t, 422, got.Code)
	require.Contains(t, got.Body.String(), "spec.template.spec.containers[0].args: Too many")
	m := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":"` + strings.Repeat("x", 1000) + `"},"binaryData":{"b":"` + strings.Repeat("AAAA", 100) + `"}}`
	require.Equal(t, 201, c.request(http.MethodPost, "/api/v1/namespaces/default/configmaps", "", m).Code, "bytes are no list")
}
