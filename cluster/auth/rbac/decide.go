package rbac

import (
	"iter"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"seatrial.dev/seatrial/cluster/auth"
)

// Authorize allows what a rule of a role bound to the user allows, and has no
// opinion on the rest. The reason names the binding; for a refusal it names roles
// that the user is bound to and that do not exist.
func (x *Index) Authorize(a *auth.Attributes) (auth.Decision, string) {
	namespace := a.Namespace
	if !a.ResourceRequest {
		namespace = ""
	}
	for g := range x.grants(&a.User, namespace) {
		if g.role.rules.allow(a) {
			return auth.Allow, g.reason
		}
	}
	return auth.NoOpinion, x.missing(&a.User, namespace)
}

// grants walks what a user has: across the cluster, then in a namespace; each by
// the user's name, then by the groups in their order, then by binding.
func (x *Index) grants(u *auth.User, namespace string) iter.Seq[*grant] {
	return func(yield func(*grant) bool) {
		for _, g := range x.cluster[subject{false, u.Name}] {
			if !yield(g) {
				return
			}
		}
		for _, name := range u.Groups {
			for _, g := range x.cluster[subject{true, name}] {
				if !yield(g) {
					return
				}
			}
		}
		if namespace == "" {
			return
		}
		for _, g := range x.local[local{namespace, subject{false, u.Name}}] {
			if !yield(g) {
				return
			}
		}
		for _, name := range u.Groups {
			for _, g := range x.local[local{namespace, subject{true, name}}] {
				if !yield(g) {
					return
				}
			}
		}
	}
}

// missing names the roles that a user is bound to and that do not exist.
func (x *Index) missing(u *auth.User, namespace string) string {
	var names []string
	for g := range x.grants(u, namespace) {
		if g.role.exists {
			continue
		}
		if name := g.role.id.String() + " not found"; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return "RBAC: " + names[0]
	}
	return "RBAC: [" + strings.Join(names, ", ") + "]"
}

// RulesOf lists the rules of all roles that a user has in a namespace and across
// the cluster. The rules are shared: read only.
func (x *Index) RulesOf(u *auth.User, namespace string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	var seen []*role
	for g := range x.grants(u, namespace) {
		if !slices.Contains(seen, g.role) {
			seen = append(seen, g.role)
			rules = append(rules, g.role.rules.all...)
		}
	}
	return rules
}

// Rules answers for a SelfSubjectRulesReview.
func (x *Index) Rules(u *auth.User, namespace string) auth.Rules {
	out := auth.Rules{Problem: x.missing(u, namespace)}
	for _, r := range x.RulesOf(u, namespace) {
		if len(r.Resources) > 0 {
			out.Resource = append(out.Resource, authorizationv1.ResourceRule{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames,
			})
		}
		if len(r.NonResourceURLs) > 0 {
			out.NonResource = append(out.NonResource, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return out
}
