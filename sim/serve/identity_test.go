package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/apiserver/identity"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/audit"
	"seatrial.dev/seatrial/cluster/auth/auditfile"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/auth/statictoken"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim/play"
)

const guarded = `
apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: guarded}
spec:
  seed: 3
  start: "2026-01-01T00:00:00Z"
  duration: 10m
  cluster: {nodeGroups: [{name: w, count: 2}]}
  manifests:
  - apiVersion: v1
    kind: Pod
    metadata: {name: till}
    spec:
      nodeName: w-0
      containers: [{name: c, image: "demo/web:1", envFrom: [{secretRef: {name: used}}]}]
  - {apiVersion: v1, kind: Secret, metadata: {name: used}}
  - {apiVersion: v1, kind: Secret, metadata: {name: unused}}
  - {apiVersion: v1, kind: ServiceAccount, metadata: {name: robot}}
`

const tokenFile = `jane-secret,jane,7,"dev"
ops-secret,ops,8,"ops"
`

// whole is a simulated cluster with everything that serves it, over TLS.
type whole struct {
	*Cluster
	t      *testing.T
	ctx    context.Context
	dir    string
	url    string
	ca     *certs.Authority
	log    string            // the audit log's file
	tokens map[string]string // of users, by the names that a transcript gives them
}

// openWhole serves a scenario to whom these modes let in, until the test ends.
func openWhole(t *testing.T, modes string, anonymous bool) *whole {
	w := &whole{t: t, dir: t.TempDir(), tokens: map[string]string{"jane": "jane-secret", "ops": "ops-secret", "nobody": "wrong"}}
	w.log = filepath.Join(w.dir, "audit.log")
	file := filepath.Join(w.dir, "guarded.yaml")
	require.NoError(t, os.WriteFile(file, []byte(guarded), 0o666))
	scn, err := scenarios.Read(file)
	require.NoError(t, err)

	var front *apiserver.Server
	var who *identity.Identity
	w.Cluster, err = New(scn, scn.Seed, func(e store.Event) {
		who.Observe(e)
		front.Observe(e)
	})
	require.NoError(t, err)
	span := certs.For(time.Now(), time.Hour)
	w.ca, err = certs.NewAuthority(rand.Reader, "kubernetes", span)
	require.NoError(t, err)
	serving, err := w.ca.Serving(rand.Reader, []string{"127.0.0.1"}, span)
	require.NoError(t, err)
	key, err := satoken.DrawKey(rand.Reader)
	require.NoError(t, err)
	issuer, err := satoken.NewIssuer(satoken.Preset("cluster.local"), key)
	require.NoError(t, err)
	cfg := identity.Config{Anonymous: anonymous, Clients: []*x509.Certificate{w.ca.Cert}, Now: time.Now, Problem: func(err error) { t.Error(err) }}
	cfg.Modes, err = identity.ParseModes(modes)
	require.NoError(t, err)
	cfg.Tokens, _, err = statictoken.Parse("tokens", []byte(tokenFile), satoken.Preset("cluster.local").Audiences)
	require.NoError(t, err)
	cfg.Audit, err = auditfile.Open(w.log, audit.Preset())
	require.NoError(t, err)
	who, err = identity.New(w.Cluster, issuer, cfg)
	require.NoError(t, err)
	front = w.front(who)

	server := front.HTTPServer()
	server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{serving.TLS()}, ClientAuth: tls.RequestClientCert}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.url = "https://" + l.Addr().String()
	var cancel context.CancelFunc
	w.ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	ended := make(chan error, 2)
	go func() { ended <- w.Run(w.ctx) }()
	require.NoError(t, who.Prepare(w.ctx))
	go func() { ended <- server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		front.Close()
		require.NoError(t, server.Close())
		cancel()
		for range 2 {
			if err := <-ended; err != http.ErrServerClosed {
				require.NoError(t, err)
			}
		}
		require.NoError(t, cfg.Audit.Close())
	})
	return w
}

