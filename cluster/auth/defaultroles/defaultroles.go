package defaultroles

import (
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/auth/rbac"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Verbs that go together.
const (
	read      = "get list watch"
	write     = "create delete deletecollection patch update"
	readWrite = "get list watch create delete deletecollection patch update"
	tend      = "get list watch patch update" // all but make and unmake
)

// Groups that need a name here.
const (
	authn     = "authentication.k8s.io"
	authz     = "authorization.k8s.io"
	certs     = "certificates.k8s.io"
	coord     = "coordination.k8s.io"
	discovery = "discovery.k8s.io"
	events    = "events.k8s.io"
	network   = "networking.k8s.io"
	rbacGroup = rbacv1.GroupName
	storage   = "storage.k8s.io"
)

// aggregateTo begins the label of a role that is a part of another.
const aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"

// role is a ClusterRole or, with a namespace, a Role.
type role struct {
	name, namespace string
	partOf          string // the role that it is aggregated into
	sumOf           string // the role whose parts make it; it has no rules then
	rules           []rbacv1.PolicyRule
	to              []rbacv1.Subject // whom it is bound to, by a binding of its own name
}

// on is a rule for objects.
func on(groups, resources, verbs string, names ...string) rbacv1.PolicyRule {
	g := strings.Fields(groups)
	for i := range g {
		if g[i] == "core" {
			g[i] = ""
		}
	}
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), APIGroups: g, Resources: strings.Fields(resources), ResourceNames: names}
}

// at is a rule for paths.
func at(paths, verbs string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), NonResourceURLs: strings.Fields(paths)}
}

// recording is what all need that record events.
func recording() rbacv1.PolicyRule { return on("core "+events, "events", "create patch update") }

func group(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacGroup, Name: name}
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacGroup, Name: name}
}

// system is a service account of kube-system.
func system(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: metav1.NamespaceSystem, Name: name}
}

func rules(r ...rbacv1.PolicyRule) []rbacv1.PolicyRule { return r }

func subjects(s ...rbacv1.Subject) []rbacv1.Subject { return s }

// All returns fresh copies of the default roles and their bindings: ClusterRoles,
// ClusterRoleBindings, Roles, RoleBindings, each in the order of their names. The
// rules of aggregated roles are filled in.
func All() []kinds.Object {
	var out []kinds.Object
	for _, r := range slices.Concat(people(), components(), controllers(), namespaced()) {
		out = append(out, r.object())
		if b := r.binding(); b != nil {
			out = append(out, b)
		}
	}
	x := rbac.New(slices.Values(out))
	for _, o := range out {
		if c, ok := o.(*rbacv1.ClusterRole); ok && c.AggregationRule != nil {
			c.Rules, _ = x.Aggregate(c.Name)
		}
	}
	place := map[kinds.Kind]int{kinds.ClusterRole: 0, kinds.ClusterRoleBinding: 1, kinds.Role: 2, kinds.RoleBinding: 3}
	slices.SortFunc(out, func(a, b kinds.Object) int {
		if d := place[kinds.Of(a)] - place[kinds.Of(b)]; d != 0 {
			return d
		}
		return kinds.KeyOf(a).Compare(kinds.KeyOf(b))
	})
	return out
}

// marks are the labels and annotations of whatever a cluster begins with.
func (r *role) marks() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: r.name, Namespace: r.namespace,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{"rbac.authorization.kubernetes.io/autoupdate": "true"},
	}
}

func (r *role) object() kinds.Object {
	if r.namespace != "" {
		return &rbacv1.Role{ObjectMeta: r.marks(), Rules: r.rules}
	}
	c := &rbacv1.ClusterRole{ObjectMeta: r.marks(), Rules: r.rules}
	if r.partOf != "" {
		maps.Copy(c.Labels, map[string]string{aggregateTo + r.partOf: "true"})
	}
	if r.sumOf != "" {
		c.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{aggregateTo + r.sumOf: "true"}}}}
	}
	return c
}

// binding is nil for a role that nobody has.
func (r *role) binding() kinds.Object {
	ref := rbacv1.RoleRef{APIGroup: rbacGroup, Kind: "ClusterRole", Name: r.name}
	switch {
	case r.to == nil:
		return nil
	case r.namespace == "":
		return &rbacv1.ClusterRoleBinding{ObjectMeta: r.marks(), RoleRef: ref, Subjects: r.to}
	}
	ref.Kind = "Role"
	b := &rbacv1.RoleBinding{ObjectMeta: r.marks(), RoleRef: ref, Subjects: r.to}
	if r.name == authReader {
		b.Name = "system::" + r.name
	}
	return b
}
