package rbac_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/rbac"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// TestIndexDecidesAsTheDefinition plays random writes of roles and bindings into
// an index and holds its decisions against a reading of the objects one by one,
// and against an index made afresh.
func TestIndexDecidesAsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := store.New(1000)
		x := rbac.New(slices.Values[[]kinds.Object](nil))
		for range rapid.IntRange(1, 25).Draw(t, "writes") {
			x.Apply(write(t, s))
		}
		fresh := rbac.New(objects(s))
		for range 20 {
			a := question(t)
			want := naive(s, a)
			d, reason := x.Authorize(a)
			require.Equal(t, want, d == auth.Allow, "%+v: %s", a, reason)
			fd, freshReason := fresh.Authorize(a)
			require.Equal(t, d, fd)
			require.Equal(t, reason, freshReason)
			require.Equal(t, want, rbac.RulesAllow(x.RulesOf(&a.User, scopeOf(a)), a))
		}
	})
}

// TestCoveredRulesAllowNoMore: what Covers lets pass allows nothing that the
// owner's rules do not, and what it does not let pass something.
func TestCoveredRulesAllowNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owner, asked := ruleList(t), ruleList(t)
		uncovered := rbac.Covers(owner, asked)
		for range 20 {
			a := question(t)
			if rbac.RulesAllow(asked, a) && !rbac.RulesAllow(owner, a) {
				require.True(t, rbac.RulesAllow(uncovered, a), "%+v", a)
			}
		}
	})
}

func objects(s *store.Store) func(func(kinds.Object) bool) {
	return func(yield func(kinds.Object) bool) {
		for _, k := range []kinds.Kind{kinds.ClusterRoleBinding, kinds.ClusterRole, kinds.RoleBinding, kinds.Role} {
			for o := range s.List(k, "") {
				if !yield(o) {
					return
				}
			}
		}
	}
}

func pick(t *rapid.T, what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t, what)
}

func some(t *rapid.T, what string, from ...string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 3, rapid.ID).Draw(t, what)
}

func ruleList(t *rapid.T) (out []rbacv1.PolicyRule) {
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		r := rbacv1.PolicyRule{Verbs: some(t, "verbs", "get", "list", "*")}
		if rapid.Bool().Draw(t, "url") {
			r.NonResourceURLs = some(t, "urls", "*", "/a", "/a/*", "/a*", "/b")
		} else {
			r.APIGroups = some(t, "groups", "", "apps", "*")
			r.Resources = some(t, "resources", "pods", "pods/log", "*/log", "*", "sets", "*/scale", "pods/")
			r.ResourceNames = some(t, "names", "", "x", "y")
		}
		out = append(out, r)
	}
	return out
}

func question(t *rapid.T) *auth.Attributes {
	a := &auth.Attributes{
		User: auth.User{Name: pick(t, "user", "ann", "system:serviceaccount:n1:ann", "bob"), Groups: some(t, "groups", "g", "h")},
		Verb: pick(t, "verb", "get", "list", "delete"),
	}
	if rapid.Bool().Draw(t, "path") {
		a.Path = pick(t, "path", "/a", "/a/b", "/b", "/ab")
		return a
	}
	a.ResourceRequest = true
	a.APIGroup = pick(t, "group", "", "apps")
	a.Resource = pick(t, "resource", "pods", "sets")
	a.Subresource = pick(t, "sub", "", "log", "scale")
	a.Namespace = pick(t, "ns", "", "n1", "n2")
	a.Name = pick(t, "name", "", "x", "y")
	return a
}

