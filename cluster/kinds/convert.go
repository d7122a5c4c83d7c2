package kinds

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1beta1 "k8s.io/api/apps/v1beta1"
	appsv1beta2 "k8s.io/api/apps/v1beta2"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	coordinationv1beta1 "k8s.io/api/coordination/v1beta1"
	discoveryv1beta1 "k8s.io/api/discovery/v1beta1"
	eventsv1beta1 "k8s.io/api/events/v1beta1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	storagev1beta1 "k8s.io/api/storage/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// oldVersion is a version of a kind that is accepted but not stored. Its
// convert fills in the defaults in which the old version differs from the
// stored one, then changes the shape; it may change what it is given.
type oldVersion struct {
	gvk     schema.GroupVersionKind
	to      Kind
	empty   func() runtime.Object
	convert func(runtime.Object) (Object, error)
}

var oldVersions = tableOfOldVersions()

// OldVersions lists the types that Decode converts, in a fixed order.
func OldVersions() []schema.GroupVersionKind {
	list := make([]schema.GroupVersionKind, 0, len(oldVersions))
	for gvk := range oldVersions { //det:ok sorted just below, by all fields
		list = append(list, gvk)
	}
	slices.SortFunc(list, func(a, b schema.GroupVersionKind) int {
		return compareStrings(a.Group, b.Group, a.Version, b.Version, a.Kind, b.Kind)
	})
	return list
}

// StorageKind is the kind that objects of a type are stored as: the type's own
// for a row of the table, the one converted to for an old version.
func StorageKind(gvk schema.GroupVersionKind) (Kind, bool) {
	if k, ok := ByGVK(gvk); ok {
		return k, true
	}
	old, ok := oldVersions[gvk]
	return old.to, ok
}

// compareStrings compares pairs of strings, the first pair first.
func compareStrings(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		switch a, b := pairs[i], pairs[i+1]; {
		case a < b:
			return -1
		case a > b:
			return 1
		}
	}
	return 0
}

func tableOfOldVersions() map[schema.GroupVersionKind]oldVersion {
	table := map[schema.GroupVersionKind]oldVersion{}
	add := func(gv schema.GroupVersion, kind string, to Kind, empty func() runtime.Object, convert func(runtime.Object) (Object, error)) {
		if convert == nil {
			convert = sameShape(to)
		}
		gvk := gv.WithKind(kind)
		table[gvk] = oldVersion{gvk, to, empty, convert}
	}
	oldApps(add)
	net, disc := networkingv1beta1.SchemeGroupVersion, discoveryv1beta1.SchemeGroupVersion
	add(extensionsv1beta1.SchemeGroupVersion, "Ingress", Ingress, empty[extensionsv1beta1.Ingress], convertExtensionsIngress)
	add(extensionsv1beta1.SchemeGroupVersion, "NetworkPolicy", NetworkPolicy, empty[extensionsv1beta1.NetworkPolicy], nil)
	add(net, "Ingress", Ingress, empty[networkingv1beta1.Ingress], convertIngress)
	add(net, "IngressClass", IngressClass, empty[networkingv1beta1.IngressClass], nil)
	add(net, "IPAddress", IPAddress, empty[networkingv1beta1.IPAddress], nil)
	add(net, "ServiceCIDR", ServiceCIDR, empty[networkingv1beta1.ServiceCIDR], nil)
	add(disc, "EndpointSlice", EndpointSlice, empty[discoveryv1beta1.EndpointSlice], convertEndpointSlice)
	add(batchv1beta1.SchemeGroupVersion, "CronJob", CronJob, empty[batchv1beta1.CronJob], nil)
	add(policyv1beta1.SchemeGroupVersion, "PodDisruptionBudget", PodDisruptionBudget, empty[policyv1beta1.PodDisruptionBudget], convertDisruptionBudget)
	add(autoscalingv1.SchemeGroupVersion, "HorizontalPodAutoscaler", HorizontalPodAutoscaler, empty[autoscalingv1.HorizontalPodAutoscaler], convertAutoscaler)
	// autoscaling/v2 took over the shape of v2beta2, whose Go type is gone.
	v2beta2 := schema.GroupVersion{Group: autoscalingv2.GroupName, Version: "v2beta2"}
	add(v2beta2, "HorizontalPodAutoscaler", HorizontalPodAutoscaler, empty[autoscalingv2.HorizontalPodAutoscaler], nil)
	rbac, store := rbacv1beta1.SchemeGroupVersion, storagev1beta1.SchemeGroupVersion
	add(rbac, "Role", Role, empty[rbacv1beta1.Role], nil)
	add(rbac, "RoleBinding", RoleBinding, empty[rbacv1beta1.RoleBinding], nil)
	add(rbac, "ClusterRole", ClusterRole, empty[rbacv1beta1.ClusterRole], nil)
	add(rbac, "ClusterRoleBinding", ClusterRoleBinding, empty[rbacv1beta1.ClusterRoleBinding], nil)
	add(store, "StorageClass", StorageClass, empty[storagev1beta1.StorageClass], nil)
	add(store, "VolumeAttachment", VolumeAttachment, empty[storagev1beta1.VolumeAttachment], nil)
	add(store, "CSIDriver", CSIDriver, empty[storagev1beta1.CSIDriver], nil)
	add(store, "CSINode", CSINode, empty[storagev1beta1.CSINode], nil)
	add(store, "CSIStorageCapacity", CSIStorageCapacity, empty[storagev1beta1.CSIStorageCapacity], nil)
	add(schedulingv1beta1.SchemeGroupVersion, "PriorityClass", PriorityClass, empty[schedulingv1beta1.PriorityClass], nil)
	add(coordinationv1beta1.SchemeGroupVersion, "Lease", Lease, empty[coordinationv1beta1.Lease], nil)
	add(eventsv1beta1.SchemeGroupVersion, "Event", EventsEvent, empty[eventsv1beta1.Event], nil)
	return table
}

