package noderestriction

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/auth/nodeauth"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// CheckWrite refuses a write with a Forbidden. stored is the object as it is, nil of a
// create; of an eviction or a binding it is the pod.
func CheckWrite(u *auth.User, r *api.Request, stored kinds.Object) error {
	node, ok := nodeauth.NodeOf(u)
	if !ok {
		return nil
	}
	why := ""
	switch r.Ref.Kind {
	case kinds.Pod:
		why = pod(node, r, stored)
	case kinds.Node:
		why = itself(node, r, stored)
	case kinds.Lease:
		switch {
		case r.Ref.Namespace != view.NodeLeaseNamespace:
			why = fmt.Sprintf("can only access leases in the %q system namespace", view.NodeLeaseNamespace)
		case r.Ref.Name != node:
			why = "can only access node lease with the same name as the requesting node"
		}
	case kinds.CSINode:
		if r.Ref.Name != node {
			why = "can only access CSINode with the same name as the requesting node"
		}
	}
	if node == "" {
		why = fmt.Sprintf("could not determine node from user %q", u.Name)
	}
	if why == "" {
		return nil
	}
	return forbidden(r.Ref, why)
}

func forbidden(at kinds.Ref, why string) error {
	return apierrors.NewForbidden(at.Kind.Info().GVR().GroupResource(), at.Name, fmt.Errorf("%s", why))
}

func pod(node string, r *api.Request, stored kinds.Object) string {
	what := ""
	switch {
	case r.Subresource == api.SubEviction:
		what = "evict pods"
	case r.Subresource == api.SubStatus:
		what = "update pod status for pods"
	case r.Verb == api.VerbDelete:
		what = "delete pods"
	case r.Verb == api.VerbCreate && r.Subresource == "":
		return mirror(node, r.Object.(*corev1.Pod))
	default:
		return fmt.Sprintf("unexpected operation %q, node %q can only create and delete mirror pods", r.Verb, node)
	}
	p, ok := stored.(*corev1.Pod)
	switch o, _ := r.Object.(*corev1.Pod); {
	case !ok:
	case p.Spec.NodeName != node:
		return fmt.Sprintf("node %q can only %s with spec.nodeName set to itself", node, what)
	case r.Subresource == api.SubStatus && o != nil && !maps.Equal(p.Labels, o.Labels): // they are by what services find pods
		return fmt.Sprintf("node %q cannot update labels through pod status", node)
	}
	return ""
}

// mirror is what stands in the API for a pod that the node has from elsewhere.
func mirror(node string, p *corev1.Pod) string {
	switch {
	case p.Annotations[corev1.MirrorPodAnnotationKey] == "":
		return fmt.Sprintf("pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	case p.Spec.NodeName != node:
		return fmt.Sprintf("node %q can only create pods with spec.nodeName set to itself", node)
	case !ownedBy(node, p.OwnerReferences):
		return fmt.Sprintf("node %q can only create pods with an owner reference set to itself", node)
	case p.Spec.ServiceAccountName != "":
		return fmt.Sprintf("node %q can not create pods that reference a service account", node)
	case needs(&p.Spec):
		return fmt.Sprintf("node %q can not create pods that reference secrets, configmaps or persistentvolumeclaims", node)
	}
	return ""
}

func ownedBy(node string, owners []metav1.OwnerReference) bool {
	return len(owners) == 1 && owners[0].Kind == "Node" && owners[0].APIVersion == "v1" && owners[0].Name == node &&
		owners[0].Controller != nil && *owners[0].Controller && (owners[0].BlockOwnerDeletion == nil || !*owners[0].BlockOwnerDeletion)
}

// needs says whether a pod would let its node read objects of the namespace.
func needs(s *corev1.PodSpec) bool {
	for i := range s.Volumes {
		v := &s.Volumes[i].VolumeSource
		if v.EmptyDir == nil && v.HostPath == nil && v.DownwardAPI == nil { // all others name an object, or may
			return true
		}
	}
	env := func(c *corev1.Container) bool {
		return len(c.EnvFrom) > 0 || slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool {
			return e.ValueFrom != nil && (e.ValueFrom.SecretKeyRef != nil || e.ValueFrom.ConfigMapKeyRef != nil)
		})
	}
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			if env(&list[i]) {
				return true
			}
		}
	}
	return len(s.ImagePullSecrets) > 0 || len(s.ResourceClaims) > 0 || len(s.EphemeralContainers) > 0
}

