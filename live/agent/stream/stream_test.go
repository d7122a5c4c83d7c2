package stream_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/live/agent/stream"
	"seatrial.dev/seatrial/live/runtime"
)

func newClient(certs ...tls.Certificate) *http.Client {
	return &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certs}},
	}
}

// TestStrangers: only the API server gets in.
func TestStrangers(t *testing.T) {
	ca, other := newAuthority(t, "cluster"), newAuthority(t, "cluster") // of the same name
	at := endpoint(t, ca, &places{}, nil)
	ask := func(certs ...tls.Certificate) (string, error) {
		answer, err := newClient(certs...).Get("https://" + at.String() + "/pods")
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return fmt.Sprintf("%d %.70s", answer.StatusCode, text), err
	}
	_, err := ask()
	require.ErrorContains(t, err, "certificate required")
	forged := other.sign(t, stream.APIServerName)
	_, err = newClient(forged).Do(&http.Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: at.String(), Path: "/pods"}})
	require.Error(t, err)
	for _, name := range []string{"system:node:n1", "system:node:n2", "admin", "", "kube-apiserver-kubelet-client2"} {
		said, err := ask(ca.sign(t, name))
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(said, fmt.Sprintf("403 %q may not use", name)), said)
	}
	said, err := ask(ca.sign(t, stream.APIServerName))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(said, `200 {"kind":"PodList"`), said)
}

// TestPaths: METHOD PATH gives a code and a text.
func TestPaths(t *testing.T) {
	ca, pods := newAuthority(t, "cluster"), &places{}
	pods.put("web", "web", stream.Place{Log: "/nonexistent/log", Run: runtime.ID{Pod: "none", Name: "web"}})
	pods.put("web", "", stream.Place{})
	runs, err := runtime.Open(runtime.Config{StateDir: t.TempDir(), Binary: "/bin/sh", CgroupRoot: "/seatrial-stream-none"})
	require.NoError(t, err)
	t.Cleanup(runs.Close)
	at := endpoint(t, ca, pods, runs)
	cert := ca.sign(t, stream.APIServerName)
	datadriven.RunTest(t, "testdata/paths.txt", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			fields := strings.Fields(line)
			conn, err := tls.Dial("tcp", at.String(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
			require.NoError(t, err)
			headers := ""
			for _, h := range fields[2:] {
				headers += strings.Replace(h, ":", ": ", 1) + "\r\n"
			}
			_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n%s\r\n", fields[0], fields[1], headers)
			require.NoError(t, err)
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			conn.Close()
			head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
			status, _, _ := strings.Cut(head, "\r\n")
			fmt.Fprintf(&out, "%s: %s\n", strings.TrimPrefix(status, "HTTP/1.1 "), strings.TrimSpace(body))
		}
		return out.String()
	})
}

func TestConfig(t *testing.T) {
	ca := newAuthority(t, "cluster")
	good := stream.Config{Certificate: func() (*tls.Certificate, error) { return nil, nil }, ClientCAs: ca.pool(), ClientNames: []string{"x"}, Report: func(error) {}}
	for field, spoil := range map[string]func(*stream.Config){
		"Certificate": func(c *stream.Config) { c.Certificate = nil },
		"ClientCAs":   func(c *stream.Config) { c.ClientCAs = nil },
		"ClientNames": func(c *stream.Config) { c.ClientNames = []string{""} },
		"Report":      func(c *stream.Config) { c.Report = nil },
	} {
		c := good
		spoil(&c)
		_, err := stream.New(c, &places{}, nil)
		require.ErrorContains(t, err, field)
	}
}

// TestRelayTrustsNodesOnly: whoever answers at a node's address must be that node.
func TestRelayTrustsNodesOnly(t *testing.T) {
	ca := newAuthority(t, "cluster")
	for name, cert := range map[string]tls.Certificate{
		"another node": ca.sign(t, "system:node:n2"), "another authority": newAuthority(t, "cluster").sign(t, "system:node:n1"),
	} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
		require.NoError(t, err)
		s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") })}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { s.Close() })
		c, url := newControl(t, ca, l.Addr(), apiserver.Config{})
		c.pod(t, "web", corev1.Container{Name: "web"})
		for _, path := range []string{"/log", "/exec?command=id&stdout=1", "/attach?stdout=1", "/portforward", "/proxy/"} {
			code, text := get(t, url+"/api/v1/namespaces/default/pods/web"+path)
			require.Equal(t, 500, code, "%s: %s", name, text)
			require.Contains(t, text, "error dialing backend", name)
		}
	}
}

// get asks as a WebSocket would.
func get(t testing.TB, url string) (int, string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	answer, err := newClient().Do(req)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(text)
}

// TestRelayHidesUsers: a node sees neither the user's token nor his name, and cannot send
// him elsewhere.
func TestRelayHidesUsers(t *testing.T) {
	ca := newAuthority(t, "cluster")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.sign(t, "system:node:n1")}})
	require.NoError(t, err)
	var seen http.Header
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		http.Redirect(w, r, "https://elsewhere.test/", http.StatusFound)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	var asked []string
	c, url := newControl(t, ca, l.Addr(), apiserver.Config{Authorize: func(_ context.Context, a *auth.Attributes) (string, error) {
		asked = append(asked, a.Verb+" "+a.Resource+"/"+a.Subresource)
		return "", nil
	}})
	c.pod(t, "web", corev1.Container{Name: "web"})
	for _, path := range []string{"/exec?command=id&stdout=1", "/portforward"} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/api/v1/namespaces/default/pods/web"+path, nil)
		require.NoError(t, err)
		for name, value := range map[string]string{"Authorization": "Bearer secret", "Cookie": "secret", "Impersonate-User": "secret", "X-Remote-User": "secret",
			"Sec-WebSocket-Protocol": "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.secret", "Connection": "Upgrade", "Upgrade": "websocket"} {
			req.Header.Set(name, value)
		}
		answer, err := newClient().Do(req)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, 500, answer.StatusCode)
		require.Equal(t, []string{"v5.channel.k8s.io"}, seen.Values("Sec-WebSocket-Protocol"))
		require.NotContains(t, fmt.Sprint(seen), "secret")
	}
	require.Equal(t, []string{"get pods/exec", "create pods/exec", "get pods/portforward", "create pods/portforward"}, asked)
}

