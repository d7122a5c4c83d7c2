// Package rbac decides by roles and bindings, as
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/ says.
//
// An Index holds the Roles, ClusterRoles and their bindings so that a decision
// looks only at what is bound to the user and its groups, and there only at the
// rules that name the resource. It is made from a list and fed by events; the rules
// of an aggregated ClusterRole are worked out here from its selectors, whatever the
// object says, and Aggregate does the same for whoever keeps the object.
//
// CheckEscalation keeps users from granting what they do not have.
//
// It knows nothing of the group system:masters (see auth.Privileged) and does not
// check that roles are well formed: that is done by package kinds.
//
// Vocabulary: a subject is a user or a group, service accounts being users; a grant
// is one subject of one binding; a single is a rule with one verb, one resource and
// at most one name.
//
// Ownership: the objects are the store's and only read. Decisions write nothing, so
// any number may run at once; Apply must run alone.
package rbac
