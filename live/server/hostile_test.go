package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/server"
)

// newToken is a token of the cluster.
func newToken(t testing.TB, c *client.Client) string {
	token, secret, err := server.NewToken(time.Now(), time.Hour, "a test")
	require.NoError(t, err)
	_, err = c.Do(t.Context(), api.Create(secret))
	require.NoError(t, err)
	return token
}

// join makes a node of this name, which is not registered yet, and a client of it.
func join(t *testing.T, s *server.Server, token, node string) (*client.Client, tls.Certificate) {
	ask, key := request(t, node)
	code, text := joinAs(t, s, token, ask)
	require.Equal(t, 200, code, text)
	var a server.JoinAnswer
	require.NoError(t, json.Unmarshal([]byte(text), &a))
	pair, err := tls.X509KeyPair([]byte(a.Certificate), key)
	require.NoError(t, err)
	c, err := client.New(client.Config{Server: s.URL(), CA: pool(t, []byte(a.CA)), Certificate: &pair})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, pair
}

// TestNoNodeIsTheServer: whatever name and addresses a node asks for, by a token or by the
// certificate that it has, nobody who trusts the cluster's authority takes it for the API
// server, or for any other host.
func TestNoNodeIsTheServer(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir)
	c := admin(t, dir)
	token := newToken(t, c)
	server := strings.Split(strings.TrimPrefix(s.URL(), "https://"), ":")[0]
	hosts := []string{"kubernetes", "kubernetes.default.svc", "localhost", "127.0.0.1", "10.96.0.1", server}
	ask := func(path string, with *tls.Certificate, node string) *x509.Certificate {
		q, _ := request(t, node)
		body, err := json.Marshal(map[string]any{"node": node, "csr": q.CSR, "addresses": []string{"127.0.0.1", "10.96.0.1", server}})
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, bytes.NewReader(body))
		require.NoError(t, err)
		conf := &tls.Config{InsecureSkipVerify: true}
		if with != nil {
			conf.Certificates = []tls.Certificate{*with}
		} else {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		h := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
		defer h.CloseIdleConnections()
		resp, err := h.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			return nil
		}
		var a struct{ Certificate string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&a))
		block, _ := pem.Decode([]byte(a.Certificate))
		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		return cert
	}
	noServer := func(cert *x509.Certificate) {
		t.Helper()
		for _, h := range hosts {
			if cert != nil {
				require.Error(t, cert.VerifyHostname(h), "%s is taken for %s", cert.Subject.CommonName, h)
			}
		}
	}
	for _, node := range []string{"n1", "localhost", "kubernetes", "kubernetes.default.svc"} {
		noServer(ask("/join", nil, node))
	}
	n1, pair := join(t, s, token, "n2")
	_, err := n1.Do(t.Context(), api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}))
	require.NoError(t, err)
	cert := ask("/renew", &pair, "n2")
	require.NotNil(t, cert)
	noServer(cert)
}

