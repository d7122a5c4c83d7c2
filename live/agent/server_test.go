package agent_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
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
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/client"
)

// joinToken is the token of every test server.
const joinToken = "abcdef.0123456789abcdef"

// server is the real API over TLS, with its authorizers, on a store in memory: all of a
// control plane but the controllers and the scheduler, whose parts the tests play.
type server struct {
	t       testing.TB
	mu      sync.Mutex
	api     *api.API
	fed     uint64
	front   *apiserver.Server
	who     *identity.Identity
	ca      *certs.Authority
	url     string
	hash    string
	http    *http.Server
	handler http.Handler
	admin   *client.Client
	ctx     context.Context
	eventC  chan struct{} // closed and made anew with each write
}

// Do implements apiserver.Cluster.
func (s *server) Do(_ context.Context, f func(now time.Time, a *api.API)) error {
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
		close(s.eventC)
		s.eventC = make(chan struct{})
	}
	return nil
}

func newServer(t testing.TB, listen string) *server {
	var seed [32]byte
	_, err := rand.Read(seed[:])
	require.NoError(t, err)
	s := &server{t: t, eventC: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	s.api, err = api.New(store.New(store.WindowDefault), mathrand.New(mathrand.NewChaCha8(seed)), api.DefaultConfig())
	require.NoError(t, err)
	span := certs.For(time.Now(), time.Hour)
	s.ca, err = certs.NewAuthority(rand.Reader, "kubernetes", span)
	require.NoError(t, err)
	host, _, err := net.SplitHostPort(listen)
	require.NoError(t, err)
	serving, err := s.ca.Serving(rand.Reader, []string{host}, span)
	require.NoError(t, err)
	sum := sha256.Sum256(s.ca.Cert.RawSubjectPublicKeyInfo)
	s.hash = fmt.Sprintf("sha256:%x", sum)
	key, err := satoken.DrawKey(rand.Reader)
	require.NoError(t, err)
	issuer, err := satoken.NewIssuer(satoken.Preset("cluster.local"), key)
	require.NoError(t, err)
	cfg := identity.Config{Clients: []*x509.Certificate{s.ca.Cert}, Now: time.Now, Problem: func(err error) { t.Error(err) }, Modes: []identity.Mode{identity.Node, identity.RBAC}}
	s.who, err = identity.New(s, issuer, cfg)
	require.NoError(t, err)
	conf := apiserver.Config{Report: func(p any, stack []byte) { t.Errorf("a request panicked: %v\n%s", p, stack) }}
	require.NoError(t, s.who.Configure(&conf))
	s.front = apiserver.New(s, conf)
	require.NoError(t, s.Do(ctx, func(now time.Time, a *api.API) {
		for _, ns := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
			_, err := a.Do(now, api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}))
			require.NoError(t, err)
		}
	}))
	require.NoError(t, s.who.Prepare(ctx))

	mux := http.NewServeMux()
	mux.HandleFunc("POST /join", s.join)
	mux.Handle("/", s.front)
	s.http = s.front.HTTPServer()
	s.http.Handler = mux
	chain := serving.TLS()
	chain.Certificate = append(chain.Certificate, s.ca.Cert.Raw)
	s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{chain}, ClientAuth: tls.RequestClientCert}
	l, err := net.Listen("tcp", listen)
	require.NoError(t, err)
	s.url = "https://" + l.Addr().String()
	s.handler = mux
	go func() { _ = s.http.ServeTLS(l, "", "") }()

	admin, err := s.ca.Client(rand.Reader, auth.User{Name: "admin", Groups: []string{"system:masters"}}, span)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.Cert)
	pair := admin.TLS()
	s.admin, err = client.New(client.Config{Server: s.url, CA: pool, Certificate: &pair})
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		s.front.Close()
		require.NoError(t, s.http.Close())
		s.admin.Close()
	})
	s.furnish()
	return s
}

// furnish makes what the controllers make of a new cluster.
func (s *server) furnish() {
	s.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}})
	s.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": string(s.ca.CertPEM())}})
	s.create(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}}})
	s.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "seatrial:node-proxier"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-proxier"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:nodes"}}})
}

func (s *server) join(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+joinToken {
		http.Error(w, "no such token", http.StatusUnauthorized)
		return
	}
	var ask struct {
		Node      string   `json:"node"`
		CSR       string   `json:"csr"`
		Addresses []string `json:"addresses"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode([]byte(ask.CSR))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		http.Error(w, "csr", http.StatusBadRequest)
		return
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: s.ca.Cert.SerialNumber, Subject: csr.Subject, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, DNSNames: []string{ask.Node}}
	der, err := x509.CreateCertificate(rand.Reader, c, s.ca.Cert, csr.PublicKey, s.ca.Key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"ca": string(s.ca.CertPEM()), "certificate": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"gossipKey": base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")), "gossip": []string{"10.0.0.1:7946"},
		"clusterDNS": "10.96.0.10", "clusterDomain": "cluster.local", "podCIDR": "10.244.0.0/16", "serviceCIDR": "10.96.0.0/12",
	})
}

func (s *server) create(o kinds.Object) kinds.Object {
	s.t.Helper()
	out, err := s.admin.Do(s.ctx, api.Create(o))
	require.NoError(s.t, err)
	return out
}

// do is one write as the administrator.
func (s *server) do(r api.Request) {
	s.t.Helper()
	_, err := s.admin.Do(s.ctx, r)
	require.NoError(s.t, err, "%s", r)
}

// goAway closes the port and every connection.
func (s *server) goAway() { require.NoError(s.t, s.http.Close()) }

// comeBack opens the same port again.
func (s *server) comeBack() {
	l, err := net.Listen("tcp", strings.TrimPrefix(s.url, "https://"))
	require.NoError(s.t, err)
	old := s.http
	s.http = s.front.HTTPServer()
	s.http.Handler, s.http.TLSConfig = s.handler, old.TLSConfig
	go func() { _ = s.http.ServeTLS(l, "", "") }()
}

// get reads an object from the store; nil if it is not there.
func (s *server) get(ref kinds.Ref) kinds.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.api.Store().Get(ref)
}

func (s *server) pod(name string) *corev1.Pod {
	p, _ := s.get(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: "default", Name: name}}).(*corev1.Pod)
	return p
}

// events are the events about an object, as "Type Reason: message (count)".
func (s *server) events(name string) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range s.api.Store().List(kinds.Event, "") {
		if e := o.(*corev1.Event); e.InvolvedObject.Name == name {
			out = append(out, e.Type+" "+e.Reason+": "+e.Message)
		}
	}
	return out
}

// until waits until something holds, looking after each write.
func (s *server) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.After(eventMax)
	for {
		s.mu.Lock()
		next := s.eventC
		s.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-next:
		case <-deadline:
			s.t.Fatalf("not in %s: %s", eventMax, what)
		}
	}
}
