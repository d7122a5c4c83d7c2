package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/auth/satoken"
)

// authoritySpan is how long the cluster's authority is good for.
const authoritySpan = 10 * 365 * 24 * time.Hour

// RelayName is the user as whom the server asks agents for logs and streams.
const RelayName = "kube-apiserver-kubelet-client"

const gossipKeyBytes = 32

// keys are the secrets of a cluster, kept in DIR/pki.
type keys struct {
	authority *certs.Authority
	serving   *renewed
	relay     *renewed
	admin     *certs.Pair
	accounts  *satoken.Key
	gossip    []byte
}

// openKeys reads the cluster's authority and keys, or draws them at the first start, and
// issues the server's own certificates.
func openKeys(dir string, now time.Time, hosts []string, long time.Duration, problem func(error)) (*keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k := &keys{}
	ca, err := openAuthority(dir, now)
	if err != nil {
		return nil, err
	}
	k.authority = ca
	if k.accounts, err = openAccounts(filepath.Join(dir, "sa.key")); err != nil {
		return nil, err
	}
	if k.gossip, err = keep(filepath.Join(dir, "gossip.key"), func() ([]byte, error) {
		b := make([]byte, gossipKeyBytes)
		_, err := rand.Read(b)
		return b, err
	}); err != nil {
		return nil, err
	}
	if len(k.gossip) != gossipKeyBytes {
		return nil, fmt.Errorf("%s has %d bytes, not %d", filepath.Join(dir, "gossip.key"), len(k.gossip), gossipKeyBytes)
	}
	k.serving = &renewed{problem: problem, issue: func(now time.Time) (*certs.Pair, error) {
		return ca.Serving(rand.Reader, hosts, certs.For(now, long))
	}}
	k.relay = &renewed{problem: problem, issue: func(now time.Time) (*certs.Pair, error) {
		return ca.Client(rand.Reader, auth.User{Name: RelayName}, certs.For(now, long))
	}}
	for _, r := range []*renewed{k.serving, k.relay} {
		if r.pair, err = r.issue(now); err != nil {
			return nil, err
		}
	}
	k.admin, err = ca.Client(rand.Reader, auth.User{Name: "kubernetes-admin", Groups: []string{auth.Masters}}, certs.For(now, long))
	return k, err
}

func openAuthority(dir string, now time.Time) (*certs.Authority, error) {
	var fresh *certs.Authority
	key, err := keep(filepath.Join(dir, "ca.key"), func() ([]byte, error) {
		var err error
		if fresh, err = certs.NewAuthority(rand.Reader, "kubernetes", certs.For(now, authoritySpan)); err != nil {
			return nil, err
		}
		// The key counts when it is there, so its certificate is written before.
		if err := put(filepath.Join(dir, "ca.crt"), fresh.CertPEM()); err != nil {
			return nil, err
		}
		return certs.KeyPEM(fresh.Key)
	})
	if err != nil || fresh != nil {
		return fresh, err
	}
	cert, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pair, err := certs.Load(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: ca.crt and ca.key: %w", dir, err)
	}
	if now.After(pair.Cert.NotAfter) {
		return nil, fmt.Errorf("%s: the certificate authority has expired at %v; remove the folder to begin anew, and let all agents join again", dir, pair.Cert.NotAfter)
	}
	return &certs.Authority{Pair: *pair}, nil
}

func openAccounts(file string) (*satoken.Key, error) {
	text, err := keep(file, func() ([]byte, error) {
		k, err := satoken.DrawKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return k.PEM()
	})
	if err != nil {
		return nil, err
	}
	signer, err := certs.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return satoken.NewKey(signer)
}

// keep reads a secret, or makes it and writes it down for the next time.
func keep(file string, draw func() ([]byte, error)) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if b, err = draw(); err != nil {
		return nil, err
	}
	return b, put(file, b)
}

// put writes a file that only its owner may read, whole or not at all, and for good.
func put(file string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	d, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// config is for a server that asks for the client's certificate and leaves it to
// authentication to check it. The authority goes along, so that an agent that knows
// only its hash can check the chain.
func (k *keys) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		chain := k.serving.at(time.Now()).TLS()
		chain.Certificate = append(chain.Certificate, k.authority.Cert.Raw)
		return &chain, nil
	}}
}

// relayConfig is as whom the server asks agents, and whom it believes.
func (k *keys) relayConfig() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(k.authority.Cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair := k.relay.at(time.Now()).TLS()
		return &pair, nil
	}}
}

// renewed is a certificate of the server's own, which is issued anew before its time is
// over.
type renewed struct {
	issue   func(now time.Time) (*certs.Pair, error)
	problem func(error)

	mu   sync.Mutex
	pair *certs.Pair
}

// at is the certificate for a connection that begins now.
func (r *renewed) at(now time.Time) *certs.Pair {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(certs.RenewAt(r.pair.Cert)) {
		return r.pair
	}
	next, err := r.issue(now)
	if err != nil {
		r.problem(fmt.Errorf("renew the certificate of %s: %w", r.pair.Cert.Subject, err))
		return r.pair // which may be good yet
	}
	r.pair = next
	return next
}

// writeLogin writes the administrator's kubeconfig.
func (k *keys) writeLogin(file, url string) error {
	text, err := certs.Kubeconfig(certs.Login{Cluster: "seatrial", Server: url, CA: k.authority.CertPEM(), User: "admin", Client: k.admin})
	if err != nil {
		return err
	}
	return put(file, text)
}

// CAHash is how an agent is told which authority to trust: "sha256:" and the hash, in
// hexadecimal, of its certificate's SubjectPublicKeyInfo (as kubeadm's
// --discovery-token-ca-cert-hash).
func CAHash(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}
