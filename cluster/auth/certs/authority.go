package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"seatrial.dev/seatrial/cluster/auth"
)

// Span is when a certificate is valid, both ends included.
type Span struct{ NotBefore, NotAfter time.Time }

// skew is how far behind a clock may be that looks at a new certificate.
const skew = 5 * time.Minute

// For is the span of a certificate that is made at time now: it begins a little
// earlier, for clocks that are behind.
func For(now time.Time, long time.Duration) Span { return Span{now.Add(-skew), now.Add(long)} }

// RenewAt is when a certificate is to be replaced: when four fifths of its time are over.
func RenewAt(c *x509.Certificate) time.Time {
	from := c.NotBefore
	if c.NotAfter.Sub(from) > skew {
		from = from.Add(skew) // as For begins earlier than it is made
	}
	return c.NotAfter.Add(-c.NotAfter.Sub(from) / 5)
}

// Pair is a certificate and its private key. It is never written to.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// CertPEM is the certificate, as a file holds it.
func (p *Pair) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockCert, Bytes: p.Cert.Raw})
}

// TLS is the pair for a tls.Config.
func (p *Pair) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.Cert.Raw}, PrivateKey: p.Key, Leaf: p.Cert}
}

// Load reads a pair from the texts of its two files, of the first certificate and
// key in them, and checks that they belong together.
func Load(cert, key []byte) (*Pair, error) {
	chain, err := ParseCerts(cert)
	if err != nil {
		return nil, err
	}
	signer, err := ParseKey(key)
	if err != nil {
		return nil, err
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return nil, errors.New("the private key is not that of the certificate")
	}
	return &Pair{chain[0], signer}, nil
}

// ParseCerts reads the certificates of a PEM text; there must be one at least.
func ParseCerts(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != blockCert {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %w", err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("read a certificate: no PEM block of one")
	}
	return all, nil
}

// Authority is a certificate authority: a pair that signs others.
type Authority struct{ Pair }

// NewAuthority makes an authority with a certificate signed by itself. Its common
// name is what clients see as the issuer: "kubernetes".
func NewAuthority(rand io.Reader, name string, valid Span) (*Authority, error) {
	p, err := issue(rand, nil, &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}, valid)
	if err != nil {
		return nil, fmt.Errorf("make the authority %s: %w", name, err)
	}
	return &Authority{*p}, nil
}

// Serving issues a certificate for a server that is reached by these host names
// and addresses; the first is its common name.
func (a *Authority) Serving(rand io.Reader, hosts []string, valid Span) (*Pair, error) {
	if len(hosts) == 0 {
		return nil, errors.New("issue a serving certificate: no host")
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0]},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	name(t, hosts)
	p, err := issue(rand, a, t, valid)
	if err != nil {
		return nil, fmt.Errorf("issue a serving certificate for %s: %w", hosts[0], err)
	}
	return p, nil
}

// Client issues a certificate with which u is known. Of u only the name and the
// groups are used.
func (a *Authority) Client(rand io.Reader, u auth.User, valid Span) (*Pair, error) {
	if u.Name == "" {
		return nil, errors.New("issue a client certificate: the user has no name")
	}
	p, err := issue(rand, a, &x509.Certificate{
		Subject:     pkix.Name{CommonName: u.Name, Organization: u.Groups},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, valid)
	if err != nil {
		return nil, fmt.Errorf("issue a client certificate for %s: %w", u.Name, err)
	}
	return p, nil
}

// Host certifies the key of a host that is both a client, as user u, and a server: what
// a node's agent needs. As a server it is known by u too (see live/server's Relay), and
// by no name or address: whoever trusts the authority for servers would take it for
// whatever host it named, the API server among them.
func (a *Authority) Host(rand io.Reader, public crypto.PublicKey, u auth.User, valid Span) (*x509.Certificate, error) {
	if u.Name == "" {
		return nil, errors.New("issue a host's certificate: the user has no name")
	}
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: u.Name, Organization: u.Groups},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	c, err := certify(rand, a.Cert, a.Key, t, valid, public)
	if err != nil {
		return nil, fmt.Errorf("issue a host's certificate for %s: %w", u.Name, err)
	}
	return c, nil
}

// name says by which names and addresses a server is reached.
func name(t *x509.Certificate, hosts []string) {
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
}

// serialBytes is the length of a serial number; RFC 5280 allows 20.
const serialBytes = 16

// issue draws a key and a serial number and signs; without an authority by the key
// itself. Signing draws nothing.
func issue(rand io.Reader, by *Authority, t *x509.Certificate, valid Span) (*Pair, error) {
	key, err := NewKey(rand)
	if err != nil {
		return nil, err
	}
	parent, signer := t, crypto.Signer(key)
	if by != nil {
		parent, signer = by.Cert, by.Key
	}
	cert, err := certify(rand, parent, signer, t, valid, key.Public())
	if err != nil {
		return nil, err
	}
	return &Pair{cert, key}, nil
}

// certify draws a serial number and signs.
func certify(rand io.Reader, parent *x509.Certificate, signer crypto.Signer, t *x509.Certificate, valid Span, public crypto.PublicKey) (*x509.Certificate, error) {
	var serial [serialBytes]byte
	if _, err := io.ReadFull(rand, serial[:]); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	serial[0] |= 0x40 // not zero
	serial[0] &= 0x7f // not negative
	t.SerialNumber = new(big.Int).SetBytes(serial[:])
	t.NotBefore, t.NotAfter = valid.NotBefore.UTC(), valid.NotAfter.UTC()
	der, err := x509.CreateCertificate(nil, t, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
