package auth

import (
	"slices"
	"strings"
)

// NodeMayLabel says whether a node may give itself a label of this key: one that is not
// Kubernetes' own, or that says what only the host can know. By the others people tell
// nodes apart that they trust, node-role.kubernetes.io/control-plane for one
// (https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction).
func NodeMayLabel(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return true
	}
	below := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	switch {
	case below("node-restriction.kubernetes.io"):
		return false
	case !below("kubernetes.io") && !below("k8s.io"), below("kubelet.kubernetes.io"), below("node.kubernetes.io"):
		return true
	}
	return slices.Contains([]string{
		"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone",
		"failure-domain.beta.kubernetes.io/region", "beta.kubernetes.io/instance-type",
	}, key)
}
