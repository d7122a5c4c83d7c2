package server_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/live/server"
)

// renewAs asks for a node's next certificate.
func renewAs(t *testing.T, s *server.Server, with *tls.Certificate, q server.JoinRequest) (int, string) {
	body, err := json.Marshal(q)
	require.NoError(t, err)
	conf := &tls.Config{InsecureSkipVerify: true}
	if with != nil {
		conf.Certificates = []tls.Certificate{*with}
	}
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
	defer h.CloseIdleConnections()
	resp, err := h.Post(s.URL()+server.RenewPath, "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// TestRenew: a node renews its own certificate by itself, and nobody else's; who is no
// node, or none of this cluster's, gets none.
func TestRenew(t *testing.T) {
	dir := t.TempDir()
	s, _ := start(t, dir)
	c := admin(t, dir)
	token, secret, err := server.NewToken(time.Now(), time.Hour, "a test")
	require.NoError(t, err)
	_, err = c.Do(t.Context(), api.Create(secret))
	require.NoError(t, err)
	ask, key := request(t, "n1")
	code, text := joinAs(t, s, token, ask)
	require.Equal(t, 200, code, text)
	var a server.JoinAnswer
	require.NoError(t, json.Unmarshal([]byte(text), &a))
	own, err := tls.X509KeyPair([]byte(a.Certificate), key)
	require.NoError(t, err)

	next, key := request(t, "n1")
	refused := func(with *tls.Certificate, q server.JoinRequest, code int, want string) {
		t.Helper()
		got, text := renewAs(t, s, with, q)
		require.Equal(t, code, got, text)
		require.Contains(t, text, want)
	}
	refused(&own, next, 403, "has been removed from the cluster")
	for _, name := range []string{"n1", "n2"} {
		_, err = c.Do(t.Context(), api.Create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}))
		require.NoError(t, err)
	}
	refused(nil, next, 401, "want the certificate")
	other, _ := request(t, "n2")
	refused(&own, other, 403, "may renew its own only")
	bad := next
	bad.CSR = "nothing"
	refused(&own, bad, 422, "csr")
	foreign, err := certs.NewAuthority(rand.Reader, "kubernetes", certs.For(time.Now(), time.Hour))
	require.NoError(t, err)
	forged, err := foreign.Client(rand.Reader, auth.User{Name: "system:node:n1", Groups: []string{"system:nodes"}}, certs.For(time.Now(), time.Hour))
	require.NoError(t, err)
	pair := forged.TLS()
	refused(&pair, next, 401, "not one of this cluster's")

	code, text = renewAs(t, s, &own, next)
	require.Equal(t, 200, code, text)
	require.NoError(t, json.Unmarshal([]byte(text), &a))
	renewed, err := tls.X509KeyPair([]byte(a.Certificate), key)
	require.NoError(t, err)
	require.Equal(t, "system:node:n1", renewed.Leaf.Subject.CommonName)
	require.NotEqual(t, own.Leaf.SerialNumber, renewed.Leaf.SerialNumber)
	code, text = renewAs(t, s, &renewed, next)
	require.Equal(t, 200, code, text)
}

// TestServingRenewed: a server that runs for longer than its own certificate is good
// shows another in time.
func TestServingRenewed(t *testing.T) {
	s, _ := start(t, t.TempDir(), func(c *server.Config) { c.CertSpan = 4 * time.Second })
	shown := func() time.Time {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"), &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].NotAfter
	}
	first := shown()
	require.Eventually(t, func() bool { return time.Now().After(first) }, 20*time.Second, 20*time.Millisecond)
	asked := time.Now() // not when the answer has come: a busy machine takes its time
	require.True(t, shown().After(asked))
}
