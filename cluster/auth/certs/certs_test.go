package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/certs"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func stream() io.Reader { return rand.NewChaCha8([32]byte{1}) }

// made is an authority, and one that nobody trusts.
func made(t testing.TB) (good, other *certs.Authority, r io.Reader) {
	r = stream()
	good, err := certs.NewAuthority(r, "kubernetes", certs.For(now, 24*time.Hour))
	require.NoError(t, err)
	other, err = certs.NewAuthority(r, "kubernetes", certs.For(now, 24*time.Hour))
	require.NoError(t, err)
	return good, other, r
}

func TestClientCertificates(t *testing.T) {
	ca, other, r := made(t)
	jane := auth.User{Name: "jane", Groups: []string{"dev", "ops"}}
	issue := func(p *certs.Pair, err error) *x509.Certificate {
		require.NoError(t, err)
		return p.Cert
	}
	span := certs.For(now, time.Hour)
	good := issue(ca.Client(r, jane, span))
	for _, c := range []struct {
		name string
		cert *x509.Certificate
		at   time.Time
		want string // part of the error; "" is success
	}{
		{"good", good, now, ""},
		{"a clock that is behind", good, now.Add(-4 * time.Minute), ""},
		{"expired", good, now.Add(2 * time.Hour), "certificate has expired or is not yet valid"},
		{"too early", good, now.Add(-time.Hour), "certificate has expired or is not yet valid"},
		{"unknown authority", issue(other.Client(r, jane, span)), now, "certificate signed by unknown authority"},
		{"a server's", issue(ca.Serving(r, []string{"jane"}, span)), now, "incompatible key usage"},
		{"the authority's own", ca.Cert, now, ""},
	} {
		id, ok, err := certs.NewClientAuth(ca.Cert).Authenticate(c.at, &auth.Credentials{Certificates: []*x509.Certificate{c.cert}})
		if c.want != "" {
			require.ErrorContains(t, err, c.want, c.name)
			require.ErrorContains(t, err, "verifying certificate SN=", c.name)
			continue
		}
		require.NoError(t, err, c.name)
		require.True(t, ok, c.name)
		if c.cert == good {
			require.Equal(t, "jane", id.User.Name)
			require.Equal(t, []string{"dev", "ops"}, id.User.Groups)
			require.Len(t, id.User.Extra[auth.CredentialID][0], len("X509SHA256=")+64)
		}
	}
	_, ok, err := certs.NewClientAuth(ca.Cert).Authenticate(now, &auth.Credentials{Bearer: "x"})
	require.False(t, ok)
	require.NoError(t, err)
}

// TestOneStreamOneCertificate: the same random numbers give the same bytes.
func TestOneStreamOneCertificate(t *testing.T) {
	a, _, r := made(t)
	b, _, s := made(t)
	require.Equal(t, a.Cert.Raw, b.Cert.Raw)
	x, err := a.Serving(r, []string{"localhost"}, certs.For(now, time.Hour))
	require.NoError(t, err)
	y, err := b.Serving(s, []string{"localhost"}, certs.For(now, time.Hour))
	require.NoError(t, err)
	require.Equal(t, x.Cert.Raw, y.Cert.Raw)
	require.NotEqual(t, x.Cert.SerialNumber, a.Cert.SerialNumber)
}

func TestFilesGoAround(t *testing.T) {
	ca, other, _ := made(t)
	key, err := certs.KeyPEM(ca.Key)
	require.NoError(t, err)
	again, err := certs.Load(ca.CertPEM(), key)
	require.NoError(t, err)
	require.Equal(t, ca.Cert.Raw, again.Cert.Raw)
	_, err = certs.Load(other.CertPEM(), key)
	require.ErrorContains(t, err, "not that of the certificate")
	for _, text := range []string{"", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		_, err = certs.Load([]byte(text), key)
		require.Error(t, err)
		_, err = certs.Load(ca.CertPEM(), []byte(text))
		require.Error(t, err)
	}
}

// TestHandshake connects by TLS with what a kubeconfig says.
func TestHandshake(t *testing.T) {
	ca, _, r := made(t)
	span := certs.Span{NotBefore: now, NotAfter: now.AddDate(100, 0, 0)}
	serving, err := ca.Serving(r, []string{"localhost", "127.0.0.1"}, certs.For(now, time.Hour))
	require.NoError(t, err)
	admin, err := ca.Client(r, auth.User{Name: "kubernetes-admin", Groups: []string{auth.Masters}}, span)
	require.NoError(t, err)
	text, err := certs.Kubeconfig(certs.Login{Cluster: "lab", Server: "https://127.0.0.1:6443", CA: ca.CertPEM(), User: "admin", Client: admin})
	require.NoError(t, err)
	cfg, err := clientcmd.RESTConfigFromKubeConfig(text)
	require.NoError(t, err)
	require.Equal(t, "https://127.0.0.1:6443", cfg.Host)
	pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(cfg.CAData))

	here, there := net.Pipe()
	clock := func() time.Time { return now }
	server := tls.Server(there, &tls.Config{Certificates: []tls.Certificate{serving.TLS()}, ClientAuth: tls.RequestClientCert, Time: clock})
	client := tls.Client(here, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "127.0.0.1", Time: clock})
	done := make(chan error)
	go func() {
		err := client.Handshake()
		if err == nil {
			_, err = client.Write([]byte("x"))
		}
		done <- err
	}()
	require.NoError(t, server.Handshake())
	_, err = server.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, <-done)
	id, ok, err := certs.NewClientAuth(ca.Cert).Authenticate(now, &auth.Credentials{Certificates: server.ConnectionState().PeerCertificates})
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []string{auth.Masters}, id.User.Groups)
}

func BenchmarkClientCertificate(b *testing.B) {
	ca, _, r := made(b)
	p, err := ca.Client(r, auth.User{Name: "jane"}, certs.For(now, time.Hour))
	require.NoError(b, err)
	a := certs.NewClientAuth(ca.Cert)
	c := &auth.Credentials{Certificates: []*x509.Certificate{p.Cert}}
	for b.Loop() {
		if _, ok, err := a.Authenticate(now, c); !ok {
			b.Fatal(err)
		}
	}
}
