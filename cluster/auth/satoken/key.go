package satoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"seatrial.dev/seatrial/cluster/auth/certs"
)

// Key signs tokens: ES256 with a key on P-256, RS256 with an RSA key.
type Key struct {
	signer    crypto.Signer
	algorithm jose.SignatureAlgorithm
	id        string
}

// NewKey takes a key of certs.NewKey or certs.ParseKey. Its ID is a hash of its
// public part, as Kubernetes makes it.
func NewKey(signer crypto.Signer) (*Key, error) {
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("public key of a token signer: %w", err)
	}
	hash := sha256.Sum256(der)
	k := &Key{signer: signer, algorithm: jose.RS256, id: base64.RawURLEncoding.EncodeToString(hash[:])}
	if _, ok := signer.Public().(*ecdsa.PublicKey); ok {
		k.algorithm = jose.ES256
	}
	return k, nil
}

// DrawKey makes a new key on P-256.
func DrawKey(rand io.Reader) (*Key, error) {
	signer, err := certs.NewKey(rand)
	if err != nil {
		return nil, err
	}
	return NewKey(signer)
}

// PEM is the private key, as a file keeps it.
func (k *Key) PEM() ([]byte, error) { return certs.KeyPEM(k.signer) }

// public is what others check tokens by.
func (k *Key) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.signer.Public(), KeyID: k.id, Algorithm: string(k.algorithm), Use: "sig"}
}

// jose returns a signer that draws no random numbers: the same claims give the
// same token.
func (k *Key) jose() (jose.Signer, error) {
	key := jose.JSONWebKey{Key: cryptosigner.Opaque(steady{k.signer}), KeyID: k.id}
	return jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: key}, nil)
}

// steady signs without the random numbers that it is handed: by RFC 6979 with
// ECDSA; PKCS #1 v1.5 with RSA needs none.
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}
