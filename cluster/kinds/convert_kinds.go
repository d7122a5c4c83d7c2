package kinds

import (
	"math"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	appsv1beta1 "k8s.io/api/apps/v1beta1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	discoveryv1beta1 "k8s.io/api/discovery/v1beta1"
	extensionsv1beta1 "k8s.io/api/extensions/v1beta1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// The defaults below are those of the version they name, which the Kubernetes
// deprecation guide lists as what changed on the way to the stored version:
// https://kubernetes.io/docs/reference/using-api/deprecation-guide/

// fromTemplate gives a workload without labels or selector those of its pods,
// as extensions/v1beta1 and apps/v1beta1 do.
func fromTemplate(meta *metav1.ObjectMeta, selector **metav1.LabelSelector, template *corev1.PodTemplateSpec) {
	labels := template.Labels
	if len(labels) == 0 {
		return
	}
	if *selector == nil {
		*selector = &metav1.LabelSelector{MatchLabels: copyMap(labels)}
	}
	if len(meta.Labels) == 0 {
		meta.Labels = copyMap(labels)
	}
}

func copyMap(m map[string]string) map[string]string {
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

func ptr[T any](v T) *T { return &v }

func setDefault[T any](field **T, v T) {
	if *field == nil {
		c := v // on the heap only if it is needed: &v would always be
		*field = &c
	}
}

func annotate(meta *metav1.ObjectMeta, key, value string) {
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	meta.Annotations[key] = value
}

func convertExtensionsDeployment(from runtime.Object) (Object, error) {
	old := from.(*extensionsv1beta1.Deployment)
	d, err := as[appsv1.Deployment](old)
	if err != nil {
		return nil, err
	}
	oldDeployment(d, intstr.FromInt32(1), math.MaxInt32, math.MaxInt32)
	if r := old.Spec.RollbackTo; r != nil {
		annotate(&d.ObjectMeta, appsv1.DeprecatedRollbackTo, strconv.FormatInt(r.Revision, 10))
	}
	return d, nil
}

func convertDeploymentV1beta1(from runtime.Object) (Object, error) {
	old := from.(*appsv1beta1.Deployment)
	d, err := as[appsv1.Deployment](old)
	if err != nil {
		return nil, err
	}
	oldDeployment(d, intstr.FromString("25%"), 2, 600)
	if r := old.Spec.RollbackTo; r != nil {
		annotate(&d.ObjectMeta, appsv1.DeprecatedRollbackTo, strconv.FormatInt(r.Revision, 10))
	}
	return d, nil
}

// oldDeployment fills in the defaults of the first versions of Deployment: how
// far a rolling update may go, how many old revisions stay, and the seconds
// after which it counts as stuck (the largest number: never).
func oldDeployment(d *appsv1.Deployment, step intstr.IntOrString, history, deadline int32) {
	fromTemplate(&d.ObjectMeta, &d.Spec.Selector, &d.Spec.Template)
	strategy := &d.Spec.Strategy
	if strategy.Type == "" {
		strategy.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		if strategy.RollingUpdate == nil {
			strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		setDefault(&strategy.RollingUpdate.MaxUnavailable, step)
		setDefault(&strategy.RollingUpdate.MaxSurge, step)
	}
	setDefault(&d.Spec.RevisionHistoryLimit, history)
	setDefault(&d.Spec.ProgressDeadlineSeconds, deadline)
}

func convertExtensionsReplicaSet(from runtime.Object) (Object, error) {
	rs, err := as[appsv1.ReplicaSet](from)
	if err != nil {
		return nil, err
	}
	fromTemplate(&rs.ObjectMeta, &rs.Spec.Selector, &rs.Spec.Template)
	return rs, nil
}

func convertExtensionsDaemonSet(from runtime.Object) (Object, error) {
	old := from.(*extensionsv1beta1.DaemonSet)
	ds, err := as[appsv1.DaemonSet](old)
	if err != nil {
		return nil, err
	}
	fromTemplate(&ds.ObjectMeta, &ds.Spec.Selector, &ds.Spec.Template)
	if ds.Spec.UpdateStrategy.Type == "" {
		ds.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
	}
	if g := old.Spec.TemplateGeneration; g != 0 {
		annotate(&ds.ObjectMeta, appsv1.DeprecatedTemplateGeneration, strconv.FormatInt(g, 10))
	}
	return ds, nil
}

func convertStatefulSetV1beta1(from runtime.Object) (Object, error) {
	sts, err := as[appsv1.StatefulSet](from)
	if err != nil {
		return nil, err
	}
	fromTemplate(&sts.ObjectMeta, &sts.Spec.Selector, &sts.Spec.Template)
	if sts.Spec.UpdateStrategy.Type == "" {
		sts.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
	}
	return sts, nil
}

// convertExtensionsIngress goes by way of networking.k8s.io/v1beta1, of which
// extensions/v1beta1 is the same under another name.
func convertExtensionsIngress(from runtime.Object) (Object, error) {
	mid, err := as[networkingv1beta1.Ingress](from)
	if err != nil {
		return nil, err
	}
	return convertIngress(mid)
}

func convertIngress(from runtime.Object) (Object, error) {
	old := from.(*networkingv1beta1.Ingress)
	ing, err := as[networkingv1.Ingress](old)
	if err != nil {
		return nil, err
	}
	if b := old.Spec.Backend; b != nil {
		ing.Spec.DefaultBackend = ptr(ingressBackend(*b))
	}
	for i := range old.Spec.Rules {
		if old.Spec.Rules[i].HTTP == nil {
			continue
		}
		for j := range old.Spec.Rules[i].HTTP.Paths {
			path := &ing.Spec.Rules[i].HTTP.Paths[j]
			path.Backend = ingressBackend(old.Spec.Rules[i].HTTP.Paths[j].Backend)
			setDefault(&path.PathType, networkingv1.PathTypeImplementationSpecific)
		}
	}
	return ing, nil
}

func ingressBackend(old networkingv1beta1.IngressBackend) networkingv1.IngressBackend {
	b := networkingv1.IngressBackend{Resource: old.Resource}
	if old.ServiceName == "" && old.ServicePort == (intstr.IntOrString{}) {
		return b
	}
	b.Service = &networkingv1.IngressServiceBackend{Name: old.ServiceName}
	if old.ServicePort.Type == intstr.String {
		b.Service.Port.Name = old.ServicePort.StrVal
	} else {
		b.Service.Port.Number = old.ServicePort.IntVal
	}
	return b
}

// convertEndpointSlice takes the zone out of the topology labels; the labels
// that have no field of their own stay under deprecatedTopology.
func convertEndpointSlice(from runtime.Object) (Object, error) {
	old := from.(*discoveryv1beta1.EndpointSlice)
	es, err := as[discoveryv1.EndpointSlice](old)
	if err != nil {
		return nil, err
	}
	for i := range old.Endpoints {
		rest := map[string]string{}
		e := &es.Endpoints[i]
		for k, v := range old.Endpoints[i].Topology { //det:ok each key goes to its own place
			switch k {
			case corev1.LabelTopologyZone:
				e.Zone = ptr(v)
			case corev1.LabelHostname:
				setDefault(&e.NodeName, v)
			default:
				rest[k] = v
			}
		}
		if len(rest) > 0 {
			e.DeprecatedTopology = rest
		}
	}
	return es, nil
}

// convertDisruptionBudget keeps the meaning of an empty selector: no pod in
// policy/v1beta1, every pod in policy/v1. The label below is on no pod.
func convertDisruptionBudget(from runtime.Object) (Object, error) {
	pdb, err := as[policyv1.PodDisruptionBudget](from)
	if err != nil {
		return nil, err
	}
	s := pdb.Spec.Selector
	if s != nil && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		s.MatchExpressions = []metav1.LabelSelectorRequirement{{
			Key: "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match", Operator: metav1.LabelSelectorOpExists}}
	}
	return pdb, nil
}

func convertAutoscaler(from runtime.Object) (Object, error) {
	old := from.(*autoscalingv1.HorizontalPodAutoscaler)
	hpa, err := as[autoscalingv2.HorizontalPodAutoscaler](old)
	if err != nil {
		return nil, err
	}
	if t := old.Spec.TargetCPUUtilizationPercentage; t != nil {
		hpa.Spec.Metrics = append(hpa.Spec.Metrics, autoscalingv2.MetricSpec{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: t}},
		})
	}
	if c := old.Status.CurrentCPUUtilizationPercentage; c != nil {
		hpa.Status.CurrentMetrics = append(hpa.Status.CurrentMetrics, autoscalingv2.MetricStatus{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricStatus{Name: corev1.ResourceCPU,
				Current: autoscalingv2.MetricValueStatus{AverageUtilization: c}},
		})
	}
	return hpa, nil
}
