package defaultroles

import rbacv1 "k8s.io/api/rbac/v1"

// controllers are the roles of the controllers. Each is bound to the service
// account of kube-system that has the controller's name.
func controllers() []role {
	var all []role
	add := func(name string, r ...rbacv1.PolicyRule) {
		all = append(all, role{name: "system:controller:" + name, to: subjects(system(name)), rules: r})
	}
	workloads(add)
	cluster(add)
	volumes(add)
	return all
}

type adder func(name string, r ...rbacv1.PolicyRule)

// workloads are the controllers that make pods, and those that follow them.
func workloads(add adder) {
	const old = "apps extensions"
	add("cronjob-controller",
		on("batch", "cronjobs", "get list update watch"),
		on("batch", "jobs", "create delete get list patch update watch"),
		on("batch", "cronjobs/status", "update"),
		on("batch", "cronjobs/finalizers", "update"),
		on("core", "pods", "delete list"),
		recording())
	add("daemon-set-controller",
		on(old, "daemonsets", read),
		on(old, "daemonsets/status", "update"),
		on(old, "daemonsets/finalizers", "update"),
		on("core", "nodes", "list watch"),
		on("core", "pods", "create delete list patch watch"),
		on("core", "pods/binding", "create"),
		on("apps", "controllerrevisions", "create delete get list patch update watch"),
		recording())
	add("deployment-controller",
		on(old, "deployments", "get list update watch"),
		on(old, "deployments/status", "update"),
		on(old, "deployments/finalizers", "update"),
		on(old, "replicasets", "create delete get list patch update watch"),
		on("core", "pods", "get list update watch"),
		recording())
	add("job-controller",
		on("batch", "jobs", tend),
		on("batch", "jobs/status", "patch update"),
		on("batch", "jobs/finalizers", "update"),
		on("core", "pods", "create delete list patch watch"),
		recording())
	add("replicaset-controller",
		on(old, "replicasets", "get list update watch"),
		on(old, "replicasets/status", "update"),
		on(old, "replicasets/finalizers", "update"),
		on("core", "pods", "create delete list patch watch"),
		recording())
	add("replication-controller",
		on("core", "replicationcontrollers", "get list update watch"),
		on("core", "replicationcontrollers/status", "update"),
		on("core", "replicationcontrollers/finalizers", "update"),
		on("core", "pods", "create delete list patch watch"),
		recording())
	add("statefulset-controller",
		on("core", "pods", "list watch"),
		on("apps", "statefulsets", read),
		on("apps", "statefulsets/status", "update"),
		on("apps", "statefulsets/finalizers", "update"),
		on("core", "pods", "create delete get patch update"),
		on("apps", "controllerrevisions", "create delete get list patch update watch"),
		on("core", "persistentvolumeclaims", "create get"),
		on("core", "persistentvolumeclaims", "delete list patch update watch"),
		recording())
	add("ttl-after-finished-controller", on("batch", "jobs", "delete get list watch"), recording())
	add("horizontal-pod-autoscaler",
		on("autoscaling", "horizontalpodautoscalers", read),
		on("autoscaling", "horizontalpodautoscalers/status", "update"),
		on("*", "*/scale", "get update"),
		on("core", "pods", "list"),
		on("metrics.k8s.io", "pods", "list"),
		on("custom.metrics.k8s.io external.metrics.k8s.io", "*", "get list"),
		recording())
	add("disruption-controller",
		on(old, "deployments", read),
		on(old, "replicasets", read),
		on("core", "replicationcontrollers", read),
		on("policy", "poddisruptionbudgets", read),
		on("apps", "statefulsets", read),
		on("policy", "poddisruptionbudgets/status", "update"),
		on("core", "pods/status", "patch update"),
		on("*", "*/scale", "get"),
		recording())
}