type addOldVersion func(gv schema.GroupVersion, kind string, to Kind, empty func() runtime.Object, convert func(runtime.Object) (Object, error))

func oldApps(add addOldVersion) {
	ext, b1, b2 := extensionsv1beta1.SchemeGroupVersion, appsv1beta1.SchemeGroupVersion, appsv1beta2.SchemeGroupVersion
	add(ext, "Deployment", Deployment, empty[extensionsv1beta1.Deployment], convertExtensionsDeployment)
	add(ext, "ReplicaSet", ReplicaSet, empty[extensionsv1beta1.ReplicaSet], convertExtensionsReplicaSet)
	add(ext, "DaemonSet", DaemonSet, empty[extensionsv1beta1.DaemonSet], convertExtensionsDaemonSet)
	add(b1, "Deployment", Deployment, empty[appsv1beta1.Deployment], convertDeploymentV1beta1)
	add(b1, "StatefulSet", StatefulSet, empty[appsv1beta1.StatefulSet], convertStatefulSetV1beta1)
	add(b1, "ControllerRevision", ControllerRevision, empty[appsv1beta1.ControllerRevision], nil)
	add(b2, "Deployment", Deployment, empty[appsv1beta2.Deployment], nil)
	add(b2, "ReplicaSet", ReplicaSet, empty[appsv1beta2.ReplicaSet], nil)
	add(b2, "DaemonSet", DaemonSet, empty[appsv1beta2.DaemonSet], nil)
	add(b2, "StatefulSet", StatefulSet, empty[appsv1beta2.StatefulSet], nil)
	add(b2, "ControllerRevision", ControllerRevision, empty[appsv1beta2.ControllerRevision], nil)
}

// empty makes a new value of a type of k8s.io/api.
func empty[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

// sameShape converts by way of JSON: the two versions name their fields alike,
// and fields that the stored version does not have are dropped.
func sameShape(to Kind) func(runtime.Object) (Object, error) {
	return func(from runtime.Object) (Object, error) {
		o := to.Info().New()
		return o, reshape(from, o)
	}
}

// as is sameShape with the result at its own type.
func as[T any](from runtime.Object) (*T, error) {
	o := new(T)
	return o, reshape(from, o)
}

func reshape(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// lifecycle is what the types of k8s.io/api tell of their own end.
type lifecycle interface {
	APILifecycleDeprecated() (major, minor int)
	APILifecycleRemoved() (major, minor int)
}

// deprecation is the warning that Kubernetes' API server sends for a deprecated
// version; empty for an old version that is still served as good as new.
func deprecation(gvk schema.GroupVersionKind, from runtime.Object, to Kind) string {
	since := ""
	if l, ok := from.(lifecycle); ok {
		dMajor, dMinor := l.APILifecycleDeprecated()
		rMajor, rMinor := l.APILifecycleRemoved()
		since = fmt.Sprintf(" in v%d.%d+, unavailable in v%d.%d+", dMajor, dMinor, rMajor, rMinor)
	} else if gvk.Version == "v1" {
		return ""
	}
	use := to.Info().GVK
	return fmt.Sprintf("%s %s is deprecated%s; use %s %s", gvk.GroupVersion(), gvk.Kind, since, use.GroupVersion(), use.Kind)
}