// write creates, replaces or deletes an object of the policy.
func write(t *rapid.T, s *store.Store) store.Event {
	namespace := pick(t, "namespace", "n1", "n2")
	meta := metav1.ObjectMeta{Name: pick(t, "object", "r1", "r2", "r3")}
	labels := map[string]string{pick(t, "label", "a", "b", "c"): "1"}
	var o kinds.Object
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		meta.Namespace = namespace
		o = &rbacv1.Role{ObjectMeta: meta, Rules: ruleList(t)}
	case 1:
		meta.Labels = labels
		c := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: ruleList(t)}
		if rapid.Bool().Draw(t, "aggregated") {
			c.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{pick(t, "selects", "a", "b", "c"): "1"}}}}
		}
		o = c
	case 2:
		meta.Namespace = namespace
		o = &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: roleRef(t, "Role", "ClusterRole"), Subjects: subjects(t)}
	default:
		o = &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: roleRef(t, "ClusterRole"), Subjects: subjects(t)}
	}
	if s.Get(kinds.RefOf(o)) == nil {
		e, err := s.Create(o)
		require.NoError(t, err)
		return e
	}
	if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
		e, err := s.Delete(kinds.RefOf(o), nil, 0)
		require.NoError(t, err)
		return e
	}
	e, err := s.Update(o, 0)
	require.NoError(t, err)
	return e
}

func roleRef(t *rapid.T, kinds ...string) rbacv1.RoleRef {
	return rbacv1.RoleRef{Kind: pick(t, "ref", kinds...), Name: pick(t, "role", "r1", "r2", "r3")}
}

func subjects(t *rapid.T) (out []rbacv1.Subject) {
	for range rapid.IntRange(0, 3).Draw(t, "subjects") {
		out = append(out, rbacv1.Subject{Kind: pick(t, "subject", "User", "Group", "ServiceAccount", "Odd"), Name: pick(t, "who", "ann", "bob", "g", "h"), Namespace: pick(t, "of", "", "n1")})
	}
	return out
}

func scopeOf(a *auth.Attributes) string {
	if a.ResourceRequest {
		return a.Namespace
	}
	return ""
}

// naive reads all bindings, as the documentation of RBAC says it.
func naive(s *store.Store, a *auth.Attributes) bool {
	for o := range s.List(kinds.ClusterRoleBinding, "") {
		b := o.(*rbacv1.ClusterRoleBinding)
		if names(b.Subjects, "", &a.User) && rbac.RulesAllow(rulesOf(s, b.RoleRef, ""), a) {
			return true
		}
	}
	if scopeOf(a) == "" {
		return false
	}
	for o := range s.List(kinds.RoleBinding, a.Namespace) {
		b := o.(*rbacv1.RoleBinding)
		if names(b.Subjects, b.Namespace, &a.User) && rbac.RulesAllow(rulesOf(s, b.RoleRef, b.Namespace), a) {
			return true
		}
	}
	return false
}

func names(list []rbacv1.Subject, namespace string, u *auth.User) bool {
	return slices.ContainsFunc(list, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case "User":
			return s.Name == u.Name
		case "Group":
			return u.In(s.Name)
		case "ServiceAccount":
			of := cmp.Or(s.Namespace, namespace)
			return of != "" && u.Name == fmt.Sprintf("system:serviceaccount:%s:%s", of, s.Name)
		}
		return false
	})
}

func rulesOf(s *store.Store, ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	if ref.Kind == "Role" {
		if r, ok := s.Get(kinds.Ref{Kind: kinds.Role, Key: kinds.Key{Namespace: namespace, Name: ref.Name}}).(*rbacv1.Role); ok {
			return r.Rules
		}
		return nil
	}
	// An aggregated role is a fixed point: grow the set of roles it is made of
	// until it grows no more.
	in := map[string]bool{ref.Name: true}
	for grown := true; grown; {
		grown = false
		for o := range s.List(kinds.ClusterRole, "") {
			c := o.(*rbacv1.ClusterRole)
			if !in[c.Name] || c.AggregationRule == nil {
				continue
			}
			for p := range s.List(kinds.ClusterRole, "") {
				for key := range c.AggregationRule.ClusterRoleSelectors[0].MatchLabels {
					if p.GetLabels()[key] == "1" && !in[p.GetName()] {
						in[p.GetName()], grown = true, true
					}
				}
			}
		}
	}
	var out []rbacv1.PolicyRule
	for o := range s.List(kinds.ClusterRole, "") {
		if c := o.(*rbacv1.ClusterRole); in[c.Name] && c.AggregationRule == nil {
			out = append(out, c.Rules...)
		}
	}
	return out
}
