package rbac

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// CheckEscalation keeps a user from granting more than it has: it refuses to write
// a role with rules that the user's own do not cover unless the user may "escalate"
// the role, and a binding to a role that they do not cover unless the user may
// "bind" it. old is nil of a create. A write that changes neither rules nor
// subjects passes, and so does an object of any other kind.
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping)
//
// The error is a Forbidden or, of a binding to a role that does not exist, a
// NotFound.
func (x *Index) CheckEscalation(az auth.Authorizer, u *auth.User, object, old kinds.Object) error {
	if u.In(auth.Masters) {
		return nil
	}
	switch o := object.(type) {
	case *rbacv1.Role:
		if was, ok := old.(*rbacv1.Role); ok && same(o.Rules, was.Rules) {
			return nil
		}
		return x.checkRole(az, u, o, o.Rules)
	case *rbacv1.ClusterRole:
		if was, ok := old.(*rbacv1.ClusterRole); ok && same(o.Rules, was.Rules) && same(o.AggregationRule, was.AggregationRule) {
			return nil
		}
		rules := o.Rules
		if o.AggregationRule != nil { // it may come to hold anything
			rules = append(slices.Clip(rules), everything()...)
		}
		return x.checkRole(az, u, o, rules)
	case *rbacv1.RoleBinding, *rbacv1.ClusterRoleBinding:
		return x.checkBinding(az, u, object, old)
	}
	return nil
}

func same(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }

func everything() []rbacv1.PolicyRule {
	all := []string{"*"}
	return []rbacv1.PolicyRule{{Verbs: all, APIGroups: all, Resources: all}, {Verbs: all, NonResourceURLs: all}}
}

func (x *Index) checkRole(az auth.Authorizer, u *auth.User, o kinds.Object, rules []rbacv1.PolicyRule) error {
	if allowed(az, u, "escalate", kinds.Of(o).Info().Plural, kinds.KeyOf(o)) {
		return nil
	}
	return x.confirm(u, kinds.RefOf(o), o.GetNamespace(), rules)
}

func (x *Index) checkBinding(az auth.Authorizer, u *auth.User, o, old kinds.Object) error {
	ref, subjects := binding(o)
	if old != nil {
		if wasRef, was := binding(old); same(ref, wasRef) && same(subjects, was) {
			return nil
		}
	}
	id, at := roleID{"", ref.Name}, kinds.Key{Namespace: o.GetNamespace(), Name: ref.Name}
	plural := "clusterroles"
	if ref.Kind == "Role" {
		id.namespace, plural = at.Namespace, "roles"
	}
	if allowed(az, u, "bind", plural, at) {
		return nil
	}
	r := x.roles[id]
	if r == nil || !r.exists {
		return apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: plural}, ref.Name)
	}
	return x.confirm(u, kinds.RefOf(o), at.Namespace, r.rules.all)
}

// allowed asks for one of RBAC's own verbs.
func allowed(az auth.Authorizer, u *auth.User, verb, plural string, at kinds.Key) bool {
	d, _ := az.Authorize(&auth.Attributes{
		User: *u, Verb: verb, ResourceRequest: true, APIGroup: rbacv1.GroupName, APIVersion: "v1",
		Resource: plural, Namespace: at.Namespace, Name: at.Name,
	})
	return d == auth.Allow
}

// confirm refuses what the user's rules in a namespace do not cover.
func (x *Index) confirm(u *auth.User, on kinds.Ref, namespace string, rules []rbacv1.PolicyRule) error {
	uncovered := Covers(x.RulesOf(u, namespace), rules)
	if len(uncovered) == 0 {
		return nil
	}
	lines := make([]string, 0, len(uncovered))
	for _, r := range joined(uncovered) {
		lines = append(lines, compact(r))
	}
	slices.Sort(lines)
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s", u.Name, u.Groups, strings.Join(lines, "\n"))
	if missing := x.missing(u, namespace); missing != "" {
		text += "; resolution errors: " + strings.TrimPrefix(missing, "RBAC: ")
	}
	return apierrors.NewForbidden(on.Kind.Info().GVR().GroupResource(), on.Name, errors.New(text))
}