func (w *whole) front(who *identity.Identity) *apiserver.Server {
	cfg := apiserver.Config{Paths: map[string]http.Handler{ClockPath: w.ClockHandler()},
		Limits: apiserver.Limits{WatchersMax: 1},
		Report: func(p any, stack []byte) { w.t.Errorf("a request panicked: %v\n%s", p, stack) }}
	require.NoError(w.t, who.Configure(&cfg))
	return apiserver.New(w.Cluster, cfg)
}

// as is how a user reaches the cluster: by a certificate ("admin", "node:NAME"), by a
// token, or not at all ("anonymous").
func (w *whole) as(user string) *rest.Config {
	cfg := &rest.Config{Host: w.url, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: w.ca.CertPEM()}}
	span := certs.For(time.Now(), time.Hour)
	node, isNode := strings.CutPrefix(user, "node:")
	switch {
	case user == "anonymous":
		return cfg
	case user == "admin":
		w.certify(cfg, auth.User{Name: "kubernetes-admin", Groups: []string{auth.Masters}}, span)
	case user == "late":
		w.certify(cfg, auth.User{Name: "late", Groups: []string{auth.Masters}}, certs.Span{NotBefore: span.NotBefore.Add(-time.Hour), NotAfter: span.NotBefore})
	case isNode:
		w.certify(cfg, auth.User{Name: auth.NodePrefix + node, Groups: []string{auth.Nodes}}, span)
	default:
		require.Contains(w.t, w.tokens, user)
		cfg.BearerToken = w.tokens[user]
	}
	return cfg
}

func (w *whole) certify(cfg *rest.Config, u auth.User, span certs.Span) {
	pair, err := w.ca.Client(rand.Reader, u, span)
	require.NoError(w.t, err)
	text, err := certs.Kubeconfig(certs.Login{Cluster: "c", Server: w.url, CA: w.ca.CertPEM(), User: "u", Client: pair})
	require.NoError(w.t, err)
	login, err := clientcmd.RESTConfigFromKubeConfig(text)
	require.NoError(w.t, err)
	cfg.TLSClientConfig = login.TLSClientConfig
}

func (w *whole) client(user string) kubernetes.Interface {
	c, err := kubernetes.NewForConfig(w.as(user))
	require.NoError(w.t, err)
	return c
}

