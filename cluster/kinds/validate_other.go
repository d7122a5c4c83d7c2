package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	storagev1 "k8s.io/api/storage/v1"
)

// other goes on where object's switch ends.
func (c *check) other(root *loc, o Object) {
	c.meta(metaOf(o), Of(o))
	switch o := o.(type) {
	case *appsv1.DaemonSet:
		c.daemonSet(root, o)
	case *appsv1.StatefulSet:
		c.statefulSet(root, o)
	case *appsv1.ControllerRevision:
		c.notNegative(root, "revision", o.Revision)
	case *batchv1.Job:
		c.job(root, o)
	case *batchv1.CronJob:
		c.cronJob(root, o)
	case *corev1.PodTemplate:
		here := root.dot("template")
		c.template(&here, &o.Template)
	case *corev1.Endpoints:
		c.endpoints(root, o)
	case *discoveryv1.EndpointSlice:
		c.endpointSlice(root, o)
	case *networkingv1.Ingress:
		c.ingress(root, o)
	case *networkingv1.IngressClass:
		here := root.dot("spec")
		if o.Spec.Controller == "" {
			c.required(&here, "controller", "")
		} else {
			c.qualified(&here, "controller", o.Spec.Controller)
		}
	case *networkingv1.NetworkPolicy:
		c.networkPolicy(root, o)
	case *networkingv1.ServiceCIDR:
		c.serviceCIDR(root, o)
	case *policyv1.PodDisruptionBudget:
		c.disruptionBudget(root, o)
	case *autoscalingv2.HorizontalPodAutoscaler:
		c.autoscaler(root, o)
	default:
		c.rest(root, o)
	}
}

// rest goes on where other's switch ends.
func (c *check) rest(root *loc, o Object) {
	switch o := o.(type) {
	case *corev1.PersistentVolume:
		c.persistentVolume(root, o)
	case *corev1.PersistentVolumeClaim:
		spec := root.dot("spec")
		c.claimSpec(&spec, &o.Spec)
	case *storagev1.StorageClass:
		c.storageClass(root, o)
	case *storagev1.VolumeAttachment:
		c.volumeAttachment(root, o)
	case *corev1.ResourceQuota:
		c.resourceQuota(root, o)
	case *corev1.LimitRange:
		c.limitRange(root, o)
	case *corev1.Event:
		if ns := o.InvolvedObject.Namespace; ns != "" && ns != o.Namespace {
			here := root.dot("involvedObject")
			c.invalid(&here, "namespace", ns, "does not match event.namespace")
		}
	case *coordinationv1.Lease:
		here := root.dot("spec")
		if d := o.Spec.LeaseDurationSeconds; d != nil && *d <= 0 {
			c.invalid(&here, "leaseDurationSeconds", *d, positive)
		}
		c.count(&here, "leaseTransitions", o.Spec.LeaseTransitions)
	case *schedulingv1.PriorityClass:
		c.priorityClass(root, o)
	case *schedulingv1beta1.PodGroup:
		c.podGroup(root, o)
	case *rbacv1.Role:
		c.rules(root, o.Rules, true)
	case *rbacv1.ClusterRole:
		c.clusterRole(root, o)
	case *rbacv1.RoleBinding:
		c.binding(root, &o.RoleRef, o.Subjects, "Role", "ClusterRole")
	case *rbacv1.ClusterRoleBinding:
		c.binding(root, &o.RoleRef, o.Subjects, "ClusterRole")
	}
}
