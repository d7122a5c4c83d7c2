package kinds

import (
	"reflect"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds of the scheme.
const (
	Namespace Kind = iota + 1
	Node
	Pod
	Service
	Endpoints
	ReplicationController
	ConfigMap
	Secret
	ServiceAccount
	PersistentVolume
	PersistentVolumeClaim
	PodTemplate
	LimitRange
	ResourceQuota
	Event
	Deployment
	ReplicaSet
	StatefulSet
	DaemonSet
	ControllerRevision
	Job
	CronJob
	HorizontalPodAutoscaler
	PodDisruptionBudget
	Ingress
	IngressClass
	NetworkPolicy
	IPAddress
	ServiceCIDR
	EndpointSlice
	StorageClass
	VolumeAttachment
	VolumeAttributesClass
	CSIDriver
	CSINode
	CSIStorageCapacity
	Role
	RoleBinding
	ClusterRole
	ClusterRoleBinding
	Lease
	EventsEvent // events.k8s.io/v1: another face of Event
	PriorityClass
	PodGroup

	lastKind
)

const (
	namespaced = 1 << iota
	status
	scale
)

var (
	infos  = make([]*Info, Count)
	byType = map[reflect.Type]Kind{}
	byGVK  = map[schema.GroupVersionKind]Kind{}
	byGVR  = map[schema.GroupVersionResource]Kind{}
	byName = map[string]Kind{}
)

func init() {
	core := schema.GroupVersion{Version: "v1"}
	apps, batch := appsv1.SchemeGroupVersion, batchv1.SchemeGroupVersion
	net, store, rbac := networkingv1.SchemeGroupVersion, storagev1.SchemeGroupVersion, rbacv1.SchemeGroupVersion
	row := func(k Kind, gv schema.GroupVersion, o Object, plural, short string, flags int) {
		t := reflect.TypeOf(o).Elem()
		i := &Info{Kind: k, GVK: gv.WithKind(t.Name()), Plural: plural, Singular: strings.ToLower(t.Name()), typ: t,
			Namespaced: flags&namespaced != 0, Status: flags&status != 0, Scale: flags&scale != 0}
		if short != "" {
			i.ShortNames = strings.Split(short, ",")
		}
		infos[k], byType[t], byGVK[i.GVK], byGVR[i.GVR()] = i, k, k, k
		for _, n := range append([]string{i.Singular, i.Plural}, i.ShortNames...) {
			if _, taken := byName[n]; !taken {
				byName[n] = k
			}
		}
	}
	row(Namespace, core, &corev1.Namespace{}, "namespaces", "ns", status)
	row(Node, core, &corev1.Node{}, "nodes", "no", status)
	row(Pod, core, &corev1.Pod{}, "pods", "po", namespaced|status)
	row(Service, core, &corev1.Service{}, "services", "svc", namespaced|status)
	row(Endpoints, core, &corev1.Endpoints{}, "endpoints", "ep", namespaced)
	row(ReplicationController, core, &corev1.ReplicationController{}, "replicationcontrollers", "rc", namespaced|status|scale)
	row(ConfigMap, core, &corev1.ConfigMap{}, "configmaps", "cm", namespaced)
	row(Secret, core, &corev1.Secret{}, "secrets", "", namespaced)
	row(ServiceAccount, core, &corev1.ServiceAccount{}, "serviceaccounts", "sa", namespaced)
	row(PersistentVolume, core, &corev1.PersistentVolume{}, "persistentvolumes", "pv", status)
	row(PersistentVolumeClaim, core, &corev1.PersistentVolumeClaim{}, "persistentvolumeclaims", "pvc", namespaced|status)
	row(PodTemplate, core, &corev1.PodTemplate{}, "podtemplates", "", namespaced)
	row(LimitRange, core, &corev1.LimitRange{}, "limitranges", "limits", namespaced)
	row(ResourceQuota, core, &corev1.ResourceQuota{}, "resourcequotas", "quota", namespaced|status)
	row(Event, core, &corev1.Event{}, "events", "ev", namespaced)
	row(Deployment, apps, &appsv1.Deployment{}, "deployments", "deploy", namespaced|status|scale)
	row(ReplicaSet, apps, &appsv1.ReplicaSet{}, "replicasets", "rs", namespaced|status|scale)
	row(StatefulSet, apps, &appsv1.StatefulSet{}, "statefulsets", "sts", namespaced|status|scale)
	row(DaemonSet, apps, &appsv1.DaemonSet{}, "daemonsets", "ds", namespaced|status)
	row(ControllerRevision, apps, &appsv1.ControllerRevision{}, "controllerrevisions", "", namespaced)
	row(Job, batch, &batchv1.Job{}, "jobs", "", namespaced|status)
	row(CronJob, batch, &batchv1.CronJob{}, "cronjobs", "cj", namespaced|status)
	row(HorizontalPodAutoscaler, autoscalingv2.SchemeGroupVersion, &autoscalingv2.HorizontalPodAutoscaler{}, "horizontalpodautoscalers", "hpa", namespaced|status)
	row(PodDisruptionBudget, policyv1.SchemeGroupVersion, &policyv1.PodDisruptionBudget{}, "poddisruptionbudgets", "pdb", namespaced|status)
	row(Ingress, net, &networkingv1.Ingress{}, "ingresses", "ing", namespaced|status)
	row(IngressClass, net, &networkingv1.IngressClass{}, "ingressclasses", "", 0)
	row(NetworkPolicy, net, &networkingv1.NetworkPolicy{}, "networkpolicies", "netpol", namespaced)
	row(IPAddress, net, &networkingv1.IPAddress{}, "ipaddresses", "ip", 0)
	row(ServiceCIDR, net, &networkingv1.ServiceCIDR{}, "servicecidrs", "", status)
	row(EndpointSlice, discoveryv1.SchemeGroupVersion, &discoveryv1.EndpointSlice{}, "endpointslices", "", namespaced)
	row(StorageClass, store, &storagev1.StorageClass{}, "storageclasses", "sc", 0)
	row(VolumeAttachment, store, &storagev1.VolumeAttachment{}, "volumeattachments", "", status)
	row(VolumeAttributesClass, store, &storagev1.VolumeAttributesClass{}, "volumeattributesclasses", "vac", 0)
	row(CSIDriver, store, &storagev1.CSIDriver{}, "csidrivers", "", 0)
	row(CSINode, store, &storagev1.CSINode{}, "csinodes", "", 0)
	row(CSIStorageCapacity, store, &storagev1.CSIStorageCapacity{}, "csistoragecapacities", "", namespaced)
	row(Role, rbac, &rbacv1.Role{}, "roles", "", namespaced)
	row(RoleBinding, rbac, &rbacv1.RoleBinding{}, "rolebindings", "", namespaced)
	row(ClusterRole, rbac, &rbacv1.ClusterRole{}, "clusterroles", "", 0)
	row(ClusterRoleBinding, rbac, &rbacv1.ClusterRoleBinding{}, "clusterrolebindings", "", 0)
	row(Lease, coordinationv1.SchemeGroupVersion, &coordinationv1.Lease{}, "leases", "", namespaced)
	row(EventsEvent, eventsv1.SchemeGroupVersion, &eventsv1.Event{}, "events", "", namespaced)
	row(PriorityClass, schedulingv1.SchemeGroupVersion, &schedulingv1.PriorityClass{}, "priorityclasses", "pc", 0)
	row(PodGroup, schedulingv1beta1.SchemeGroupVersion, &schedulingv1beta1.PodGroup{}, "podgroups", "", namespaced|status)
}
