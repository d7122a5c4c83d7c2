// Package defaultroles lists the roles and bindings that every cluster begins with,
// as https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
// says: for people (people.go), for the components of the system (components.go),
// for the controllers, each of which acts as a service account of its own
// (controllers.go), and what some of them need in one namespace (namespaced.go).
//
// The tables are facts of Kubernetes in a short form: groups, resources and verbs
// are words parted by spaces, "core" standing for the core group, whose name is
// empty. There are no roles for kinds that this system does not know.
//
// A server creates what All returns, once it has the namespaces kube-system and
// kube-public, where it is not there already.
package defaultroles
