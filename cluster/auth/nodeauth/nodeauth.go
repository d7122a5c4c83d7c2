package nodeauth

import (
	"fmt"
	"iter"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	rbacv1 "k8s.io/api/rbac/v1"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/defaultroles"
	"seatrial.dev/seatrial/cluster/auth/rbac"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// Cluster is what is to be known of a cluster; a *view.View is one, if it holds
// pods, claims, volumes and volume attachments.
type Cluster interface {
	PodsOn(node string) iter.Seq[*corev1.Pod]
	Object(ref kinds.Ref) kinds.Object
}

var _ Cluster = (*view.View)(nil)

// Authorizer is an auth.Authorizer. It may be asked whenever its cluster may.
type Authorizer struct {
	cluster Cluster
	rules   []rbacv1.PolicyRule
}

// New reads what nodes run from a cluster.
func New(c Cluster) *Authorizer { return &Authorizer{c, defaultroles.NodeRules()} }

// NodeOf is the node that a user is the agent of; false for any other user. A user
// of the group of nodes with a name of another form is an agent of no node: "".
func NodeOf(u *auth.User) (node string, ok bool) {
	if !u.In(auth.Nodes) {
		return "", false
	}
	node, _ = strings.CutPrefix(u.Name, auth.NodePrefix)
	if node == u.Name {
		node = ""
	}
	return node, true
}

// Authorize allows a node what it needs.
func (z *Authorizer) Authorize(a *auth.Attributes) (auth.Decision, string) {
	node, ok := NodeOf(&a.User)
	switch {
	case !ok:
		return auth.NoOpinion, ""
	case node == "":
		return auth.NoOpinion, fmt.Sprintf("unknown node for user %q", a.User.Name)
	}
	if a.ResourceRequest {
		if judge := judges[schema.GroupResource{Group: a.APIGroup, Resource: a.Resource}]; judge != nil {
			if problem := judge(z, node, a); problem != "" {
				return auth.NoOpinion, problem
			}
			return auth.Allow, ""
		}
	}
	if rbac.RulesAllow(z.rules, a) {
		return auth.Allow, ""
	}
	return auth.NoOpinion, ""
}

// Rules cannot be listed: they depend on names.
func (z *Authorizer) Rules(u *auth.User, _ string) auth.Rules {
	if _, ok := NodeOf(u); !ok {
		return auth.Rules{}
	}
	return auth.Rules{Incomplete: true, Problem: "node authorizer does not support user rule resolution"}
}

// judges decide on the resources that rules cannot. Each answers "" to allow, or why
// not.
var judges = map[schema.GroupResource]func(z *Authorizer, node string, a *auth.Attributes) string{
	{Resource: "secrets"}:                                    reads((*Authorizer).usesSecret),
	{Resource: "configmaps"}:                                 reads((*Authorizer).usesConfigMap),
	{Resource: "persistentvolumeclaims"}:                     claims,
	{Resource: "persistentvolumes"}:                          gets((*Authorizer).usesVolume),
	{Resource: "serviceaccounts"}:                            tokens,
	{Resource: "nodes"}:                                      nodes,
	{Resource: "pods"}:                                       pods,
	{Group: "storage.k8s.io", Resource: "volumeattachments"}: gets((*Authorizer).attached),
	{Group: "storage.k8s.io", Resource: "csinodes"}:          csiNodes,
	{Group: "coordination.k8s.io", Resource: "leases"}:       leases,
}

// uses says whether a node has to do with an object.
type uses func(z *Authorizer, node, namespace, name string) bool

func related(z *Authorizer, node string, a *auth.Attributes, has uses) string {
	if a.Name == "" {
		return "No Object name found"
	}
	if !has(z, node, a.Namespace, a.Name) {
		return fmt.Sprintf("no relationship found between node '%s' and this object", node)
	}
	return ""
}

// reads allows get, and list and watch of one name, as of a secret.
func reads(has uses) func(*Authorizer, string, *auth.Attributes) string {
	return func(z *Authorizer, node string, a *auth.Attributes) string {
		switch {
		case a.Verb != "get" && a.Verb != "list" && a.Verb != "watch":
			return "can only read resources of this type"
		case a.Subresource != "":
			return "cannot read subresource"
		case a.Namespace == "":
			return "can only read namespaced object of this type"
		}
		return related(z, node, a, has)
	}
}

// gets allows get alone.
func gets(has uses) func(*Authorizer, string, *auth.Attributes) string {
	return func(z *Authorizer, node string, a *auth.Attributes) string {
		switch {
		case a.Verb != "get":
			return "can only get individual resources of this type"
		case a.Subresource != "":
			return "cannot get subresource"
		}
		return related(z, node, a, has)
	}
}

func claims(z *Authorizer, node string, a *auth.Attributes) string {
	if a.Subresource != "status" {
		return gets((*Authorizer).usesClaim)(z, node, a)
	}
	if a.Verb != "get" && a.Verb != "update" && a.Verb != "patch" {
		return "can only get/update/patch this type"
	}
	return related(z, node, a, (*Authorizer).usesClaim)
}

func tokens(z *Authorizer, node string, a *auth.Attributes) string {
	switch {
	case a.Verb != "create" || a.Name == "":
		return "can only create tokens for individual service accounts"
	case a.Subresource != "token":
		return "can only create token subresource of service account"
	}
	return related(z, node, a, (*Authorizer).usesAccount)
}

// changes are the verbs that a node has on what bears its own name.
func changes(verb string) bool {
	return verb == "get" || verb == "create" || verb == "update" || verb == "patch" || verb == "delete"
}

// leases are the node's own heartbeat. The name is not known of one to be created.
func leases(_ *Authorizer, node string, a *auth.Attributes) string {
	switch {
	case !changes(a.Verb):
		return "can only get, create, update, patch, or delete a node lease"
	case a.Namespace != view.NodeLeaseNamespace:
		return fmt.Sprintf("can only access leases in the %q system namespace", view.NodeLeaseNamespace)
	case a.Verb != "create" && a.Name != node:
		return "can only access node lease with the same name as the requesting node"
	}
	return ""
}

func csiNodes(_ *Authorizer, node string, a *auth.Attributes) string {
	switch {
	case !changes(a.Verb):
		return "can only get, create, update, patch, or delete a CSINode"
	case a.Subresource != "":
		return "cannot authorize CSINode subresources"
	case a.Verb != "create" && a.Name != node:
		return "can only access CSINode with the same name as the requesting node"
	}
	return ""
}

// notByRule is of what no rule for nodes allows either.
const notByRule = "node agents may not do this"

func nodes(_ *Authorizer, node string, a *auth.Attributes) string {
	switch verb := a.Verb; {
	case a.Subresource == "status" && (verb == "update" || verb == "patch"):
		return ""
	case a.Subresource != "":
		return notByRule
	case verb == "create" || verb == "update" || verb == "patch":
		return ""
	case verb != "get" && verb != "list" && verb != "watch":
		return notByRule
	case a.Name == "":
		return fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", node)
	case a.Name != node:
		return fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", node, a.Name)
	}
	return ""
}

func pods(z *Authorizer, node string, a *auth.Attributes) string {
	switch what := a.Verb + " " + a.Subresource; what {
	case "get ":
		return related(z, node, a, (*Authorizer).runs)
	case "list ", "watch ":
		for _, r := range a.Fields {
			if r.Field == "spec.nodeName" && r.Operator == selection.Equals && r.Value == node {
				return ""
			}
		}
		return "can only list/watch pods with spec.nodeName field selector"
	case "create ", "delete ", "update status", "patch status", "create eviction":
		return ""
	}
	return notByRule
}

func (z *Authorizer) attached(node, _, name string) bool {
	v, ok := z.cluster.Object(kinds.Ref{Kind: kinds.VolumeAttachment, Key: kinds.Key{Name: name}}).(*storagev1.VolumeAttachment)
	return ok && v.Spec.NodeName == node
}
