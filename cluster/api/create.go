package api

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/kinds"
)

func resource(k kinds.Kind) schema.GroupResource { return k.Info().GVR().GroupResource() }

func (a *API) create(now time.Time, r Request) (kinds.Object, error) {
	o := r.Object
	if err := a.admitPlace(r.Ref); err != nil {
		return nil, err
	}
	if o.GetResourceVersion() != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	if o.GetName() == "" && o.GetGenerateName() != "" {
		name, err := a.generateName(r)
		if err != nil {
			return nil, err
		}
		o.SetName(name)
		r.Ref.Name = name
	} else if a.store.Get(r.Ref) != nil {
		return nil, apierrors.NewAlreadyExists(resource(r.Ref.Kind), r.Ref.Name)
	}
	o.SetUID(a.uid())
	o.SetCreationTimestamp(metav1.Time{Time: now})
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetGeneration(firstGeneration(r.Ref.Kind))
	resetStatus(r.Ref.Kind, o)
	kinds.Default(o)
	if err := a.admit(now, o); err != nil {
		return nil, err
	}
	if errs := kinds.Validate(o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(r.Ref.Kind.Info().GVK.GroupKind(), o.GetName(), errs)
	}
	return a.insert(r, o)
}

func (a *API) insert(r Request, o kinds.Object) (kinds.Object, error) {
	if svc, ok := o.(*corev1.Service); ok {
		undo, err := a.allocate(svc, nil)
		if err != nil {
			return nil, err
		}
		if r.DryRun {
			undo()
		}
	}
	if r.DryRun {
		return o, nil
	}
	e, err := a.store.Create(o)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return e.Object, nil
}

// admitPlace checks that the request's namespace suits the kind, exists and is not
// going away (admission plug-ins NamespaceExists and NamespaceLifecycle).
func (a *API) admitPlace(ref kinds.Ref) error {
	if !ref.Kind.Info().Namespaced {
		if ref.Namespace != "" {
			return apierrors.NewBadRequest(fmt.Sprintf("%s is not namespaced, but namespace %q was given", ref.Kind, ref.Namespace))
		}
		return nil
	}
	if ref.Namespace == "" {
		return apierrors.NewBadRequest(fmt.Sprintf("%s needs a namespace", ref.Kind))
	}
	ns, _ := a.store.Get(kinds.Ref{Kind: kinds.Namespace, Key: kinds.Key{Name: ref.Namespace}}).(*corev1.Namespace)
	if ns == nil {
		return apierrors.NewNotFound(resource(kinds.Namespace), ref.Namespace)
	}
	if ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating {
		err := apierrors.NewForbidden(resource(ref.Kind), ref.Name,
			fmt.Errorf("unable to create new content in namespace %s because it is being terminated", ref.Namespace))
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: corev1.NamespaceTerminatingCause, Message: fmt.Sprintf("namespace %s is being terminated", ref.Namespace), Field: "metadata.namespace"})
		return err
	}
	return nil
}

// firstGeneration is 1 for the kinds whose spec changes Kubernetes counts.
func firstGeneration(k kinds.Kind) int64 {
	if countsGeneration(k) {
		return 1
	}
	return 0
}

func countsGeneration(k kinds.Kind) bool {
	switch k {
	case kinds.Pod, kinds.ReplicationController, kinds.Deployment, kinds.ReplicaSet, kinds.StatefulSet, kinds.DaemonSet,
		kinds.Job, kinds.CronJob, kinds.PodDisruptionBudget, kinds.Ingress, kinds.IngressClass, kinds.NetworkPolicy,
		kinds.HorizontalPodAutoscaler, kinds.EndpointSlice, kinds.PriorityClass, kinds.PodTemplate, kinds.PodGroup:
		return true
	}
	return false
}

// resetStatus clears what a creator may not set. A node's status is its agent's
// own, given at registration.
func resetStatus(k kinds.Kind, o kinds.Object) {
	switch t := o.(type) {
	case *corev1.Pod:
		t.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: QOSClass(&t.Spec)}
	case *corev1.Node:
	case *corev1.Namespace:
		t.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	default:
		if k.Info().Status {
			clearStatus(o)
		}
	}
}
