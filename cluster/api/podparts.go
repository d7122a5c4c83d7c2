package api

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/kinds"
)

// The parts of a pod's spec that change after its creation, each by a subresource of
// its own.
const (
	SubEphemeral = "ephemeralcontainers" // containers to look into a running pod with; they are only added
	SubResize    = "resize"              // the resources of containers
)

// updatePodPart carries out an update of one of the parts.
func (a *API) updatePodPart(r Request, old *corev1.Pod) (kinds.Object, error) {
	want := r.Object.(*corev1.Pod)
	pod := shallow(old)
	if r.Owners {
		pod.ManagedFields = want.ManagedFields
	}
	var errs field.ErrorList
	if r.Subresource == SubEphemeral {
		pod.Spec.EphemeralContainers = want.Spec.EphemeralContainers
		errs = onlyAdded(want.Spec.EphemeralContainers, old.Spec.EphemeralContainers)
	} else {
		pod.Spec.Containers, errs = resized(old.Spec.Containers, want.Spec.Containers, field.NewPath("spec", "containers"))
		var more field.ErrorList
		pod.Spec.InitContainers, more = resized(old.Spec.InitContainers, want.Spec.InitContainers, field.NewPath("spec", "initContainers"))
		errs = append(errs, more...)
		if len(errs) == 0 && QOSClass(&pod.Spec) != old.Status.QOSClass && old.Status.QOSClass != "" {
			errs = append(errs, field.Invalid(field.NewPath("spec"), old.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
		}
	}
	if len(errs) == 0 {
		kinds.Default(pod)
		errs = kinds.Validate(pod)
	}
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(r.Ref.Kind.Info().GVK.GroupKind(), r.Ref.Name, errs)
	}
	if equality.Semantic.DeepEqual(&pod.Spec, &old.Spec) {
		return old, nil
	}
	pod.Generation++
	return a.replace(pod, r.DryRun)
}

// onlyAdded: an ephemeral container once there stays as it is.
// Source: https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
func onlyAdded(want, have []corev1.EphemeralContainer) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("spec", "ephemeralContainers")
	for i := range have {
		found := -1
		for j := range want {
			if want[j].Name == have[i].Name {
				found = j
			}
		}
		switch {
		case found < 0:
			errs = append(errs, field.Forbidden(at, fmt.Sprintf("existing ephemeral containers %q may not be removed", have[i].Name)))
		case !equality.Semantic.DeepEqual(&want[found], &have[i]):
			errs = append(errs, field.Forbidden(at.Index(found), fmt.Sprintf("existing ephemeral containers %q may not be changed", have[i].Name)))
		}
	}
	return errs
}

// resized is the containers with the resources and resize policies that were asked
// for; nothing else of them may differ.
// Source: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
func resized(have, want []corev1.Container, at *field.Path) ([]corev1.Container, field.ErrorList) {
	if len(have) != len(want) {
		return have, field.ErrorList{field.Forbidden(at, "containers may not be added or removed on resize")}
	}
	out := make([]corev1.Container, len(have))
	for i := range have {
		out[i] = have[i]
		out[i].Resources, out[i].ResizePolicy = want[i].Resources, want[i].ResizePolicy
		if out[i].Name != want[i].Name {
			return have, field.ErrorList{field.Forbidden(at.Index(i).Child("name"), "only cpu and memory resources are mutable")}
		}
	}
	return out, nil
}