// TestProxyPages: a page seen through a proxy is at the proxy's address, with its slash,
// and so is what it links to; a pod may be asked by TLS.
func TestProxyPages(t *testing.T) {
	ca := newAuthority(t, "cluster")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{ca.sign(t, "system:node:n1")}})
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<p>%s %s</p><a href="/next?a=b">next</a>`, r.Method, r.URL.Path)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	c, url := newControl(t, ca, l.Addr(), apiserver.Config{})
	c.pod(t, "web", corev1.Container{Name: "web"})
	at := "/api/v1/namespaces/default/pods/"
	for _, step := range []struct{ method, path, want string }{
		{"GET", "web/proxy/", `200 <p>GET /proxy/default/web/80/</p><a href="` + at + `web/proxy/next?a=b">next</a>`},
		{"GET", "https:web:8443/proxy/a/b", `200 <p>GET /proxy/default/web/https:8443/a/b</p><a href="` + at + `https:web:8443/proxy/next?a=b">next</a>`},
		{"OPTIONS", "web/proxy/", `200 <p>OPTIONS /proxy/default/web/80/</p><a href="` + at + `web/proxy/next?a=b">next</a>`},
		{"GET", "web/proxy?a=b", "301 " + at + "web/proxy/?a=b"},
		{"HEAD", "web/proxy", "301 " + at + "web/proxy/"},
		{"POST", "web/proxy", `200 <p>POST /proxy/default/web/80/</p><a href="` + at + `web/proxy/next?a=b">next</a>`},
		{"GET", "ftp:web:21/proxy/", "400 "},
	} {
		req, err := http.NewRequestWithContext(t.Context(), step.method, url+at+step.path, nil)
		require.NoError(t, err)
		client := newClient()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		answer, err := client.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		answer.Body.Close()
		got := fmt.Sprintf("%d %s", answer.StatusCode, answer.Header.Get("Location"))
		if answer.StatusCode == http.StatusOK {
			got += string(text)
		}
		require.Equal(t, step.want, got, step.path)
	}
}

// TestFrontRefuses: what is wrong is said before an agent is asked.
func TestFrontRefuses(t *testing.T) {
	ca := newAuthority(t, "cluster")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, url := newControl(t, ca, l.Addr(), apiserver.Config{})
	c.pod(t, "two", corev1.Container{Name: "a"}, corev1.Container{Name: "b"})
	c.must(t, api.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "waiting"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "x"}}}}))
	c.must(t, api.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "lost"},
		Spec: corev1.PodSpec{NodeName: "gone", Containers: []corev1.Container{{Name: "a", Image: "x"}}}}))
	done := c.must(t, api.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "done"},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "a", Image: "x"}}}})).(*corev1.Pod).DeepCopy()
	done.Status.Phase = corev1.PodSucceeded
	c.must(t, api.UpdateStatus(done))
	c.must(t, api.Create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "svc"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}))
	for _, step := range []struct {
		path string
		code int
		want string
	}{
		{"pods/two/exec?command=id&stdout=1", 400, "a container name must be specified for pod two, choose one of: [a b]"},
		{"pods/two/exec?command=id&stdout=1&container=c", 400, "container c is not valid for pod two"},
		{"pods/two/exec?command=id", 400, "at least 1 of stdin, stdout, stderr"},
		{"pods/two/exec?stdout=1", 400, "you must specify a command"},
		{"pods/two/portforward?ports=80,0", 400, `ports \"80,0\": want numbers`},
		{"pods/waiting/attach?stdout=1", 400, "pod waiting does not have a host assigned"},
		{"pods/lost/attach?stdout=1", 404, `nodes \"gone\" not found`},
		{"pods/done/exec?command=id&stdout=1", 400, "cannot exec into a pod that has completed; current phase is Succeeded"},
		{"pods/none/portforward", 404, `pods \"none\" not found`},
		{"pods/two:x/proxy/", 400, `port \"x\"`},
		{"pods/ftp:two:1/proxy/", 400, `scheme \"ftp\": want http or https`},
		{"services/svc/proxy/", 503, `no endpoints available for service \"svc\"`},
		{"services/svc:81/proxy/", 503, `no service port \"81\" found for service \"svc\"`},
		{"services/none/proxy/", 404, `services \"none\" not found`},
	} {
		code, text := get(t, url+"/api/v1/namespaces/default/"+step.path)
		require.Equal(t, step.code, code, "%s: %s", step.path, text)
		require.Contains(t, text, step.want, step.path)
	}
	answer, err := newClient().Get(url + "/api/v1/namespaces/default/pods/two/portforward")
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, 400, answer.StatusCode)
}

// TestNodeAway: the address of a node does not answer, or it has none.
func TestNodeAway(t *testing.T) {
	ca := newAuthority(t, "cluster")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	c, url := newControl(t, ca, l.Addr(), apiserver.Config{})
	c.pod(t, "web", corev1.Container{Name: "web"})
	code, text := get(t, url+"/api/v1/namespaces/default/pods/web/exec?command=id&stdout=1")
	require.Equal(t, 500, code)
	require.Contains(t, text, "connection refused")
}