// cluster are the controllers of nodes, namespaces, services and of everything.
func cluster(add adder) {
	add("certificate-controller",
		on(certs, "certificatesigningrequests", "delete get list watch"),
		on(certs, "certificatesigningrequests/approval certificatesigningrequests/status", "update"),
		on(certs, "signers", "approve", "kubernetes.io/kube-apiserver-client-kubelet"),
		on(certs, "signers", "sign", "kubernetes.io/legacy-unknown", "kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/kube-apiserver-client"),
		on(authz, "subjectaccessreviews", "create"),
		recording())
	add("clusterrole-aggregation-controller", on(rbacGroup, "clusterroles", "escalate get list patch update watch"))
	add("endpoint-controller",
		on("core", "pods services", read),
		on("core", "endpoints", "create delete get list update"),
		on("core", "endpoints/restricted", "create"),
		recording())
	add("endpointslice-controller",
		on("core", "nodes pods services", read),
		on("core", "services/finalizers", "update"),
		on(discovery, "endpointslices", "create delete get list update watch"),
		on(discovery, "endpointslices/restricted", "create"),
		recording())
	add("endpointslicemirroring-controller",
		on("core", "endpoints services", read),
		on("core", "endpoints/finalizers services/finalizers", "update"),
		on(discovery, "endpointslices", "create delete get list update watch"),
		recording())
	add("generic-garbage-collector", on("*", "*", "delete get list patch update watch"), recording())
	add("namespace-controller",
		on("core", "namespaces", "delete get list watch"),
		on("core", "namespaces/finalize namespaces/status", "update"),
		on("*", "*", "delete deletecollection get list"))
	add("node-controller",
		on("core", "nodes", "delete get list patch update watch"),
		on("core", "nodes/status", "patch update"),
		on("core", "pods/status", "patch update"),
		on("core", "pods", "delete get list watch"),
		on(coord, "leases", "list watch"),
		recording())
	add("pod-garbage-collector",
		on("core", "pods", "delete list watch"),
		on("core", "nodes", "get list watch"),
		on("core", "pods/status", "patch"))
	add("resourcequota-controller",
		on("*", "*", "list watch"),
		on("core", "resourcequotas/status", "update"),
		recording())
	add("root-ca-cert-publisher", on("core", "configmaps", "create update"), recording())
	add("route-controller",
		on("core", "nodes", "list watch"),
		on("core", "nodes/status", "patch"),
		recording())
	add("service-account-controller", on("core", "serviceaccounts", "create"), recording())
	add("service-cidrs-controller",
		on(network, "servicecidrs", tend),
		on(network, "servicecidrs/finalizers", "patch update"),
		on(network, "servicecidrs/status", "patch update"),
		on(network, "ipaddresses", read),
		recording())
	add("service-controller",
		on("core", "services", read),
		on("core", "services/status", "patch update"),
		on("core", "nodes", "list watch"),
		recording())
	add("taint-eviction-controller",
		on("core", "pods", "delete get list watch"),
		on("core", "nodes", "get list watch"),
		on("core", "pods/status", "patch update"),
		recording())
	add("ttl-controller", on("core", "nodes", "list patch update watch"), recording())
}

// volumes are the controllers of volumes and claims.
func volumes(add adder) {
	add("attachdetach-controller",
		on("core", "persistentvolumeclaims persistentvolumes", "list watch"),
		on("core", "nodes", read),
		on("core", "nodes/status", "patch update"),
		on("core", "pods", "list watch"),
		recording(),
		on(storage, "volumeattachments", "create delete get list watch"),
		on(storage, "csidrivers csinodes", read))
	add("ephemeral-volume-controller",
		on("core", "pods", read),
		on("core", "pods/finalizers", "update"),
		on("core", "persistentvolumeclaims", "create get list watch"),
		recording())
	add("expand-controller",
		on("core", "persistentvolumes", tend),
		on("core", "persistentvolumeclaims/status", "patch update"),
		on("core", "persistentvolumeclaims", read),
		recording())
	add("persistent-volume-binder",
		on("core", "persistentvolumes", "create delete get list update watch"),
		on("core", "persistentvolumes/status", "update"),
		on("core", "persistentvolumeclaims", "get list update watch"),
		on("core", "persistentvolumeclaims/status", "update"),
		on("core", "pods", "create delete get list watch"),
		on(storage, "storageclasses", read),
		on("core", "nodes", "get list"),
		recording())
	add("pv-protection-controller", on("core", "persistentvolumes", "get list update watch"), recording())
	add("pvc-protection-controller",
		on("core", "persistentvolumeclaims", "get list update watch"),
		on("core", "pods", "get list watch"),
		recording())
}
