package agent

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"seatrial.dev/seatrial/cluster/auth/certs"
)

// Limits of a join.
const (
	joinMax          = 30 * time.Second
	joinAnswerBytes  = 1 << 20
	certificateSpare = time.Minute // a certificate that ends sooner is of no use
)

// Membership is what a host has been given by joining.
type Membership struct {
	CA            string       // PEM
	Certificate   string       // PEM: system:node:NAME, of the group system:nodes, for client and server
	Key           string       // PEM
	GossipKey     []byte       // of the cluster's gossip
	Gossip        []string     // ip:port of whom to gossip with first
	ClusterDNS    string       // address of the cluster's DNS; may be empty
	ClusterDomain string       // cluster.local
	PodCIDR       netip.Prefix // of all hosts
	ServiceCIDR   netip.Prefix
}

// Pool holds the cluster's authority.
func (m *Membership) Pool() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(m.CA)) {
		return nil, errors.New("the cluster's authority: want a certificate in PEM")
	}
	return pool, nil
}

// TLS is the host's certificate.
func (m *Membership) TLS() (tls.Certificate, error) {
	return tls.X509KeyPair([]byte(m.Certificate), []byte(m.Key))
}

type joinRequest struct {
	Node string `json:"node"`
	CSR  string `json:"csr"`
}

type joinAnswer struct {
	CA            string   `json:"ca"`
	Certificate   string   `json:"certificate"`
	GossipKey     string   `json:"gossipKey"`
	Gossip        []string `json:"gossip"`
	ClusterDNS    string   `json:"clusterDNS"`
	ClusterDomain string   `json:"clusterDomain"`
	PodCIDR       string   `json:"podCIDR"`
	ServiceCIDR   string   `json:"serviceCIDR"`
}

// membership reads what is kept, or joins and keeps it.
func membership(ctx context.Context, c *Config) (*Membership, error) {
	file := memberFile(c)
	m, err := readMembership(file, c.NodeName)
	if err == nil {
		return m, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.Log("joining anew: " + err.Error())
	}
	if c.Token == "" {
		return nil, &InputError{ErrNotJoined}
	}
	if _, err := parseHash(c.CAHash); err != nil {
		return nil, &InputError{err}
	}
	m, err = Join(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("join %s: %w", c.Server, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	return m, writeJSON(file, m, true)
}

func readMembership(file, node string) (*Membership, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var m Membership
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	pair, err := m.TLS()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	switch {
	case time.Until(pair.Leaf.NotAfter) < certificateSpare:
		return nil, fmt.Errorf("%s: the certificate has ended at %s", file, pair.Leaf.NotAfter.Format(time.RFC3339))
	case pair.Leaf.Subject.CommonName != "system:node:"+node:
		return nil, fmt.Errorf("%s: the certificate is that of %q, this is node %q", file, pair.Leaf.Subject.CommonName, node)
	}
	return &m, nil
}

// writeJSON replaces a file in one step; nobody else may read it. With sync it is on the
// disk afterwards.
func writeJSON(file string, v any, sync bool) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Join asks the server for a certificate, once it is certain that the server's authority
// is the one whose hash was given.
func Join(ctx context.Context, c *Config) (*Membership, error) {
	sum, err := parseHash(c.CAHash)
	if err != nil {
		return nil, err
	}
	ask, keyPEM, err := c.request()
	if err != nil {
		return nil, err
	}
	// The authority is not known yet, only its hash: VerifyConnection looks.
	a, err := c.ask(ctx, "/join", c.Token, &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error { return verifyServer(s, sum) }}, ask)
	if err != nil {
		return nil, err
	}
	m := &Membership{CA: a.CA, Certificate: a.Certificate, Key: string(keyPEM), Gossip: a.Gossip, ClusterDNS: a.ClusterDNS, ClusterDomain: a.ClusterDomain}
	if m.GossipKey, err = base64.StdEncoding.DecodeString(a.GossipKey); err != nil {
		return nil, fmt.Errorf("the answer's gossipKey: %w", err)
	}
	if m.PodCIDR, err = netip.ParsePrefix(a.PodCIDR); err != nil {
		return nil, fmt.Errorf("the answer's podCIDR: %w", err)
	}
	if m.ServiceCIDR, err = netip.ParsePrefix(a.ServiceCIDR); err != nil {
		return nil, fmt.Errorf("the answer's serviceCIDR: %w", err)
	}
	if _, err := m.TLS(); err != nil {
		return nil, fmt.Errorf("the answer's certificate: %w", err)
	}
	return m, nil
}

// request is what the host asks, with a key of its own for the answer.
func (c *Config) request() (ask joinRequest, keyPEM []byte, err error) {
	key, err := certs.NewKey(rand.Reader)
	if err != nil {
		return ask, nil, err
	}
	if keyPEM, err = certs.KeyPEM(key); err != nil {
		return ask, nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:" + c.NodeName, Organization: []string{"system:nodes"}}}, key)
	if err != nil {
		return ask, nil, err
	}
	ask = joinRequest{Node: c.NodeName, CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))}
	return ask, keyPEM, nil
}

// ask posts a request to one of the server's two paths for it. The token may be empty.
func (c *Config) ask(ctx context.Context, path, token string, conf *tls.Config, ask joinRequest) (*joinAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinMax)
	defer cancel()
	body, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: conf}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, joinAnswerBytes))
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(raw))
	switch {
	case resp.StatusCode == http.StatusUnauthorized && token != "":
		return nil, fmt.Errorf("the token is refused: it is wrong, or its time is over (%.200s)", text)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, fmt.Errorf("the server answers %s: %.200s", resp.Status, text)
	}
	var a joinAnswer
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("the server's answer: %w", err)
	}
	return &a, nil
}

// verifyServer sees that the chain has the authority with the hash, and that the
// server's own certificate comes from it.
func verifyServer(s tls.ConnectionState, sum []byte) error {
	for _, c := range s.PeerCertificates {
		if got := sha256.Sum256(c.RawSubjectPublicKeyInfo); !bytes.Equal(got[:], sum) || !c.IsCA {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(c)
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: s.ServerName})
		return err
	}
	return fmt.Errorf("no certificate of the server has the CA hash sha256:%x: this is another cluster, or somebody in between", sum)
}
