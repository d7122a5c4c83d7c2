package defaultroles

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// authReader lets servers that extend the API read how to check a client.
const authReader = "extension-apiserver-authentication-reader"

// namespaced are the roles within kube-system and kube-public.
func namespaced() []role {
	const signer = "system:controller:bootstrap-signer"
	in := metav1.NamespaceSystem
	return []role{
		{namespace: in, name: authReader, to: subjects(user(kubeControllerManager), user(kubeScheduler)), rules: rules(
			on("core", "configmaps", read, "extension-apiserver-authentication"))},
		{namespace: in, name: signer, to: subjects(system("bootstrap-signer")), rules: rules(on("core", "secrets", read))},
		{namespace: in, name: "system:controller:token-cleaner", to: subjects(system("token-cleaner")), rules: rules(
			on("core", "secrets", "delete get list watch"),
			recording())},
		leader("kube-controller-manager", kubeControllerManager),
		leader("kube-scheduler", kubeScheduler),
		{namespace: metav1.NamespacePublic, name: signer, to: subjects(system("bootstrap-signer")), rules: rules(
			on("core", "configmaps", read),
			on("core", "configmaps", "update", "cluster-info"),
			recording())},
	}
}

// leader lets one of several equal processes say that it is the one that works.
func leader(name, as string) role {
	return role{namespace: metav1.NamespaceSystem, name: "system::leader-locking-" + name, to: subjects(user(as), system(name)), rules: rules(
		on("core", "configmaps", "watch"),
		on("core", "configmaps", "get update", name))}
}
