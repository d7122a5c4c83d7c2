package kinds

import (
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	storagev1 "k8s.io/api/storage/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateUpdate says what is wrong with putting new in old's place by an
// ordinary write: what is wrong with new by itself, and fields that may not
// change but have. Both must be of one kind and have their defaults.
//
// Subresources have rules of their own, which this does not know: binding sets
// a pod's node, and ephemeral containers and sizes change by theirs. A write of
// the status changes nothing that is judged here, and costs little.
func ValidateUpdate(new, old Object) field.ErrorList {
	var c check
	c.object(new)
	c.metaChange(metaOf(new), metaOf(old))
	c.change(new, old)
	return settle(c.errs)
}

const immutable = "field is immutable"

// same compares by value; what shares memory is equal at once, and quantities
// are equal when they are worth the same.
func same(a, b any) bool {
	return reflect.DeepEqual(a, b) || apiequality.Semantic.DeepEqual(a, b)
}

// fixed: the field must be as it was. The values are pointers to the fields, so
// that nothing is copied for the comparison.
func fixed[T any](c *check, at *loc, name string, new, old *T) {
	if !same(new, old) {
		c.invalid(at, name, *new, immutable)
	}
}

// metaChange: name, namespace, UID and creation time are for life, and a
// deletion once begun is not taken back.
func (c *check) metaChange(new, old *metav1.ObjectMeta) {
	if new.Name == old.Name && new.Namespace == old.Namespace && new.UID == old.UID && new.Generation >= old.Generation &&
		new.CreationTimestamp.Equal(&old.CreationTimestamp) && new.DeletionTimestamp.Equal(old.DeletionTimestamp) &&
		equal(new.DeletionGracePeriodSeconds, old.DeletionGracePeriodSeconds) {
		return
	}
	n := *new // a copy, for the machinery fills in what the writer left out
	if n.ResourceVersion == "" {
		n.ResourceVersion = "0" // whether one must be given is for cluster/api to say
	}
	c.add(apivalidation.ValidateObjectMetaUpdate(&n, old, field.NewPath("metadata")))
}

func equal(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }

func (c *check) change(new, old Object) {
	var root loc
	spec := root.dot("spec")
	switch n := new.(type) {
	case *corev1.Pod:
		c.podChange(&spec, &n.Spec, &old.(*corev1.Pod).Spec)
	case *corev1.Node:
		c.nodeChange(&spec, &n.Spec, &old.(*corev1.Node).Spec)
	case *corev1.Service:
		c.serviceChange(&spec, &n.Spec, &old.(*corev1.Service).Spec)
	case *corev1.ConfigMap:
		o := old.(*corev1.ConfigMap)
		if c.sealed(&root, o.Immutable, n.Immutable) {
			c.sealedField(&root, "data", n.Data, o.Data)
			c.sealedField(&root, "binaryData", n.BinaryData, o.BinaryData)
		}
	case *corev1.Secret:
		o := old.(*corev1.Secret)
		fixed(c, &root, "type", &n.Type, &o.Type)
		if c.sealed(&root, o.Immutable, n.Immutable) {
			c.sealedField(&root, "data", n.Data, o.Data)
		}
	case *appsv1.ReplicaSet:
		fixed(c, &spec, "selector", &n.Spec.Selector, &old.(*appsv1.ReplicaSet).Spec.Selector)
	case *appsv1.Deployment:
		fixed(c, &spec, "selector", &n.Spec.Selector, &old.(*appsv1.Deployment).Spec.Selector)
	case *appsv1.DaemonSet:
		fixed(c, &spec, "selector", &n.Spec.Selector, &old.(*appsv1.DaemonSet).Spec.Selector)
	case *appsv1.StatefulSet:
		c.statefulSetChange(&root, n, old.(*appsv1.StatefulSet))
	case *appsv1.ControllerRevision:
		o := old.(*appsv1.ControllerRevision)
		fixed(c, &root, "data", &n.Data, &o.Data)
	case *batchv1.Job:
		c.jobChange(&spec, &n.Spec, &old.(*batchv1.Job).Spec)
	default:
		c.otherChange(&root, new, old)
	}
}

func (c *check) otherChange(root *loc, new, old Object) {
	spec := root.dot("spec")
	switch n := new.(type) {
	case *corev1.PersistentVolumeClaim:
		c.claimChange(&spec, n, old.(*corev1.PersistentVolumeClaim))
	case *corev1.PersistentVolume:
		o := old.(*corev1.PersistentVolume)
		if !same(&n.Spec.PersistentVolumeSource, &o.Spec.PersistentVolumeSource) {
			c.forbidden(&spec, "persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
		}
		fixed(c, &spec, "volumeMode", &n.Spec.VolumeMode, &o.Spec.VolumeMode)
		if o.Spec.NodeAffinity != nil {
			fixed(c, &spec, "nodeAffinity", &n.Spec.NodeAffinity, &o.Spec.NodeAffinity)
		}
	case *corev1.ResourceQuota:
		fixed(c, &spec, "scopes", &n.Spec.Scopes, &old.(*corev1.ResourceQuota).Spec.Scopes)
	case *storagev1.StorageClass:
		c.storageClassChange(root, n, old.(*storagev1.StorageClass))
	case *storagev1.VolumeAttachment:
		fixed(c, root, "spec", &n.Spec, &old.(*storagev1.VolumeAttachment).Spec)
	case *networkingv1.IngressClass:
		fixed(c, &spec, "controller", &n.Spec.Controller, &old.(*networkingv1.IngressClass).Spec.Controller)
	case *networkingv1.IPAddress:
		fixed(c, &spec, "parentRef", &n.Spec.ParentRef, &old.(*networkingv1.IPAddress).Spec.ParentRef)
	case *discoveryv1.EndpointSlice:
		fixed(c, root, "addressType", &n.AddressType, &old.(*discoveryv1.EndpointSlice).AddressType)
	case *schedulingv1.PriorityClass:
		o := old.(*schedulingv1.PriorityClass)
		if n.Value != o.Value {
			c.forbidden(root, "value", "may not be changed in an update.")
		}
		fixed(c, root, "preemptionPolicy", &n.PreemptionPolicy, &o.PreemptionPolicy)
	case *schedulingv1beta1.PodGroup:
		c.podGroupChange(&spec, &n.Spec, &old.(*schedulingv1beta1.PodGroup).Spec)
	case *rbacv1.RoleBinding:
		c.roleRefChange(root, n.RoleRef, old.(*rbacv1.RoleBinding).RoleRef)
	case *rbacv1.ClusterRoleBinding:
		c.roleRefChange(root, n.RoleRef, old.(*rbacv1.ClusterRoleBinding).RoleRef)
	}
}

func (c *check) roleRefChange(root *loc, new, old rbacv1.RoleRef) {
	if new != old {
		c.invalid(root, "roleRef", new, "cannot change roleRef")
	}
}

// sealed says whether a ConfigMap or Secret may no longer change.
// Source: https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-immutable
func (c *check) sealed(root *loc, old, new *bool) bool {
	if old == nil || !*old {
		return false
	}
	if new == nil || !*new {
		c.forbidden(root, "immutable", "field is immutable when `immutable` is set")
	}
	return true
}

func (c *check) sealedField(root *loc, name string, new, old any) {
	if !same(new, old) {
		c.forbidden(root, name, "field is immutable when `immutable` is set")
	}
}

func (c *check) nodeChange(at *loc, n, o *corev1.NodeSpec) {
	if len(o.PodCIDRs) > 0 && !same(n.PodCIDRs, o.PodCIDRs) {
		c.forbidden(at, "podCIDRs", `node updates may not change podCIDR except from "" to valid`)
	}
	if o.ProviderID != "" && n.ProviderID != o.ProviderID {
		c.forbidden(at, "providerID", `node updates may not change providerID except from "" to valid`)
	}
}

// serviceChange: the first address is for life, unless the service begins or
// ends to be a mere name.
func (c *check) serviceChange(at *loc, n, o *corev1.ServiceSpec) {
	if n.Type == corev1.ServiceTypeExternalName || o.Type == corev1.ServiceTypeExternalName || o.ClusterIP == "" {
		return
	}
	here := at.index("clusterIPs", 0)
	switch {
	case n.ClusterIP == "":
		c.invalid(&here, "", n.ClusterIPs, "primary clusterIP can not be unset")
	case n.ClusterIP != o.ClusterIP:
		c.invalid(&here, "", n.ClusterIPs, "may not change once set")
	}
	if len(n.IPFamilies) > 0 && len(o.IPFamilies) > 0 && n.IPFamilies[0] != o.IPFamilies[0] {
		family := at.index("ipFamilies", 0)
		c.invalid(&family, "", n.IPFamilies, "may not change once set")
	}
	if n.Type == corev1.ServiceTypeLoadBalancer && o.Type == corev1.ServiceTypeLoadBalancer && !same(n.LoadBalancerClass, o.LoadBalancerClass) {
		c.invalid(at, "loadBalancerClass", n.LoadBalancerClass, "may not change once set")
	}
}

// Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
func (c *check) claimChange(at *loc, n, o *corev1.PersistentVolumeClaim) {
	rest := o.Spec.DeepCopy()
	if o.Spec.VolumeName == "" {
		rest.VolumeName = n.Spec.VolumeName // the binder's write
		if o.Spec.StorageClassName == nil {
			rest.StorageClassName = n.Spec.StorageClassName // the default class, found later
		}
	}
	rest.VolumeAttributesClassName = n.Spec.VolumeAttributesClassName
	resources := at.dot("resources")
	newSize, oldSize := n.Spec.Resources.Requests[corev1.ResourceStorage], o.Spec.Resources.Requests[corev1.ResourceStorage]
	if o.Status.Phase == corev1.ClaimBound {
		if held, ok := o.Status.Capacity[corev1.ResourceStorage]; newSize.Cmp(oldSize) < 0 && (!ok || newSize.Cmp(held) <= 0) {
			place := resources.dot("requests")
			c.forbidden(&place, "storage", "field can not be less than status.capacity")
		}
		rest.Resources = n.Spec.Resources
	}
	if !same(rest, &n.Spec) {
		c.forbidden(at, "", "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims")
	}
}

func (c *check) storageClassChange(root *loc, n, o *storagev1.StorageClass) {
	if !same(n.Parameters, o.Parameters) {
		c.forbidden(root, "parameters", "updates to parameters are forbidden.")
	}
	if n.Provisioner != o.Provisioner {
		c.forbidden(root, "provisioner", "updates to provisioner are forbidden.")
	}
	if !same(n.ReclaimPolicy, o.ReclaimPolicy) {
		c.forbidden(root, "reclaimPolicy", "updates to reclaimPolicy are forbidden.")
	}
	fixed(c, root, "volumeBindingMode", &n.VolumeBindingMode, &o.VolumeBindingMode)
}
