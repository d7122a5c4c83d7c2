// Package apitest serves the real API, over TLS and with its authorizers, to the tests of
// the real world's other parts: a control plane without controllers and scheduler, whose
// parts a test plays itself, on a store in memory. No program uses it.
package apitest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/apiserver/identity"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/gossip"
	"seatrial.dev/seatrial/live/server"
)

// EventMax is how long a test waits for what must come.
const EventMax = 30 * time.Second

// Token lets a node join.
const Token = tokenID + "." + tokenSecret

const (
	tokenID     = "abcdef"
	tokenSecret = "0123456789abcdef"
)

// Server is the API and what a test asks of it. A failure ends the test.
type Server struct {
	CA    *certs.Authority
	URL   string
	Hash  string         // of the authority's key, for a join
	Admin *client.Client // may do everything

	CertSpan atomic.Int64 // nanoseconds that the certificate of a join is good for
	Renewals atomic.Int64 // that were answered

	t       testing.TB
	ctx     context.Context
	front   *apiserver.Server
	who     *identity.Identity
	http    *http.Server
	handler http.Handler

	mu     sync.Mutex
	api    *api.API
	fed    uint64        // version up to which writes were told
	writes chan struct{} // closed and made anew with each write
}

// Do implements apiserver.Cluster.
func (s *Server) Do(_ context.Context, f func(now time.Time, a *api.API)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(time.Now(), s.api)
	for st := s.api.Store(); s.fed < st.RV(); {
		s.fed++
		e, err := st.At(s.fed)
		if err != nil {
			return err
		}
		s.who.Observe(e)
		s.front.Observe(e)
		close(s.writes)
		s.writes = make(chan struct{})
	}
	return nil
}

// New serves until the test ends, at HOST:PORT; port 0 takes a free one.
func New(t testing.TB, listen string) *Server {
	s := &Server{t: t, writes: make(chan struct{})}
	s.CertSpan.Store(int64(time.Hour))
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(context.Background())
	serving := s.keys(listen)
	s.open()
	s.serve(listen, serving)
	t.Cleanup(func() {
		cancel()
		s.front.Close()
		require.NoError(t, s.http.Close())
		s.Admin.Close()
	})
	s.furnish()
	return s
}

// keys draws the authority, and the server's certificate, which comes with it.
func (s *Server) keys(listen string) tls.Certificate {
	span := certs.For(time.Now(), time.Hour)
	var err error
	s.CA, err = certs.NewAuthority(rand.Reader, "kubernetes", span)
	require.NoError(s.t, err)
	host, _, err := net.SplitHostPort(listen)
	require.NoError(s.t, err)
	pair, err := s.CA.Serving(rand.Reader, []string{host}, span)
	require.NoError(s.t, err)
	s.Hash = fmt.Sprintf("sha256:%x", sha256.Sum256(s.CA.Cert.RawSubjectPublicKeyInfo))
	chain := pair.TLS()
	chain.Certificate = append(chain.Certificate, s.CA.Cert.Raw)
	return chain
}

// open makes the cluster, with its namespaces and roles.
func (s *Server) open() {
	var seed [32]byte
	_, err := rand.Read(seed[:])
	require.NoError(s.t, err)
	s.api, err = api.New(store.New(store.WindowDefault), mathrand.New(mathrand.NewChaCha8(seed)), api.DefaultConfig())
	require.NoError(s.t, err)
	key, err := satoken.DrawKey(rand.Reader)
	require.NoError(s.t, err)
	issuer, err := satoken.NewIssuer(satoken.Preset("cluster.local"), key)
	require.NoError(s.t, err)
	cfg := identity.Config{Clients: []*x509.Certificate{s.CA.Cert}, Now: time.Now, Problem: func(err error) { s.t.Error(err) }, Modes: []identity.Mode{identity.Node, identity.RBAC}}
	s.who, err = identity.New(s, issuer, cfg)
	require.NoError(s.t, err)
	conf := apiserver.Config{Report: func(p any, stack []byte) { s.t.Errorf("a request panicked: %v\n%s", p, stack) }}
	require.NoError(s.t, s.who.Configure(&conf))
	s.front = apiserver.New(s, conf)
	require.NoError(s.t, s.Do(s.ctx, func(now time.Time, a *api.API) {
		for _, ns := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
			_, err := a.Do(now, api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}))
			require.NoError(s.t, err)
		}
	}))
	require.NoError(s.t, s.who.Prepare(s.ctx))
}

