package auth

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The headers of impersonation
// (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation),
// in the canonical form that package net/http gives them. A server takes them off
// a request that it passes on.
const (
	ImpersonateUser  = "Impersonate-User"
	ImpersonateGroup = "Impersonate-Group"
	ImpersonateUID   = "Impersonate-Uid"
	ImpersonateExtra = "Impersonate-Extra-" // and the key, percent-encoded
)

// identities is the group of the resources uids and userextras.
const identities = "authentication.k8s.io"

// Impersonate returns the user that a request acts as: by itself u, or the one that
// its headers name if the authorizer lets u impersonate each part of it. The bool
// says whether there was anything to impersonate. The error is a Forbidden, or a
// BadRequest for headers without a user.
//
// The limit on the number of parts is the server's limit on headers.
func Impersonate(az Authorizer, u User, header map[string][]string) (User, bool, error) {
	to, asked := impersonated(header)
	if !asked {
		return u, false, nil
	}
	if to.Name == "" {
		return User{}, false, apierrors.NewBadRequest("requested impersonation of a uid, groups or extra without impersonating a user")
	}
	for _, a := range impersonations(u, &to) {
		if err := Check(az, &a); err != nil {
			return User{}, false, err
		}
	}
	if ns, _, ok := SplitServiceAccount(to.Name); ok && len(to.Groups) == 0 {
		to.Groups = []string{ServiceAccounts, ServiceAccounts + ":" + ns}
	}
	if to.Name == Anonymous {
		return withGroup(to, Unauthenticated), true, nil
	}
	return withGroup(to, Authenticated), true, nil
}

// impersonated reads the headers.
func impersonated(header map[string][]string) (to User, asked bool) {
	first := func(key string) string {
		if len(header[key]) == 0 {
			return ""
		}
		return header[key][0]
	}
	to = User{Name: first(ImpersonateUser), UID: first(ImpersonateUID), Groups: slices.Clone(header[ImpersonateGroup])}
	for _, key := range slices.Sorted(maps.Keys(header)) {
		name, ok := strings.CutPrefix(key, ImpersonateExtra)
		if !ok || name == "" {
			continue
		}
		if to.Extra == nil {
			to.Extra = map[string][]string{}
		}
		name = extraKey(name)
		to.Extra[name] = append(to.Extra[name], header[key]...)
	}
	return to, to.Name != "" || to.UID != "" || len(to.Groups) > 0 || len(to.Extra) > 0
}

// extraKey undoes the encoding of a key in a header's name. What is no valid
// encoding stands for itself.
func extraKey(name string) string {
	name = strings.ToLower(name)
	if plain, err := url.PathUnescape(name); err == nil {
		return plain
	}
	return name
}

// impersonations are the questions to ask before u may act as another.
func impersonations(u User, to *User) []Attributes {
	ask := func(group, version, namespace, resource, sub, name string) Attributes {
		return Attributes{
			User: u, Verb: "impersonate", ResourceRequest: true, APIGroup: group, APIVersion: version,
			Namespace: namespace, Resource: resource, Subresource: sub, Name: name,
		}
	}
	var all []Attributes
	if ns, name, ok := SplitServiceAccount(to.Name); ok {
		all = append(all, ask("", "v1", ns, "serviceaccounts", "", name))
	} else {
		all = append(all, ask("", "v1", "", "users", "", to.Name))
	}
	for _, g := range to.Groups {
		all = append(all, ask("", "v1", "", "groups", "", g))
	}
	for _, key := range slices.Sorted(maps.Keys(to.Extra)) {
		for _, value := range to.Extra[key] {
			all = append(all, ask(identities, "v1", "", "userextras", key, value))
		}
	}
	if to.UID != "" {
		all = append(all, ask(identities, "v1", "", "uids", "", to.UID))
	}
	return all
}
