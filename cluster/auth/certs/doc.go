// Package certs makes the certificates of a cluster and knows users by theirs.
//
// An Authority is a certificate authority that lives in memory: it issues serving
// certificates for hosts and client certificates for users, whose common name is
// the user's name and whose organizations are its groups
// (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates,
// https://kubernetes.io/docs/setup/best-practices/certificates/). ClientAuth turns
// such a certificate back into a user. Kubeconfig writes what kubectl needs.
//
// Keys are ECDSA on P-256 and come from the random stream that is handed in, as do
// serial numbers, and signatures are deterministic (RFC 6979): one stream gives one
// set of certificates, byte for byte. For a real server the stream is
// crypto/rand's Reader. When a certificate is valid is an argument too; the clock
// that TLS asks is the wall's.
//
// It keeps no files and renews nothing.
package certs
