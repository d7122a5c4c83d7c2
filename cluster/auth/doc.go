// Package auth says who sends a request to the API and whether that one may do
// what is asked.
//
// Two questions, two kinds of value. An Authenticator looks at the credentials of
// a request (a client's certificate, a bearer token) and answers with a User. An
// Authorizer looks at Attributes (a user, a verb, an object or a path) and answers
// Allow, Deny or NoOpinion with a reason. A Front joins authenticators and a Chain
// joins authorizers. What they answer is Kubernetes' answer, in Kubernetes' words:
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/ and
// https://kubernetes.io/docs/reference/access-authn-authz/authorization/.
//
// This package holds what all of them share: the types, the joints, who may act as
// somebody else (impersonation) and the texts of refusals. Below it:
//
//	certs           certificate authority, certificates, client certificates as credentials, kubeconfig
//	statictoken     tokens from a file
//	satoken         tokens of service accounts: minted, published, checked
//	bootstraptoken  tokens with which nodes join, from secrets
//	rbac            roles and bindings; what a user may grant
//	defaultroles    the roles that every cluster begins with
//	nodeauth        what a node may read: the objects of its own pods
//	noderestriction what a node may write: itself, and of its own pods
//	review          SubjectAccessReview and its kin
//	audit           one line of JSON a request
//	auditfile       the files that it is kept in
//
// It is neither HTTP nor TLS: whoever serves takes the credentials off the
// connection, and turns a refusal into an answer. It decides nothing by the
// content of an object; that is admission, in cluster/api. A policy file (ABAC)
// would be one more Authorizer, a password file one more Authenticator.
//
// The time is an argument everywhere. Values that are filled once (Front, Chain,
// statictoken.Tokens) may be asked from many goroutines at once; those that follow
// the cluster's objects say in their own documentation what excludes what.
package auth
