package kinds

import (
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// NewOf returns a new empty object of a type that Decode accepts: of a kind of the
// table, or of an old version of one; nil for any other type.
func NewOf(gvk schema.GroupVersionKind) runtime.Object {
	if k, ok := ByGVK(gvk); ok {
		return k.Info().New()
	}
	if old, ok := oldVersions[gvk]; ok {
		return old.empty()
	}
	return nil
}

// ToStorage converts an object of an old version to the kind it is stored as. It
// may change what it is given. The warning is Kubernetes' for a deprecated version.
func ToStorage(gvk schema.GroupVersionKind, from runtime.Object) (o Object, warning string, err error) {
	old, ok := oldVersions[gvk]
	if !ok {
		return nil, "", fmt.Errorf("%s is not an old version of a kind", gvk)
	}
	warning = deprecation(gvk, from, old.to)
	if o, err = old.convert(from); err != nil {
		return nil, warning, err
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return o, warning, nil
}

// Deprecation is the warning for the use of an old version; empty for a version
// that is served as good as new.
func Deprecation(gvk schema.GroupVersionKind) string {
	old, ok := oldVersions[gvk]
	if !ok {
		return ""
	}
	return deprecation(gvk, old.empty(), old.to)
}

// FromStorage shows a stored object in an old version of its kind, with
// apiVersion and kind set. What the old version cannot say is left out.
func FromStorage(o Object, gvk schema.GroupVersionKind) (runtime.Object, error) {
	old, ok := oldVersions[gvk]
	if !ok {
		return nil, fmt.Errorf("%s is not an old version of a kind", gvk)
	}
	to := old.empty()
	if err := reshape(o, to); err != nil {
		return nil, err
	}
	switch o := o.(type) {
	case *networkingv1.Ingress:
		mid := new(networkingv1beta1.Ingress)
		if err := reshape(o, mid); err != nil {
			return nil, err
		}
		backToIngressV1beta1(mid, o)
		if err := reshape(mid, to); err != nil {
			return nil, err
		}
	case *autoscalingv2.HorizontalPodAutoscaler:
		if hpa, ok := to.(*autoscalingv1.HorizontalPodAutoscaler); ok {
			backToAutoscalerV1(hpa, o)
		}
	}
	to.GetObjectKind().SetGroupVersionKind(gvk)
	return to, nil
}

func backToIngressV1beta1(to *networkingv1beta1.Ingress, from *networkingv1.Ingress) {
	if b := from.Spec.DefaultBackend; b != nil {
		to.Spec.Backend = ptr(backToBackend(*b))
	}
	for i := range from.Spec.Rules {
		if from.Spec.Rules[i].HTTP == nil {
			continue
		}
		for j := range from.Spec.Rules[i].HTTP.Paths {
			to.Spec.Rules[i].HTTP.Paths[j].Backend = backToBackend(from.Spec.Rules[i].HTTP.Paths[j].Backend)
		}
	}
}

func backToBackend(b networkingv1.IngressBackend) networkingv1beta1.IngressBackend {
	old := networkingv1beta1.IngressBackend{Resource: b.Resource}
	if b.Service != nil {
		old.ServiceName = b.Service.Name
		old.ServicePort = intstr.FromInt32(b.Service.Port.Number)
		if b.Service.Port.Name != "" {
			old.ServicePort = intstr.FromString(b.Service.Port.Name)
		}
	}
	return old
}

// backToAutoscalerV1 keeps the one metric that autoscaling/v1 knows.
func backToAutoscalerV1(to *autoscalingv1.HorizontalPodAutoscaler, from *autoscalingv2.HorizontalPodAutoscaler) {
	for _, m := range from.Spec.Metrics {
		if m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU {
			to.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
		}
	}
	for _, m := range from.Status.CurrentMetrics {
		if m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU {
			to.Status.CurrentCPUUtilizationPercentage = m.Resource.Current.AverageUtilization
		}
	}
}
