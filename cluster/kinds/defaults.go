package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Default fills in, in place, what Kubernetes' API server fills into an object
// of this kind when fields are left out. The values are those that the API
// reference (https://kubernetes.io/docs/reference/kubernetes-api/) states
// field by field. Default is idempotent and does not fail; an object that has
// everything costs no allocation.
//
// What depends on other objects or on the cluster's configuration (the default
// service account, cluster IPs, a storage class) is admission's part.
func Default(o Object) {
	switch o := o.(type) {
	case *corev1.Pod:
		defaultPod(o)
	case *corev1.Node:
		defaultResources(o.Status.Capacity)
		if o.Status.Allocatable == nil && o.Status.Capacity != nil {
			o.Status.Allocatable = o.Status.Capacity.DeepCopy()
		}
		defaultResources(o.Status.Allocatable)
	case *corev1.Namespace:
		defaultNamespace(o)
	case *corev1.Service:
		defaultService(o)
	case *corev1.Endpoints:
		defaultEndpoints(o)
	case *corev1.Secret:
		defaultSecret(o)
	case *corev1.PersistentVolume:
		defaultPersistentVolume(o)
	case *corev1.PersistentVolumeClaim:
		defaultClaim(o)
	case *corev1.LimitRange:
		for i := range o.Spec.Limits {
			defaultLimit(&o.Spec.Limits[i])
		}
	case *corev1.ResourceQuota:
		defaultResources(o.Spec.Hard)
	case *corev1.ReplicationController:
		defaultReplicationController(o)
	case *corev1.PodTemplate:
		defaultPodSpec(&o.Template.Spec)
	case *appsv1.ReplicaSet:
		setDefault(&o.Spec.Replicas, 1)
		defaultPodSpec(&o.Spec.Template.Spec)
	case *appsv1.Deployment:
		defaultDeployment(o)
	case *appsv1.DaemonSet:
		defaultDaemonSet(o)
	case *appsv1.StatefulSet:
		defaultStatefulSet(o)
	default:
		defaultOther(o)
	}
}

// defaultOther goes on where Default's switch ends.
func defaultOther(o Object) {
	switch o := o.(type) {
	case *batchv1.Job:
		defaultJob(o)
	case *batchv1.CronJob:
		defaultCronJob(o)
	case *autoscalingv2.HorizontalPodAutoscaler:
		defaultAutoscaler(o)
	case *networkingv1.NetworkPolicy:
		defaultNetworkPolicy(o)
	case *networkingv1.IngressClass:
		if p := o.Spec.Parameters; p != nil && p.Scope == nil {
			p.Scope = ptr(networkingv1.IngressClassParametersReferenceScopeCluster)
		}
	case *discoveryv1.EndpointSlice:
		for i := range o.Ports {
			setDefault(&o.Ports[i].Name, "")
			setDefault(&o.Ports[i].Protocol, corev1.ProtocolTCP)
		}
	case *storagev1.StorageClass:
		setDefault(&o.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
		setDefault(&o.VolumeBindingMode, storagev1.VolumeBindingImmediate)
	case *storagev1.CSIDriver:
		defaultCSIDriver(o)
	case *rbacv1.RoleBinding:
		defaultBinding(&o.RoleRef, o.Subjects)
	case *rbacv1.ClusterRoleBinding:
		defaultBinding(&o.RoleRef, o.Subjects)
	case *schedulingv1.PriorityClass:
		setDefault(&o.PreemptionPolicy, corev1.PreemptLowerPriority)
	case *schedulingv1beta1.PodGroup:
		setDefault(&o.Spec.DisruptionMode, schedulingv1beta1.DisruptionMode{Single: &schedulingv1beta1.SingleDisruptionMode{}})
	}
}

func setIfEmpty[T comparable](field *T, v T) {
	var zero T
	if *field == zero {
		*field = v
	}
}

// defaultNamespace labels a namespace with its own name, so that a selector can
// name it, and puts the finalizer on that holds it until its content is gone.
func defaultNamespace(ns *corev1.Namespace) {
	if ns.Name != "" && ns.Labels[corev1.LabelMetadataName] != ns.Name {
		if ns.Labels == nil {
			ns.Labels = map[string]string{}
		}
		ns.Labels[corev1.LabelMetadataName] = ns.Name
	}
	if ns.Spec.Finalizers == nil && ns.DeletionTimestamp == nil {
		ns.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	}
	setIfEmpty(&ns.Status.Phase, corev1.NamespaceActive)
}

// defaultSecret moves stringData, which is only for writing, into data.
func defaultSecret(s *corev1.Secret) {
	setIfEmpty(&s.Type, corev1.SecretTypeOpaque)
	if s.StringData == nil {
		return
	}
	if s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for k, v := range s.StringData {
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
}

// defaultResources rounds amounts finer than a thousandth up, the finest that
// Kubernetes keeps.
func defaultResources(list corev1.ResourceList) {
	for name, q := range list { //det:ok each key is handled by itself
		if isCoarse(&q) {
			continue
		}
		q.RoundUp(resource.Milli)
		list[name] = q
	}
}

// isCoarse says whether a quantity has no digits beyond thousandths, without
// changing it. MilliValue rounds up, so a loss shows in the comparison.
func isCoarse(q *resource.Quantity) bool {
	if _, ok := q.AsInt64(); ok {
		return true
	}
	return q.CmpInt64(maxMilli) > 0 || resource.NewMilliQuantity(q.MilliValue(), q.Format).Cmp(*q) == 0
}

// maxMilli is the largest whole amount whose thousandths fit 64 bits.
const maxMilli = 1<<63/1000 - 1

// defaultLimit carries the bounds of a LimitRange item over into defaults:
// the maximum becomes the default limit, that (else the minimum) the default
// request. Source: https://kubernetes.io/docs/concepts/policy/limit-range/
func defaultLimit(item *corev1.LimitRangeItem) {
	if item.Type != corev1.LimitTypeContainer {
		return
	}
	inherit(&item.Default, item.Max)
	inherit(&item.DefaultRequest, item.Default)
	inherit(&item.DefaultRequest, item.Min)
	for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest} {
		defaultResources(list)
	}
}

// inherit copies the amounts that to does not have.
func inherit(to *corev1.ResourceList, from corev1.ResourceList) {
	if *to == nil && len(from) > 0 {
		*to = make(corev1.ResourceList, len(from))
	}
	for name, q := range from { //det:ok each key goes to its own place
		if _, ok := (*to)[name]; !ok {
			(*to)[name] = q.DeepCopy()
		}
	}
}

func defaultBinding(ref *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	setIfEmpty(&ref.APIGroup, rbacv1.GroupName)
	for i := range subjects {
		if k := subjects[i].Kind; k == rbacv1.UserKind || k == rbacv1.GroupKind {
			setIfEmpty(&subjects[i].APIGroup, rbacv1.GroupName)
		}
	}
}
