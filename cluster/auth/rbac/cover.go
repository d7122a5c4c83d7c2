package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// singlesMax is how many singles a rule is taken apart into at most. A rule of
// more must be covered as a whole.
const singlesMax = 1 << 14

// Covers says whether each thing that rules allow is allowed by one of the owner's
// rules, and returns what is not: singles where a rule is covered in part.
func Covers(owner, rules []rbacv1.PolicyRule) (uncovered []rbacv1.PolicyRule) {
	for i := range rules {
		r := &rules[i]
		if covered(owner, r) {
			continue
		}
		if countSingles(r) > singlesMax {
			uncovered = append(uncovered, *r)
			continue
		}
		for _, s := range singles(r) {
			if !covered(owner, &s) {
				uncovered = append(uncovered, s)
			}
		}
	}
	return uncovered
}

func covered(owner []rbacv1.PolicyRule, r *rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(owner, func(o rbacv1.PolicyRule) bool { return covers(&o, r) })
}

// covers says whether one rule allows all that another does.
func covers(o, r *rbacv1.PolicyRule) bool {
	names := len(o.ResourceNames) == 0 || len(r.ResourceNames) > 0 && hasAll(o.ResourceNames, r.ResourceNames)
	return allOrAll(o.Verbs, r.Verbs) && allOrAll(o.APIGroups, r.APIGroups) && names &&
		coversResources(o.Resources, r.Resources) && coversPaths(o.NonResourceURLs, r.NonResourceURLs)
}

func hasAll(set, of []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(set, s) })
}

// allOrAll is true of a set that holds all of another, or the star.
func allOrAll(set, of []string) bool { return slices.Contains(set, "*") || hasAll(set, of) }

func coversResources(set, of []string) bool {
	if allOrAll(set, of) {
		return true
	}
	for _, name := range of {
		_, sub, ok := strings.Cut(name, "/")
		if !slices.Contains(set, name) && !(ok && slices.Contains(set, "*/"+sub)) {
			return false
		}
	}
	return true
}

func coversPaths(set, of []string) bool {
	for _, path := range of {
		if !slices.ContainsFunc(set, func(s string) bool { return pathCovers(s, path) }) {
			return false
		}
	}
	return true
}

// countSingles stops counting above singlesMax.
func countSingles(r *rbacv1.PolicyRule) int {
	n := 1
	for _, f := range []int{len(r.APIGroups), len(r.Resources), max(1, len(r.ResourceNames)), len(r.Verbs)} {
		if n *= f; n > singlesMax {
			return n
		}
	}
	return n + len(r.Verbs)*len(r.NonResourceURLs)
}

// singles takes a rule apart.
func singles(r *rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, g := range r.APIGroups {
		for _, res := range r.Resources {
			for _, v := range r.Verbs {
				one := rbacv1.PolicyRule{Verbs: []string{v}, APIGroups: []string{g}, Resources: []string{res}}
				if len(r.ResourceNames) == 0 {
					out = append(out, one)
				}
				for _, n := range r.ResourceNames {
					one.ResourceNames = []string{n}
					out = append(out, one)
				}
			}
		}
	}
	for _, u := range r.NonResourceURLs {
		for _, v := range r.Verbs {
			out = append(out, rbacv1.PolicyRule{Verbs: []string{v}, NonResourceURLs: []string{u}})
		}
	}
	return out
}

// joined puts singles that differ in their verb alone together, for a text that
// can be read.
func joined(list []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	at := map[string]int{}
	for _, r := range list {
		key := fmt.Sprint(r.APIGroups, r.Resources, r.ResourceNames, r.NonResourceURLs)
		if i, ok := at[key]; ok {
			out[i].Verbs = append(slices.Clip(out[i].Verbs), r.Verbs...)
			continue
		}
		at[key] = len(out)
		out = append(out, r)
	}
	return out
}

// compact writes a rule as Kubernetes does in its refusals.
func compact(r rbacv1.PolicyRule) string {
	var parts []string
	for _, f := range []struct {
		name string
		list []string
	}{
		{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs},
		{"ResourceNames", r.ResourceNames}, {"Verbs", r.Verbs},
	} {
		if len(f.list) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%s", f.name, quoted(f.list)))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(q, " ") + "]"
}
