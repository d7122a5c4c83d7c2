package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/rand"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/apitest"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/server"
)

const childDir = "SEATRIAL_TEST_SERVER_DIR"

// TestMain is also the server that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveChild(dir string) error {
	cfg, err := testConfig(dir)
	if err != nil {
		return err
	}
	s, err := server.Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	return s.Run(context.Background(), func() { fmt.Println("ready") })
}

// testConfig is a server on ports of its own.
func testConfig(dir string) (server.Config, error) {
	cfg := server.Preset()
	cfg.Dir, cfg.Listen = dir, "0.0.0.0:0"
	at, err := hostAddr()
	if err != nil {
		return cfg, err
	}
	cfg.Advertise = at
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		return cfg, err
	}
	cfg.GossipPort = uint16(l.Addr().(*net.TCPAddr).Port)
	cfg.Problem = func(err error) { fmt.Fprintln(os.Stderr, "problem:", err) }
	return cfg, l.Close()
}

func hostAddr() (netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("this machine has no address but those of the loopback: %v", list)
}

// start runs a server in this process until the test ends or stop is called.
func start(t testing.TB, dir string, edit ...func(*server.Config)) (s *server.Server, stop func()) {
	cfg, err := testConfig(dir)
	require.NoError(t, err)
	for _, e := range edit {
		e(&cfg)
	}
	s, err = server.Open(t.Context(), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- s.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal("the server ended before it was ready:", err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-ended)
		})
	}
	t.Cleanup(stop)
	return s, stop
}

// admin is the administrator of the server in a folder.
func admin(t testing.TB, dir string) *client.Client {
	cfg, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "admin.kubeconfig"))
	require.NoError(t, err)
	require.NoError(t, rest.LoadTLSFiles(cfg))
	pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
	require.NoError(t, err)
	c, err := client.New(client.Config{Server: cfg.Host, CA: pool(t, cfg.CAData), Certificate: &pair})
	require.NoError(t, err)
	return c
}

func pool(t testing.TB, ca []byte) *x509.CertPool {
	p := x509.NewCertPool()
	require.True(t, p.AppendCertsFromPEM(ca))
	return p
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Data: map[string]string{"k": "v"}}
}

func TestSecondStart(t *testing.T) {
	dir := t.TempDir()
	s, stop := start(t, dir)
	hash := s.CAHash()
	c := admin(t, dir)
	_, err := c.Do(t.Context(), api.Create(configMap("kept")))
	require.NoError(t, err)
	before, err := c.Get(t.Context(), kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: "default", Name: "kept"}})
	require.NoError(t, err)
	stop()

	s, _ = start(t, dir)
	require.Equal(t, hash, s.CAHash(), "agents know the server by it")
	c = admin(t, dir)
	after, err := c.Get(t.Context(), kinds.RefOf(before))
	require.NoError(t, err)
	require.Equal(t, before, after)
	_, err = c.Do(t.Context(), api.Create(configMap("new")))
	require.NoError(t, err)
}

func TestWhatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir)
	cfg, err := testConfig(dir)
	require.NoError(t, err)
	_, err = server.Open(t.Context(), cfg)
	require.ErrorContains(t, err, "another server uses this folder")

	cfg.Dir, cfg.Listen = t.TempDir(), strings.TrimPrefix(s.URL(), "https://")
	_, err = server.Open(t.Context(), cfg)
	require.ErrorContains(t, err, "address already in use")

	for _, c := range []struct {
		change func(*server.Config)
		want   string
	}{
		{func(c *server.Config) { c.Advertise = netip.MustParseAddr("127.0.0.1") }, `advertise address "127.0.0.1"`},
		{func(c *server.Config) { c.PodCIDR = "10.244.0.0/33" }, "pod CIDR"},
		{func(c *server.Config) { c.Network.ServiceCIDR = "10.244.0.0/12" }, "overlap"},
		{func(c *server.Config) { c.Network.ServiceCIDR = "10.96.0.0/30" }, "at most /27"},
		{func(c *server.Config) { c.Listen = "here" }, "want HOST:PORT"},
		{func(c *server.Config) { c.Domain = "Not a domain" }, "cluster domain"},
	} {
		cfg, err := testConfig(t.TempDir())
		require.NoError(t, err)
		c.change(&cfg)
		_, err = server.Open(t.Context(), cfg)
		require.ErrorContains(t, err, c.want)
	}
}