// request makes a request and shows its answer: the code and, of a failure, the
// message; of anything else the fields named.
func (w *whole) request(user, impersonate, line, show string) string {
	cfg := w.as(user)
	if impersonate != "" {
		cfg.Impersonate.UserName, _, _ = strings.Cut(impersonate, "/")
		if _, groups, ok := strings.Cut(impersonate, "/"); ok {
			cfg.Impersonate.Groups = strings.Split(groups, "/")
		}
	}
	client, err := rest.HTTPClientFor(cfg)
	require.NoError(w.t, err)
	defer client.CloseIdleConnections()
	first, body, _ := strings.Cut(line, "\n")
	method, path, _ := strings.Cut(first, " ")
	r, err := http.NewRequestWithContext(w.ctx, method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	switch {
	case method == http.MethodPatch:
		r.Header.Set("Content-Type", "application/apply-patch+yaml")
	case body != "":
		r.Header.Set("Content-Type", "application/yaml")
	}
	resp, err := client.Do(r)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	out := fmt.Sprintf("%d %s\n", resp.StatusCode, resp.Header.Get("Content-Type"))
	var o map[string]any
	if json.Unmarshal(text, &o) != nil {
		return out + strings.TrimSpace(string(text)) + "\n"
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return out + fmt.Sprintln(o["message"])
	}
	for field := range strings.SplitSeq(show, ",") {
		if field != "" {
			out += field + ": " + find(o, field) + "\n"
		}
	}
	return out
}

// find shows a field of an object; "kind" or "status.user".
func find(o map[string]any, field string) string {
	var v any = o
	for key := range strings.SplitSeq(field, ".") {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// TestTranscripts plays testdata/identity/*, each on a cluster of its own:
//
//	open modes=Node,RBAC [closed]        opens the cluster; closed: not to the anonymous
//	as user=USER [for=USER/GROUP/...] [show=FIELD,...]   makes a request: METHOD PATH, and a body
//	token for=NAMESPACE/NAME name=USER seconds=N   mints a token, by which USER is known
//	step by=DURATION                     lets virtual time pass
//	audit                                shows the audit log since the last time
//
// USER is admin, late (whose certificate is over), node:NAME, anonymous, or of a
// token. Rewrite the transcripts by go test ./sim/serve -rewrite.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/identity", func(t *testing.T, path string) {
		var w *whole
		seen := 0
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			arg := func(name string) (s string) {
				if d.HasArg(name) {
					var all []string
					for _, a := range d.CmdArgs {
						if a.Key == name {
							all = a.Vals
						}
					}
					s = strings.Join(all, ",")
				}
				return s
			}
			switch d.Cmd {
			case "open":
				w = openWhole(t, arg("modes"), !d.HasArg("closed"))
				require.NoError(t, w.Step(w.ctx, 30*time.Second))
				return ""
			case "as":
				return w.request(arg("user"), arg("for"), d.Input, arg("show"))
			case "token":
				return w.mint(arg("for"), arg("name"), arg("seconds"))
			case "step":
				by, err := time.ParseDuration(arg("by"))
				require.NoError(t, err)
				require.NoError(t, w.Step(w.ctx, by))
				return ""
			case "audit":
				text, err := os.ReadFile(w.log)
				require.NoError(t, err)
				lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
				out := summaries(t, lines[seen:])
				seen = len(lines)
				return out
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func (w *whole) mint(account, name, seconds string) string {
	namespace, sa, _ := strings.Cut(account, "/")
	var life int64
	_, err := fmt.Sscan(seconds, &life)
	require.NoError(w.t, err)
	r, err := w.client("admin").CoreV1().ServiceAccounts(namespace).CreateToken(w.ctx, sa,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life}}, metav1.CreateOptions{})
	if err != nil {
		return err.Error() + "\n"
	}
	w.tokens[name] = r.Status.Token
	return "until " + r.Status.ExpirationTimestamp.UTC().Format(time.RFC3339) + "\n"
}

// ofThisRun is what differs from run to run in a message: keys, and the wall's time.
var ofThisRun = regexp.MustCompile(`SN=\d+|AKID=[0-9A-F:]+|20\d\d-[0-9T:Z-]+`)

// summaries shows the parts of audit lines that do not change from run to run.
func summaries(t *testing.T, lines [][]byte) string {
	var out strings.Builder
	for _, line := range lines {
		var e audit.Event
		require.NoError(t, json.Unmarshal(line, &e), string(line))
		require.Len(t, e.ID, 36)
		require.Equal(t, []string{"127.0.0.1"}, e.Sources)
		require.NotContains(t, string(line), "secret\"", "a token is in the log")
		fmt.Fprintf(&out, "%s %s %q", e.Verb, e.URI, e.User.Username)
		if e.Impersonated != nil {
			fmt.Fprintf(&out, " as %q", e.Impersonated.Username)
		}
		fmt.Fprintf(&out, " %d", e.Response.Code)
		if e.Object != nil {
			fmt.Fprintf(&out, " on %s/%s", e.Object.Resource, e.Object.Name)
		}
		for _, key := range []string{"decision", "reason"} {
			if v := e.Annotations["authorization.k8s.io/"+key]; v != "" {
				fmt.Fprintf(&out, "; %s", v)
			}
		}
		if e.Response.Message != "" {
			fmt.Fprintf(&out, "; %s", ofThisRun.ReplaceAllString(e.Response.Message, "..."))
		}
		out.WriteString("\n")
	}
	return out.String()
}

// TestClientGoUnderRBAC: a watch begins to be allowed with a binding, over HTTP/2, and
// a second watch is one too many.
func TestClientGoUnderRBAC(t *testing.T) {
	w := openWhole(t, "Node,RBAC", true)
	require.NoError(t, w.Step(w.ctx, 30*time.Second))
	admin, jane := w.client("admin"), w.client("jane")
	nodes, err := admin.CoreV1().Nodes().List(w.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, nodes.Items, 2)
	_, err = jane.CoreV1().Pods("default").Watch(w.ctx, metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = admin.RbacV1().RoleBindings("default").Create(w.ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "jane"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	watch, err := jane.CoreV1().Pods("default").Watch(w.ctx, metav1.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, "till", (<-watch.ResultChan()).Object.(*corev1.Pod).Name)
	require.Contains(t, w.request("jane", "", "GET /api/v1/namespaces/default/pods?watch=true", ""), "429 ") // client-go would try again
	watch.Stop()
}

// TestLimitsHoldForAdmin: whoever it is, what is too long or too deep is not read.
func TestLimitsHoldForAdmin(t *testing.T) {
	w := openWhole(t, "Node,RBAC", true)
	const configMaps = "/api/v1/namespaces/default/configmaps"
	require.Contains(t, w.request("admin", "", "POST "+configMaps+"\n"+strings.Repeat("x", 4<<20), ""), "413 ")
	require.Contains(t, w.request("admin", "", "POST "+configMaps+"\n"+strings.Repeat("[", 10_000), ""), "400 ")
	require.Contains(t, w.request("admin", strings.Repeat("x", 900<<10), "GET "+configMaps, ""), "403 ") // nobody's
	client, err := rest.HTTPClientFor(w.as("admin"))
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.url+configMaps, nil)
	require.NoError(t, err)
	r.Header.Set("Long", strings.Repeat("x", 2<<20))
	resp, err := client.Do(r)
	if err == nil { // over HTTP/2 the connection may be given up instead
		resp.Body.Close()
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
	}
}

// TestARunUnderRBACRepeats: what people did, and the default roles, are in the
// recording; what was refused, asked or minted leaves no mark.
func TestARunUnderRBACRepeats(t *testing.T) {
	w := openWhole(t, "Node,RBAC", true)
	require.NoError(t, w.Step(w.ctx, 20*time.Second))
	admin, jane := w.client("admin"), w.client("jane")
	err := jane.CoreV1().Pods("default").Delete(w.ctx, "till", metav1.DeleteOptions{})
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = admin.RbacV1().RoleBindings("default").Create(w.ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "jane"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "jane"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, w.Step(w.ctx, 5*time.Second))
	w.mint("default/robot", "robot", "600")
	require.NoError(t, jane.CoreV1().Pods("default").Delete(w.ctx, "till", metav1.DeleteOptions{}))
	cm := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"mine"},"data":{"a":"b"}}`)
	for _, manager := range []string{"one", "two"} { // the second changes who owns a field, and nothing else
		_, err = jane.CoreV1().ConfigMaps("default").Patch(w.ctx, "mine", types.ApplyPatchType, cm, metav1.PatchOptions{FieldManager: manager})
		require.NoError(t, err)
	}
	require.NoError(t, w.Step(w.ctx, time.Minute))
	state, err := w.State(w.ctx)
	require.NoError(t, err)
	text, err := w.Recording(w.ctx, w.dir)
	require.NoError(t, err)
	require.NotContains(t, string(text), "jane-secret")
	require.Contains(t, string(text), "system:kube-scheduler")

	file := filepath.Join(w.dir, "recorded.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o666))
	again, err := scenarios.Read(file)
	require.NoError(t, err)
	v, _ := play.Run(again, play.Options{Seed: again.Seed})
	require.NoError(t, v.Err)
	require.Equal(t, state.Hash, fmt.Sprintf("%016x", v.Hash))
}
