package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"seatrial.dev/seatrial/cluster/auth"
)

// ClientAuth knows users by certificates that one of its authorities has issued to
// clients. It is an auth.Authenticator and never written to. A server must ask for
// the client's certificate (tls.RequestClientCert) but not verify it, so that one
// which is bad does not keep a good token from being tried.
type ClientAuth struct{ roots *x509.CertPool }

// NewClientAuth trusts these authorities.
func NewClientAuth(authorities ...*x509.Certificate) *ClientAuth {
	a := &ClientAuth{x509.NewCertPool()}
	for _, c := range authorities {
		a.roots.AddCert(c)
	}
	return a
}

// Authenticate verifies the client's chain as of now. The groups of the user are
// the organizations of its certificate; a certificate without a common name is
// nobody's.
func (a *ClientAuth) Authenticate(now time.Time, c *auth.Credentials) (auth.Identity, bool, error) {
	if len(c.Certificates) == 0 {
		return auth.Identity{}, false, nil
	}
	leaf := c.Certificates[0]
	between := x509.NewCertPool()
	for _, i := range c.Certificates[1:] {
		between.AddCert(i)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return auth.Identity{}, false, fmt.Errorf("verifying certificate SN=%d, SKID=%s, AKID=%s failed: %w",
			leaf.SerialNumber, colons(leaf.SubjectKeyId), colons(leaf.AuthorityKeyId), err)
	}
	if leaf.Subject.CommonName == "" {
		return auth.Identity{}, false, nil
	}
	hash := sha256.Sum256(leaf.Raw)
	return auth.Identity{User: auth.User{
		Name:   leaf.Subject.CommonName,
		Groups: leaf.Subject.Organization,
		Extra:  map[string][]string{auth.CredentialID: {"X509SHA256=" + hex.EncodeToString(hash[:])}},
	}}, true, nil
}

// colons writes bytes as openssl does: "0A:FF".
func colons(b []byte) string {
	parts := make([]string, len(b))
	for i := range b {
		parts[i] = fmt.Sprintf("%02X", b[i])
	}
	return strings.Join(parts, ":")
}
