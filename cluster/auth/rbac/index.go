package rbac

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// Index is all roles and bindings of a cluster, ready to decide. It is an
// auth.Authorizer and an auth.RuleLister.
type Index struct {
	roles   map[roleID]*role
	cluster map[subject][]*grant // of ClusterRoleBindings, by binding
	local   map[local][]*grant   // of RoleBindings, by binding
}

// roleID names a Role, or a ClusterRole by an empty namespace.
type roleID struct{ namespace, name string }

// String is how Kubernetes names a role that is missing.
func (id roleID) String() string {
	if id.namespace == "" {
		return fmt.Sprintf("clusterrole.rbac.authorization.k8s.io %q", id.name)
	}
	return fmt.Sprintf("role.rbac.authorization.k8s.io %q", id.name)
}

// subject is a user, or else a group.
type subject struct {
	group bool
	name  string
}

// local is a subject within a namespace.
type local struct {
	namespace string
	subject
}

// grant gives one subject of a binding a role.
type grant struct {
	binding kinds.Key
	role    *role // shared by all grants of it; may stand for a missing one
	reason  string
}

// New returns an index of the roles and bindings among objects; others are passed
// over.
func New(objects iter.Seq[kinds.Object]) *Index {
	x := &Index{roles: map[roleID]*role{}, cluster: map[subject][]*grant{}, local: map[local][]*grant{}}
	for o := range objects {
		switch o := o.(type) {
		case *rbacv1.Role:
			x.role(roleID{o.Namespace, o.Name}).set(o, o.Rules)
		case *rbacv1.ClusterRole:
			x.role(roleID{"", o.Name}).set(o, o.Rules)
		default:
			x.bind(o)
		}
	}
	x.aggregate()
	return x
}

// Apply brings one write in. Events of other kinds are passed over.
func (x *Index) Apply(e store.Event) {
	switch e.Ref.Kind {
	case kinds.Role, kinds.ClusterRole:
		x.applyRole(e)
	case kinds.RoleBinding, kinds.ClusterRoleBinding:
		if e.Old != nil {
			x.unbind(e.Old)
		}
		if e.Type != store.Deleted {
			x.bind(e.Object)
		}
	}
}

func (x *Index) applyRole(e store.Event) {
	r := x.role(roleID{e.Ref.Namespace, e.Ref.Name})
	made := x.partOfAny(r)
	switch o := e.Object.(type) {
	case *rbacv1.Role:
		r.set(o, o.Rules)
	case *rbacv1.ClusterRole:
		r.set(o, o.Rules)
	}
	if e.Type == store.Deleted {
		*r = role{id: r.id}
	}
	if made || x.partOfAny(r) {
		x.aggregate()
	}
}

// role returns the place of a role, which is kept also while there is none.
func (x *Index) role(id roleID) *role {
	r := x.roles[id]
	if r == nil {
		r = &role{id: id}
		x.roles[id] = r
	}
	return r
}

// bind adds the grants of a binding.
func (x *Index) bind(o kinds.Object) {
	at := kinds.KeyOf(o)
	ref, subjects := binding(o)
	id := roleID{"", ref.Name}
	if ref.Kind == "Role" {
		id.namespace = at.Namespace
	}
	for _, s := range subjects {
		who, ok := subjectOf(s, at.Namespace)
		if !ok {
			continue
		}
		g := &grant{binding: at, role: x.role(id), reason: explain(at, ref, s)}
		if at.Namespace == "" {
			x.cluster[who] = inserted(x.cluster[who], g)
		} else {
			in := local{at.Namespace, who}
			x.local[in] = inserted(x.local[in], g)
		}
	}
}

// unbind takes the grants of a binding away.
func (x *Index) unbind(o kinds.Object) {
	at := kinds.KeyOf(o)
	_, subjects := binding(o)
	of := func(g *grant) bool { return g.binding == at }
	for _, s := range subjects {
		who, ok := subjectOf(s, at.Namespace)
		switch in := (local{at.Namespace, who}); {
		case !ok:
		case at.Namespace == "":
			if x.cluster[who] = slices.DeleteFunc(x.cluster[who], of); len(x.cluster[who]) == 0 {
				delete(x.cluster, who)
			}
		default:
			if x.local[in] = slices.DeleteFunc(x.local[in], of); len(x.local[in]) == 0 {
				delete(x.local, in)
			}
		}
	}
}

// inserted keeps grants in the order of their bindings.
func inserted(list []*grant, g *grant) []*grant {
	at, _ := slices.BinarySearchFunc(list, g, func(a, b *grant) int {
		return cmp.Or(a.binding.Compare(b.binding), -1) // after its equals
	})
	return slices.Insert(list, at, g)
}

// binding is what is in a binding; nothing for any other object.
func binding(o kinds.Object) (rbacv1.RoleRef, []rbacv1.Subject) {
	switch o := o.(type) {
	case *rbacv1.RoleBinding:
		return o.RoleRef, o.Subjects
	case *rbacv1.ClusterRoleBinding:
		return o.RoleRef, o.Subjects
	}
	return rbacv1.RoleRef{}, nil
}

// subjectOf is whom a binding names. A service account without a namespace is of
// the binding's.
func subjectOf(s rbacv1.Subject, namespace string) (subject, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return subject{false, s.Name}, true
	case rbacv1.GroupKind:
		return subject{true, s.Name}, true
	case rbacv1.ServiceAccountKind:
		ns := cmp.Or(s.Namespace, namespace)
		return subject{false, auth.ServiceAccount(ns, s.Name).Name}, ns != ""
	}
	return subject{}, false
}

// explain is the reason of whoever is allowed something by a grant.
func explain(at kinds.Key, ref rbacv1.RoleRef, s rbacv1.Subject) string {
	kind, name := "ClusterRoleBinding", at.Name
	if at.Namespace != "" {
		kind, name = "RoleBinding", at.Name+"/"+at.Namespace
	}
	who := s.Name
	if s.Kind == rbacv1.ServiceAccountKind {
		who += "/" + cmp.Or(s.Namespace, at.Namespace)
	}
	return fmt.Sprintf("RBAC: allowed by %s %q of %s %q to %s %q", kind, name, ref.Kind, ref.Name, s.Kind, who)
}