// joinAs asks for a node's certificate.
func joinAs(t *testing.T, s *server.Server, token string, q server.JoinRequest) (int, string) {
	body, err := json.Marshal(q)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+server.JoinPath, bytes.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	// The agent pins the authority; this test is about the other side.
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer h.CloseIdleConnections()
	resp, err := h.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func request(t *testing.T, node string) (server.JoinRequest, []byte) {
	key, err := certs.NewKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:masters", Organization: []string{"system:masters"}}}, key)
	require.NoError(t, err)
	text, err := certs.KeyPEM(key)
	require.NoError(t, err)
	return server.JoinRequest{Node: node, CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}, text
}

func TestJoin(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir)
	c := admin(t, dir)
	token, secret, err := server.NewToken(time.Now(), time.Hour, "a test")
	require.NoError(t, err)
	_, err = c.Do(t.Context(), api.Create(secret))
	require.NoError(t, err)
	old, expired, err := server.NewToken(time.Now().Add(-2*time.Hour), time.Hour, "")
	require.NoError(t, err)
	_, err = c.Do(t.Context(), api.Create(expired))
	require.NoError(t, err)

	good, key := request(t, "n1")
	refused := func(token string, q server.JoinRequest, code int, want string) {
		t.Helper()
		got, text := joinAs(t, s, token, q)
		require.Equal(t, code, got, text)
		require.Contains(t, text, want)
		for _, secret := range []string{token, strings.Split(token+".", ".")[1]} {
			require.False(t, len(secret) > 6 && strings.Contains(text, secret), "the answer tells the token: %s", text)
		}
	}
	refused("", good, 401, "Authorization: Bearer")
	refused("abcdef.0123456789abcdef", good, 401, "not one of this cluster's")
	refused("../../x", good, 401, "not one of this cluster's")
	refused(old, good, 401, "has expired")
	refused(token[:7]+"0000000000000000", good, 401, "not one of this cluster's")
	bad := good
	bad.Node = "../n1"
	refused(token, bad, 422, "node")
	bad = good
	bad.CSR = "nothing"
	refused(token, bad, 422, "csr")

	code, text := joinAs(t, s, token, good)
	require.Equal(t, 200, code, text)
	var a server.JoinAnswer
	require.NoError(t, json.Unmarshal([]byte(text), &a))
	pair, err := tls.X509KeyPair([]byte(a.Certificate), key)
	require.NoError(t, err)
	require.Equal(t, "system:node:n1", pair.Leaf.Subject.CommonName, "whatever the request asks for")
	require.Equal(t, []string{"system:nodes"}, pair.Leaf.Subject.Organization)
	n1, err := client.New(client.Config{Server: s.URL(), CA: pool(t, []byte(a.CA)), Certificate: &pair})
	require.NoError(t, err)
	_, err = n1.Do(t.Context(), api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}))
	require.NoError(t, err)
	_, err = c.Do(t.Context(), api.Patch(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: "n1"}}, types.StrategicMergePatchType, []byte(`{"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}}`)))
	require.NoError(t, err)
	_, err = n1.Do(t.Context(), api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}))
	require.True(t, apierrors.IsAlreadyExists(err), "as an agent finds out after a reboot, whatever taints the node has by now: %v", err)
	mayOnlyItsOwn(t, c, n1)
}

// mayOnlyItsOwn tries what a node that was broken into would try.
func mayOnlyItsOwn(t *testing.T, admin, n1 *client.Client) {
	ctx := t.Context()
	_, err := admin.Do(ctx, api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}))
	require.NoError(t, err)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other"}, Spec: corev1.PodSpec{NodeName: "n2", Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	o, err := admin.Do(ctx, api.Create(pod))
	require.NoError(t, err)
	pod = o.(*corev1.Pod)
	_, err = admin.Do(ctx, api.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"}}))
	require.NoError(t, err)

	node2 := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}
	pod = pod.DeepCopy()
	pod.Status.Phase = corev1.PodSucceeded
	for name, r := range map[string]api.Request{
		"another node's status": api.UpdateStatus(node2),
		"another node":          api.Delete(kinds.RefOf(node2), ""),
		"a third node":          api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n3"}}),
		"another's pod":         api.UpdateStatus(pod),
		"another's pod's end":   api.Delete(kinds.RefOf(pod), ""),
		"a config map":          api.Create(configMap("x")),
	} {
		_, err := n1.Do(ctx, r)
		require.True(t, apierrors.IsForbidden(err), "%s: %v", name, err)
	}
	_, err = n1.Get(ctx, kinds.Ref{Kind: kinds.Secret, Key: kinds.Key{Namespace: "default", Name: "s"}})
	require.True(t, apierrors.IsForbidden(err), "a secret of no pod on it: %v", err)
}

// TestKill kills a server while many write, and reads back what it acknowledged.
func TestKill(t *testing.T) {
	const rounds, writers = 3, 8
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round := range rounds {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		t.Cleanup(func() { _ = child.Process.Kill() }) // if it fails below
		line := make([]byte, len("ready\n"))
		_, err = io.ReadFull(out, line)
		require.NoError(t, err)

		c := admin(t, dir)
		for name := range acknowledged {
			_, err := c.Get(t.Context(), kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: "default", Name: name}})
			require.NoError(t, err, "acknowledged before the server was killed")
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for n := 0; ; n++ {
					name := fmt.Sprintf("r%d-w%d-%d", round, w, n)
					if _, err := c.Do(t.Context(), api.Create(configMap(name))); err != nil {
						return // killed
					}
					mu.Lock()
					acknowledged[name] = true
					if len(acknowledged) == 200*(round+1) {
						_ = child.Process.Kill()
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		_ = child.Process.Kill() // should all writers have given up before
		_ = child.Wait()
	}
	require.GreaterOrEqual(t, len(acknowledged), 200*rounds)
	_, _ = start(t, dir)
	c := admin(t, dir)
	for name := range acknowledged {
		_, err := c.Get(t.Context(), kinds.Ref{Kind: kinds.ConfigMap, Key: kinds.Key{Namespace: "default", Name: name}})
		require.NoError(t, err)
	}
}

// BenchmarkWrites creates objects over TLS, one client or many at once.
func BenchmarkWrites(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			dir := b.TempDir()
			start(b, dir)
			c := admin(b, dir)
			apitest.BenchmarkWrites(b, clients, func(n int) error {
				_, err := c.Do(b.Context(), api.Create(configMap(fmt.Sprintf("c%d", n))))
				return err
			})
		})
	}
}