// itself is a write of a Node.
func itself(node string, r *api.Request, stored kinds.Object) string {
	if r.Ref.Name != node {
		return fmt.Sprintf("node %q is not allowed to modify node %q", node, r.Ref.Name)
	}
	o, ok := r.Object.(*corev1.Node)
	if !ok {
		return "" // a deletion, which is not among a node's rights
	}
	was, _ := stored.(*corev1.Node)
	if was == nil || r.Verb == api.VerbCreate { // one that is there already is refused as such
		was = &corev1.Node{}
	}
	// All other nodes send what is for the range to its node.
	if r.Subresource == "" && (o.Spec.PodCIDR != was.Spec.PodCIDR || !slices.Equal(o.Spec.PodCIDRs, was.Spec.PodCIDRs)) {
		return fmt.Sprintf("node %q is not allowed to modify spec.podCIDR and spec.podCIDRs", node)
	}
	if r.Subresource == "" && r.Verb != api.VerbCreate {
		switch {
		case !equality.Semantic.DeepEqual(was.Spec.Taints, o.Spec.Taints):
			return fmt.Sprintf("node %q is not allowed to modify taints", node)
		case !equality.Semantic.DeepEqual(was.OwnerReferences, o.OwnerReferences):
			return fmt.Sprintf("node %q is not allowed to modify ownerReferences", node)
		}
	}
	if changed := restricted(was.Labels, o.Labels); len(changed) > 0 {
		return fmt.Sprintf("is not allowed to modify labels: %s", strings.Join(changed, ", "))
	}
	return ""
}

// restricted are the labels that differ and are not a node's to set.
func restricted(was, now map[string]string) []string {
	var out []string
	for _, both := range [][2]map[string]string{{was, now}, {now, was}} {
		for _, key := range slices.Sorted(maps.Keys(both[0])) {
			value, ok := both[1][key]
			if (!ok || value != both[0][key]) && !auth.NodeMayLabel(key) && !slices.Contains(out, key) {
				out = append(out, key)
			}
		}
	}
	slices.Sort(out)
	return out
}

// CheckToken refuses a node a token that is not for a pod of its own. look finds
// stored objects.
func CheckToken(u *auth.User, look func(kinds.Ref) kinds.Object, account kinds.Key, q *authenticationv1.TokenRequest) error {
	node, ok := nodeauth.NodeOf(u)
	if !ok {
		return nil
	}
	at := kinds.Ref{Kind: kinds.ServiceAccount, Key: account}
	to := q.Spec.BoundObjectRef
	switch {
	case to == nil || to.APIVersion != "v1" || to.Kind != "Pod" || to.Name == "":
		return forbidden(at, "node requested token not bound to a pod")
	case to.UID == "":
		return forbidden(at, "node requested token with a pod binding without a uid")
	}
	p, ok := look(kinds.Ref{Kind: kinds.Pod, Key: kinds.Key{Namespace: account.Namespace, Name: to.Name}}).(*corev1.Pod)
	switch {
	case !ok:
		return apierrors.NewNotFound(kinds.Pod.Info().GVR().GroupResource(), to.Name)
	case p.UID != to.UID:
		return forbidden(at, fmt.Sprintf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", to.UID))
	case p.Spec.NodeName != node:
		return forbidden(at, "node requested token bound to a pod scheduled on a different node")
	case len(q.Spec.Audiences) > 1:
		return forbidden(at, "node may only request 0 or 1 audiences")
	}
	audience := "" // the API server's own
	if len(q.Spec.Audiences) == 1 {
		audience = q.Spec.Audiences[0]
	}
	if !asksFor(p, audience) {
		return forbidden(at, fmt.Sprintf("audience %q not found in pod spec volume", audience))
	}
	return nil
}

// asksFor says whether a pod has a volume with a token for an audience: what it does not
// ask for, its node has no use for.
func asksFor(p *corev1.Pod, audience string) bool {
	for i := range p.Spec.Volumes {
		v := p.Spec.Volumes[i].Projected
		if v != nil && slices.ContainsFunc(v.Sources, func(s corev1.VolumeProjection) bool {
			return s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience
		}) {
			return true
		}
	}
	return false
}
