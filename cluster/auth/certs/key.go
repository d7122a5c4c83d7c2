package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// Types of PEM blocks.
const (
	blockCert   = "CERTIFICATE"
	blockECKey  = "EC PRIVATE KEY"
	blockRSAKey = "RSA PRIVATE KEY"
	blockKey    = "PRIVATE KEY"
)

// A random number is no key on P-256 about once in 2^32.
const (
	keyTries = 16
	keyBytes = 32
)

// rsaBitsMin is the shortest RSA key that is taken from a file.
const rsaBitsMin = 2048

// NewKey draws a private key on P-256. (ecdsa.GenerateKey draws from where it
// likes.)
func NewKey(rand io.Reader) (*ecdsa.PrivateKey, error) {
	var last error
	for range keyTries {
		var b [keyBytes]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return nil, fmt.Errorf("draw a key: %w", err)
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), b[:])
		if err == nil {
			return key, nil
		}
		last = err
	}
	return nil, fmt.Errorf("draw a key, %d times: %w", keyTries, last)
}

// KeyPEM writes a private key.
func KeyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der}), nil
}

// ParseKey reads the first private key of a PEM text: ECDSA on P-256, or RSA of at
// least 2048 bits.
func ParseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case blockECKey:
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case blockRSAKey:
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case blockKey:
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a private key: %w", err)
		}
		return usable(key)
	}
	return nil, errors.New("read a private key: no PEM block of one")
}

func usable(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			return key, nil
		}
		return nil, fmt.Errorf("private key on %s, only P-256 is supported", key.Curve.Params().Name)
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < rsaBitsMin {
			return nil, fmt.Errorf("RSA key of %d bits, at least %d are needed", bits, rsaBitsMin)
		}
		return key, nil
	}
	return nil, fmt.Errorf("private key of type %T, only ECDSA and RSA are supported", key)
}
