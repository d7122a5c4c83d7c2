package defaultroles

import "seatrial.dev/seatrial/cluster/auth"

// people are the roles that are given to users.
func people() []role {
	return []role{
		{name: "cluster-admin", to: subjects(group(auth.Masters)), rules: rules(on("*", "*", "*"), at("*", "*"))},
		{name: "system:discovery", to: subjects(group(auth.Authenticated)), rules: rules(
			at("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/", "get"))},
		{name: "system:public-info-viewer", to: subjects(group(auth.Authenticated), group(auth.Unauthenticated)), rules: rules(
			at("/healthz /livez /readyz /version /version/", "get"))},
		{name: "system:basic-user", to: subjects(group(auth.Authenticated)), rules: rules(
			on(authz, "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
			on(authn, "selfsubjectreviews", "create"))},
		{name: "system:monitoring", to: subjects(group("system:monitoring")), rules: rules(
			at("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*", "get"))},
		{name: "system:service-account-issuer-discovery", to: subjects(group(auth.ServiceAccounts)), rules: rules(
			at("/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/", "get"))},

		{name: "admin", sumOf: "admin"},
		{name: "edit", sumOf: "edit", partOf: "admin"},
		{name: "view", sumOf: "view", partOf: "edit"},
		{name: "system:aggregate-to-admin", partOf: "admin", rules: rules(
			on(authz, "localsubjectaccessreviews", "create"),
			on(rbacGroup, "rolebindings roles", readWrite))},
		aggregateToEdit(),
		aggregateToView(),
	}
}

// aggregateToEdit changes workloads, reads secrets, and acts as the namespace's
// service accounts. It may not write Endpoints and EndpointSlices (CVE-2021-25740).
func aggregateToEdit() role {
	return role{name: "system:aggregate-to-edit", partOf: "edit", rules: rules(
		on("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", read),
		on("core", "serviceaccounts", "impersonate"),
		on("core", "pods pods/attach pods/exec pods/portforward pods/proxy", write),
		on("core", "pods/eviction", "create"),
		on("core", "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy", write),
		on("core", "serviceaccounts/token", "create"),
		on("apps", "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale", write),
		on("autoscaling", "horizontalpodautoscalers", write),
		on("batch", "cronjobs jobs", write),
		on("extensions", "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets replicasets/scale replicationcontrollers/scale", write),
		on("policy", "poddisruptionbudgets", write),
		on(network, "ingresses networkpolicies", write),
		on(coord, "leases", readWrite),
	)}
}

// aggregateToView reads, but neither secrets nor roles.
func aggregateToView() role {
	return role{name: "system:aggregate-to-view", partOf: "view", rules: rules(
		on("core", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status", read),
		on("core", "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status", read),
		on("core", "namespaces", read),
		on(discovery, "endpointslices", read),
		on("apps", "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status", read),
		on("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", read),
		on("batch", "cronjobs cronjobs/status jobs jobs/status", read),
		on("extensions", "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale", read),
		on("policy", "poddisruptionbudgets poddisruptionbudgets/status", read),
		on(network, "ingresses ingresses/status networkpolicies", read),
	)}
}
