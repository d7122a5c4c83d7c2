package defaultroles

import rbacv1 "k8s.io/api/rbac/v1"

// The users that components of the system act as.
const (
	kubeControllerManager = "system:kube-controller-manager"
	kubeScheduler         = "system:kube-scheduler"
	kubeProxy             = "system:kube-proxy"
)

// NodeRules are what a node agent may do as far as rules can say it; package
// nodeauth narrows them to the agent's own node. The role system:node has them too
// but is bound to nobody.
func NodeRules() []rbacv1.PolicyRule {
	return rules(
		on(authn, "tokenreviews", "create"),
		on(authz, "localsubjectaccessreviews subjectaccessreviews", "create"),
		on("core", "services", read),
		on("core", "nodes", "create get list watch"),
		on("core", "nodes/status", "patch update"),
		on("core", "nodes", "patch update"),
		recording(),
		on("core", "pods", read),
		on("core", "pods", "create delete"),
		on("core", "pods/status", "patch update"),
		on("core", "pods/eviction", "create"),
		on("core", "configmaps secrets", read),
		on("core", "persistentvolumeclaims persistentvolumes", "get"),
		on("core", "endpoints", "get"),
		on(certs, "certificatesigningrequests", "create get list watch"),
		on(coord, "leases", "create delete get patch update"),
		on(storage, "volumeattachments", "get"),
		on("core", "serviceaccounts/token", "create"),
		on("core", "persistentvolumeclaims/status", "get patch update"),
		on(storage, "csidrivers", read),
		on(storage, "csinodes", "create delete get patch update"),
		on("node.k8s.io", "runtimeclasses", read),
	)
}

// components are the roles of the parts of the system, and of what is often added
// to it.
func components() []role {
	return []role{
		{name: "system:node", to: []rbacv1.Subject{}, rules: NodeRules()},
		{name: "system:node-proxier", to: subjects(user(kubeProxy)), rules: rules(
			on("core", "endpoints services", "list watch"),
			on("core", "nodes", read),
			recording(),
			on(discovery, "endpointslices", "list watch"),
			on(network, "servicecidrs", "list watch"))},
		scheduler(),
		controllerManager(),
		{name: "system:volume-scheduler", to: subjects(user(kubeScheduler)), rules: rules(
			on("core", "persistentvolumes", tend),
			on(storage, "storageclasses", read),
			on("core", "persistentvolumeclaims", tend))},
		{name: "system:kube-dns", to: subjects(system("kube-dns")), rules: rules(
			on("core", "endpoints services", "list watch"))},
		{name: "system:auth-delegator", rules: rules(
			on(authn, "tokenreviews", "create"),
			on(authz, "subjectaccessreviews", "create"))},
		{name: "system:kube-aggregator", rules: rules(on("core", "endpoints services", read), on(discovery, "endpointslices", read))},
		{name: "system:kubelet-api-admin", rules: rules(
			on("core", "nodes", read),
			on("core", "nodes", "proxy"),
			on("core", "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats", "*"))},
		{name: "system:node-bootstrapper", rules: rules(on(certs, "certificatesigningrequests", "create get list watch"))},
		{name: "system:node-problem-detector", rules: rules(
			on("core", "nodes", "get"),
			on("core", "nodes/status", "patch"),
			recording())},
		{name: "system:persistent-volume-provisioner", rules: rules(
			on("core", "persistentvolumes", "create delete get list watch"),
			on("core", "persistentvolumeclaims", "get list update watch"),
			on(storage, "storageclasses", read),
			on("core", "events", "watch"),
			recording())},
		{name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient", rules: rules(on(certs, "certificatesigningrequests/nodeclient", "create"))},
		{name: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", rules: rules(on(certs, "certificatesigningrequests/selfnodeclient", "create"))},
		approver("kube-apiserver-client", "kubernetes.io/kube-apiserver-client"),
		approver("kube-apiserver-client-kubelet", "kubernetes.io/kube-apiserver-client-kubelet"),
		approver("kubelet-serving", "kubernetes.io/kubelet-serving"),
		approver("legacy-unknown", "kubernetes.io/legacy-unknown"),
	}
}

// approver may approve requests for a signer's certificates.
func approver(name, signer string) role {
	return role{name: "system:certificates.k8s.io:" + name + "-approver", rules: rules(on(certs, "signers", "approve", signer))}
}

func scheduler() role {
	return role{name: "system:kube-scheduler", to: subjects(user(kubeScheduler)), rules: rules(
		recording(),
		on(coord, "leases", "create list watch"),
		on(coord, "leases", "get update", "kube-scheduler"),
		on(coord, "leasecandidates", "create delete deletecollection get list patch update watch"),
		on("core", "nodes", read),
		on("core", "pods", "delete get list watch"),
		on("core", "bindings pods/binding", "create"),
		on("core", "pods/status", "patch update"),
		on("core", "replicationcontrollers services", read),
		on("apps extensions", "replicasets", read),
		on("apps", "statefulsets", read),
		on("policy", "poddisruptionbudgets", read),
		on("core", "persistentvolumeclaims persistentvolumes", read),
		on(authn, "tokenreviews", "create"),
		on(authz, "subjectaccessreviews", "create"),
		on(storage, "csidrivers csinodes csistoragecapacities volumeattachments", read),
		on("core", "namespaces", read),
		on("scheduling.k8s.io", "podgroups", read),
	)}
}

// controllerManager is what the controllers need together: mostly to make the
// tokens with which each acts as itself.
func controllerManager() role {
	return role{name: "system:kube-controller-manager", to: subjects(user(kubeControllerManager)), rules: rules(
		recording(),
		on(coord, "leases", "create list watch"),
		on(coord, "leases", "get update", "kube-controller-manager"),
		on(coord, "leasecandidates", "create delete deletecollection get list patch update watch"),
		on("core", "secrets serviceaccounts", "create"),
		on("core", "secrets", "delete"),
		on("core", "configmaps namespaces secrets serviceaccounts", "get"),
		on("core", "secrets serviceaccounts", "update"),
		on(authn, "tokenreviews", "create"),
		on(authz, "subjectaccessreviews", "create"),
		on("*", "*", "list watch"),
		on("core", "serviceaccounts/token", "create"),
	)}
}
