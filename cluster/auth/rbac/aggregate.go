package rbac

import (
	"cmp"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/kinds"
)

// role is a Role or a ClusterRole, or the place of one that a binding names.
type role struct {
	id     roleID
	exists bool
	rules  rules
	labels labels.Set
	// aggregates are the selectors of the roles that it is made of; nil for a role
	// with rules of its own.
	aggregates []labels.Selector
	aggregated bool
}

func (r *role) set(o kinds.Object, own []rbacv1.PolicyRule) {
	*r = role{id: r.id, exists: true, labels: o.GetLabels()}
	if c, ok := o.(*rbacv1.ClusterRole); ok && c.AggregationRule != nil {
		r.aggregated, r.aggregates = true, selectors(c.AggregationRule)
		return
	}
	r.rules = compile(own)
}

// selectors leaves out what is no selector: validation refuses it.
func selectors(a *rbacv1.AggregationRule) []labels.Selector {
	var out []labels.Selector
	for i := range a.ClusterRoleSelectors {
		if s, err := metav1.LabelSelectorAsSelector(&a.ClusterRoleSelectors[i]); err == nil {
			out = append(out, s)
		}
	}
	return out
}

// aggregate works the rules of all aggregated roles out. A role may be made of
// others that are themselves made of others, in circles too.
func (x *Index) aggregate() {
	var all []*role // existing ClusterRoles by name
	for _, id := range slices.SortedFunc(maps.Keys(x.roles), roleID.Compare) {
		if r := x.roles[id]; r.exists && id.namespace == "" {
			all = append(all, r)
		}
	}
	for _, r := range all {
		if r.aggregated {
			r.rules = compile(gather(r, all))
		}
	}
}

// partOfAny says whether the rules of aggregated roles, its own among them, may
// change with a role.
func (x *Index) partOfAny(r *role) bool {
	if r.aggregated {
		return true
	}
	if !r.exists || r.id.namespace != "" {
		return false
	}
	for _, of := range x.roles { //det:ok whether any matches does not depend on the order
		for _, s := range of.aggregates {
			if s.Matches(r.labels) {
				return true
			}
		}
	}
	return false
}

// gather collects the rules of the roles that one is made of, by name at each
// step, each rule once.
func gather(of *role, all []*role) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	seen := map[*role]bool{of: true}
	var visit func(r *role)
	visit = func(r *role) {
		if !r.aggregated {
			out = appendNew(out, r.rules.all)
			return
		}
		for _, s := range r.aggregates {
			for _, o := range all {
				if !seen[o] && s.Matches(o.labels) {
					seen[o] = true
					visit(o)
				}
			}
		}
	}
	visit(of)
	return out
}

func appendNew(list, more []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for i := range more {
		if !slices.ContainsFunc(list, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, more[i]) }) {
			list = append(list, more[i])
		}
	}
	return list
}

// Compare orders roles by namespace, then name.
func (id roleID) Compare(o roleID) int {
	return cmp.Or(cmp.Compare(id.namespace, o.namespace), cmp.Compare(id.name, o.name))
}

// Aggregate returns the rules that a ClusterRole with an aggregation rule has, for
// whoever writes them into the object as Kubernetes' controller does. It is false
// for a role that does not exist or has rules of its own.
func (x *Index) Aggregate(name string) ([]rbacv1.PolicyRule, bool) {
	r := x.roles[roleID{"", name}]
	if r == nil || !r.aggregated {
		return nil, false
	}
	return r.rules.all, true
}
