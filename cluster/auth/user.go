package auth

import (
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// User is who sends a request. It is read only once it has been made: slices and
// maps are shared.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string // keys in lower case
}

// Users and groups that Kubernetes gives a meaning to
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings).
const (
	Anonymous          = "system:anonymous"       // user without credentials
	Authenticated      = "system:authenticated"   // group of all but the anonymous
	Unauthenticated    = "system:unauthenticated" // group of the anonymous
	Masters            = "system:masters"         // group that may do everything
	Nodes              = "system:nodes"           // group of node agents
	NodePrefix         = "system:node:"           // a node agent's user name is this and the node's name
	ServiceAccounts    = "system:serviceaccounts" // group of all service accounts
	serviceAccountUser = "system:serviceaccount:" // a service account's user name is this, namespace, colon, name
)

// CredentialID is the key in User.Extra that tells credentials of one user apart:
// a certificate's hash or a token's ID, never a secret.
const CredentialID = "authentication.kubernetes.io/credential-id"

// In says whether the user is in a group.
func (u *User) In(group string) bool { return slices.Contains(u.Groups, group) }

// Info is the user as objects write it.
func (u *User) Info() authenticationv1.UserInfo {
	i := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups}
	if len(u.Extra) > 0 {
		i.Extra = map[string]authenticationv1.ExtraValue{}
		for k, v := range u.Extra {
			i.Extra[k] = v
		}
	}
	return i
}

// ServiceAccount is the user that a service account acts as: its name and its
// groups.
func ServiceAccount(namespace, name string) User {
	return User{
		Name:   serviceAccountUser + namespace + ":" + name,
		Groups: []string{ServiceAccounts, ServiceAccounts + ":" + namespace},
	}
}

// SplitServiceAccount takes a user name apart that is a service account's.
func SplitServiceAccount(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, serviceAccountUser)
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	if !ok || namespace == "" || name == "" || strings.Contains(name, ":") {
		return "", "", false
	}
	return namespace, name, true
}

// withGroup adds a group that says whether the user is known, unless the user has
// one of the two.
func withGroup(u User, group string) User {
	if u.In(Authenticated) || u.In(Unauthenticated) {
		return u
	}
	u.Groups = append(slices.Clip(u.Groups), group)
	return u
}