func (s *Server) serve(listen string, serving tls.Certificate) {
	mux := http.NewServeMux()
	mux.HandleFunc(server.JoinPath, s.join)
	mux.HandleFunc(server.RenewPath, s.join)
	mux.Handle("/", s.front)
	s.handler = mux
	s.http = s.front.HTTPServer()
	s.http.Handler = mux
	s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{serving}, ClientAuth: tls.RequestClientCert}
	l, err := net.Listen("tcp", listen)
	require.NoError(s.t, err)
	s.URL = "https://" + l.Addr().String()
	go func() { _ = s.http.ServeTLS(l, "", "") }()
	s.Admin = s.Client(auth.User{Name: "admin", Groups: []string{"system:masters"}})
}

// join is that of a real server.
func (s *Server) join(w http.ResponseWriter, r *http.Request) {
	server.NewJoiner(s, s.CA, time.Duration(s.CertSpan.Load()), server.JoinAnswer{
		GossipKey: base64.StdEncoding.EncodeToString(make([]byte, gossip.KeyBytes)), Gossip: []string{"10.0.0.1:7946"},
		ClusterDNS: "10.96.0.10", ClusterDomain: "cluster.local", PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12",
	}).ServeHTTP(w, r)
	if r.URL.Path == server.RenewPath {
		s.Renewals.Add(1)
	}
}

// Client speaks to the API as a user. The caller closes it.
func (s *Server) Client(u auth.User) *client.Client {
	pair, err := s.CA.Client(rand.Reader, u, certs.For(time.Now(), time.Hour))
	require.NoError(s.t, err)
	pool := x509.NewCertPool()
	pool.AddCert(s.CA.Cert)
	cert := pair.TLS()
	c, err := client.New(client.Config{Server: s.URL, CA: pool, Certificate: &cert})
	require.NoError(s.t, err)
	return c
}

// furnish makes what the controllers make of a new cluster.
func (s *Server) furnish() {
	s.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}})
	s.Create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": string(s.CA.CertPEM())}})
	s.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: bootstraptoken.SecretPrefix + tokenID}, Type: corev1.SecretTypeBootstrapToken,
		Data: map[string][]byte{"token-id": []byte(tokenID), "token-secret": []byte(tokenSecret), "usage-bootstrap-authentication": []byte("true")}})
	s.Create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}}})
	s.Create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "seatrial:node-proxier"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-proxier"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes"}}})
}

// Create makes an object as the administrator.
func (s *Server) Create(o kinds.Object) kinds.Object {
	s.t.Helper()
	out, err := s.Admin.Do(s.ctx, api.Create(o))
	require.NoError(s.t, err)
	return out
}

// Write is one write as the administrator.
func (s *Server) Write(r api.Request) {
	s.t.Helper()
	_, err := s.Admin.Do(s.ctx, r)
	require.NoError(s.t, err, "%s", r)
}

// GoAway closes the port and every connection.
func (s *Server) GoAway() { require.NoError(s.t, s.http.Close()) }

// ComeBack opens the same port again.
func (s *Server) ComeBack() {
	l, err := net.Listen("tcp", strings.TrimPrefix(s.URL, "https://"))
	require.NoError(s.t, err)
	old := s.http
	s.http = s.front.HTTPServer()
	s.http.Handler, s.http.TLSConfig = s.handler, old.TLSConfig
	go func() { _ = s.http.ServeTLS(l, "", "") }()
}

// Get reads an object from the store; nil if it is not there.
func (s *Server) Get(ref kinds.Ref) kinds.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.api.Store().Get(ref)
}

// Events are the events about an object, as "Type Reason: message", the last
// written last.
func (s *Server) Events(name string) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*corev1.Event
	for o := range s.api.Store().List(kinds.Event, "") {
		if e := o.(*corev1.Event); e.InvolvedObject.Name == name {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *corev1.Event) int {
		return strings.Compare(fmt.Sprintf("%20s", a.ResourceVersion), fmt.Sprintf("%20s", b.ResourceVersion))
	})
	for _, e := range list {
		out = append(out, e.Type+" "+e.Reason+": "+e.Message)
	}
	return out
}

// Until waits until something holds, looking after each write.
func (s *Server) Until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.After(EventMax)
	for {
		s.mu.Lock()
		next := s.writes
		s.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-next:
		case <-deadline:
			s.t.Fatalf("not in %s: %s", EventMax, what)
		}
	}
}

// Quietly is a write that does not go over the network.
func (s *Server) Quietly(r api.Request) {
	s.t.Helper()
	require.NoError(s.t, s.Do(s.ctx, func(now time.Time, a *api.API) {
		_, err := a.Do(now, r)
		require.NoError(s.t, err, "%s", r)
	}))
}