// TestNodeTakesNoTraffic: a node can neither have the packets of others sent to it, by
// the range of addresses that it claims or the labels of its pods, nor tokens that its
// pods do not ask for.
func TestNodeTakesNoTraffic(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir)
	c := admin(t, dir)
	n1, _ := join(t, s, newToken(t, c), "n1")
	ctx := t.Context()
	forbidden := func(what string, err error) {
		t.Helper()
		require.True(t, apierrors.IsForbidden(err), "%s: %v", what, err)
	}
	for _, cidr := range []string{"0.0.0.0/0", "10.244.9.0/24"} {
		_, err := n1.Do(ctx, api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Spec: corev1.NodeSpec{PodCIDR: cidr, PodCIDRs: []string{cidr}}}))
		forbidden("a range of its own choice", err)
	}
	_, err := n1.Do(ctx, api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}))
	require.NoError(t, err)
	ref := kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: "n1"}}
	_, err = n1.Do(ctx, api.Patch(ref, types.MergePatchType, []byte(`{"spec":{"podCIDR":"0.0.0.0/0","podCIDRs":["0.0.0.0/0"]}}`)))
	require.Error(t, err)

	o, err := c.Do(ctx, api.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "mine", Labels: map[string]string{"app": "mine"}},
		Spec: corev1.PodSpec{NodeName: "n1", AutomountServiceAccountToken: new(bool), Containers: []corev1.Container{{Name: "c", Image: "i"}}}}))
	require.NoError(t, err)
	pod := o.(*corev1.Pod)
	_, err = n1.Do(ctx, func() api.Request {
		r := api.Patch(kinds.RefOf(pod), types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"bank"}}}`))
		r.Subresource = api.SubStatus
		return r
	}())
	forbidden("the labels of its pod", err)
	stale := pod.DeepCopy()
	stale.Status.Message = "hello"
	_, err = n1.Do(ctx, api.UpdateStatus(stale))
	require.NoError(t, err)

	for _, audiences := range [][]string{nil, {"vault"}} {
		_, err = n1.Token(ctx, kinds.Key{Namespace: "default", Name: "default"}, audiences, 600, kinds.KeyOf(pod), pod.UID)
		forbidden(fmt.Sprintf("a token for %q of a pod that declines", audiences), err)
	}
	asks := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "asks"}, Spec: corev1.PodSpec{NodeName: "n1", AutomountServiceAccountToken: new(bool),
		Containers: []corev1.Container{{Name: "c", Image: "i"}}, Volumes: []corev1.Volume{{Name: "t", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", Path: "t"}}}}}}}}}
	o, err = c.Do(ctx, api.Create(asks))
	require.NoError(t, err)
	var got *authenticationv1.TokenRequest
	got, err = n1.Token(ctx, kinds.Key{Namespace: "default", Name: "default"}, []string{"vault"}, 600, kinds.KeyOf(o), o.GetUID())
	require.NoError(t, err)
	require.NotEmpty(t, got.Status.Token)
	_, err = n1.Token(ctx, kinds.Key{Namespace: "default", Name: "default"}, []string{"vault", "bank"}, 600, kinds.KeyOf(o), o.GetUID())
	forbidden("two audiences", err)
}

// TestSlowJoin: who has a token and sends one byte now and then does not keep others
// from joining.
func TestSlowJoin(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir)
	token := newToken(t, admin(t, dir))
	conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /join HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n{", token)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err, "it waits for ever")
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, answer.StatusCode, string(text))
}

// TestOneLargeObject is written again and again, which costs the server no more memory
// than a few of its states.
func TestOneLargeObject(t *testing.T) {
	const times, bytes, most = 300, 1000 << 10, 250 << 20
	dir := t.TempDir()
	start(t, dir)
	c := admin(t, dir)
	_, err := c.Do(t.Context(), api.Create(configMap("large")))
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range times {
		m := configMap("large")
		m.Data["k"] = strings.Repeat(string(rune('a'+i%26)), bytes)
		_, err := c.Do(t.Context(), api.Update(m))
		require.NoError(t, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d writes of %d KiB: the heap has grown by %d MiB", times, bytes>>10, grown>>20)
	require.Less(t, grown, int64(most))
}

// TestNoServiceIsAnother: who may make services in a namespace cannot have packets for
// the cluster's own addresses, as those of the API and of DNS, sent to it.
func TestNoServiceIsAnother(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir)
	c := admin(t, dir)
	own := strings.Split(strings.TrimPrefix(s.URL(), "https://"), ":")[0]
	service := func(name string, ips ...string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ServiceSpec{ExternalIPs: ips, Ports: []corev1.ServicePort{{Port: 443}}}}
	}
	for _, ip := range []string{"10.96.0.1", "10.96.0.10", "10.244.3.7", own} {
		_, err := c.Do(t.Context(), api.Create(service("aaa", ip)))
		require.True(t, apierrors.IsForbidden(err), "%s: %v", ip, err)
		require.ErrorContains(t, err, "want an address from outside of the cluster")
	}
	o, err := c.Do(t.Context(), api.Create(service("aaa", "203.0.113.7")))
	require.NoError(t, err)
	_, err = c.Do(t.Context(), api.Patch(kinds.RefOf(o), types.MergePatchType, []byte(`{"spec":{"externalIPs":["203.0.113.7","10.96.0.1"]}}`)))
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	r := api.Patch(kinds.RefOf(o), types.MergePatchType, []byte(`{"status":{"loadBalancer":{"ingress":[{"ip":"10.96.0.1"}]}}}`))
	r.Subresource = api.SubStatus
	_, err = c.Do(t.Context(), r)
	require.True(t, apierrors.IsForbidden(err), "%v", err)
	_, err = c.Do(t.Context(), api.Patch(kinds.RefOf(o), types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)))
	require.NoError(t, err)
}
