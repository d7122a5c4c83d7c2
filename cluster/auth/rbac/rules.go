package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"seatrial.dev/seatrial/cluster/auth"
)

// rules are the rules of one role, found by the resource that they name.
type rules struct {
	all   []rbacv1.PolicyRule
	named map[target][]*rbacv1.PolicyRule // "pods", "pods/log"
	every []*rbacv1.PolicyRule            // "*"
	sub   map[string][]*rbacv1.PolicyRule // "*/scale"
	urls  []*rbacv1.PolicyRule
}

type target struct{ resource, subresource string }

func compile(all []rbacv1.PolicyRule) rules {
	c := rules{all: all, named: map[target][]*rbacv1.PolicyRule{}, sub: map[string][]*rbacv1.PolicyRule{}}
	for i := range all {
		r := &all[i]
		for _, name := range r.Resources {
			resource, subresource, _ := strings.Cut(name, "/")
			switch {
			case name == rbacv1.ResourceAll:
				c.every = append(c.every, r)
			case resource == rbacv1.ResourceAll && subresource != "":
				c.sub[subresource] = append(c.sub[subresource], r)
			case strings.HasSuffix(name, "/"): // names nothing
			default:
				at := target{resource, subresource}
				c.named[at] = append(c.named[at], r)
			}
		}
		if len(r.NonResourceURLs) > 0 {
			c.urls = append(c.urls, r)
		}
	}
	return c
}

// allow says whether any rule allows a request.
func (c *rules) allow(a *auth.Attributes) bool {
	if !a.ResourceRequest {
		for _, r := range c.urls {
			if hasVerb(r, a.Verb) && hasPath(r, a.Path) {
				return true
			}
		}
		return false
	}
	return anyAllows(c.named[target{a.Resource, a.Subresource}], a) || anyAllows(c.every, a) ||
		a.Subresource != "" && anyAllows(c.sub[a.Subresource], a)
}

// anyAllows looks at rules whose resource matches.
func anyAllows(list []*rbacv1.PolicyRule, a *auth.Attributes) bool {
	for _, r := range list {
		if hasVerb(r, a.Verb) && hasGroup(r, a.APIGroup) && hasName(r, a.Name) {
			return true
		}
	}
	return false
}

// RulesAllow says whether any of a few rules allows a request.
func RulesAllow(list []rbacv1.PolicyRule, a *auth.Attributes) bool {
	for i := range list {
		r := &list[i]
		if !hasVerb(r, a.Verb) {
			continue
		}
		if a.ResourceRequest && hasGroup(r, a.APIGroup) && hasResource(r, a.Resource, a.Subresource) && hasName(r, a.Name) {
			return true
		}
		if !a.ResourceRequest && hasPath(r, a.Path) {
			return true
		}
	}
	return false
}

func hasVerb(r *rbacv1.PolicyRule, verb string) bool {
	for _, v := range r.Verbs {
		if v == rbacv1.VerbAll || v == verb {
			return true
		}
	}
	return false
}

func hasGroup(r *rbacv1.PolicyRule, group string) bool {
	for _, g := range r.APIGroups {
		if g == rbacv1.APIGroupAll || g == group {
			return true
		}
	}
	return false
}

func hasName(r *rbacv1.PolicyRule, name string) bool {
	return len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, name)
}

func hasResource(r *rbacv1.PolicyRule, resource, subresource string) bool {
	full := resource
	if subresource != "" {
		full += "/" + subresource
	}
	for _, name := range r.Resources {
		if name == rbacv1.ResourceAll || name == full {
			return true
		}
		if sub, ok := strings.CutPrefix(name, "*/"); ok && subresource != "" && sub == subresource {
			return true
		}
	}
	return false
}

func hasPath(r *rbacv1.PolicyRule, path string) bool {
	return slices.ContainsFunc(r.NonResourceURLs, func(u string) bool { return pathCovers(u, path) })
}

// pathCovers says whether a path of a rule, which may end in *, stands for another.
func pathCovers(rule, path string) bool {
	if rule == rbacv1.NonResourceAll || rule == path {
		return true
	}
	return strings.HasSuffix(rule, "*") && strings.HasPrefix(path, strings.TrimRight(rule, "*"))
}
