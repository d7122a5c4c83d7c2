// Package satoken mints and checks the tokens of service accounts
// (https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens).
//
// A token is a JWT signed by the cluster. It names a service account by its UID,
// whom it is meant for, until when, and perhaps an object (a pod, a secret, a node)
// that it dies with. An Issuer answers a TokenRequest with one and publishes the
// keys that others check it by; an Authenticator checks one and asks whether what
// it names is still there. Tokens without an end, which Kubernetes once kept in
// secrets, are not known here.
//
// The clients of Kubernetes count on the claim "kubernetes.io" having this form;
// the public claims are those of RFC 7519.
//
// Nothing that goes out of here but the token itself contains a token.
package satoken
