package api

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

func (a *API) update(now time.Time, r Request) (kinds.Object, error) {
	old, err := a.find(r)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Subresource == SubStatus:
		return a.updateStatus(r, old)
	case r.Subresource == SubFinalize:
		return a.finalize(r, old)
	case r.Subresource == SubEphemeral || r.Subresource == SubResize:
		pod, ok := old.(*corev1.Pod)
		if !ok {
			return nil, apierrors.NewMethodNotSupported(resource(r.Ref.Kind), "update "+r.Subresource)
		}
		return a.updatePodPart(r, pod)
	}
	return a.updateObject(now, r, old)
}

func (a *API) updateStatus(r Request, old kinds.Object) (kinds.Object, error) {
	if !r.Ref.Kind.Info().Status {
		return nil, apierrors.NewMethodNotSupported(resource(r.Ref.Kind), "update status")
	}
	o := shallow(old)
	copyStatus(o, r.Object)
	if r.Owners { // it came over HTTP, where metadata comes with the status
		o.SetManagedFields(r.Object.GetManagedFields())
		metaOfStatus(o, r.Object)
		if errs := kinds.ValidateUpdate(o, old); len(errs) > 0 {
			return nil, apierrors.NewInvalid(r.Ref.Kind.Info().GVK.GroupKind(), r.Ref.Name, errs)
		}
	}
	if old, ok := old.(*corev1.Pod); ok {
		o := any(o).(*corev1.Pod)
		if o.Status.QOSClass == "" {
			o.Status.QOSClass = old.Status.QOSClass
		}
		return a.replace(o, r.DryRun) // its agent never writes the same status twice
	}
	if sameObject(old, o) {
		return old, nil
	}
	if errs := kinds.ValidateUpdate(o, old); len(errs) > 0 {
		return nil, apierrors.NewInvalid(r.Ref.Kind.Info().GVK.GroupKind(), r.Ref.Name, errs)
	}
	return a.replace(o, r.DryRun)
}

// metaOfStatus takes over what a writer of a status may change besides: annotations
// and labels, but not the labels of a Deployment, and nothing of a VolumeAttachment
// (PrepareForUpdate of the status strategies below pkg/registry in k8s.io/kubernetes).
func metaOfStatus(o, from kinds.Object) {
	switch o.(type) {
	case *storagev1.VolumeAttachment:
		return
	case *appsv1.Deployment:
	default:
		o.SetLabels(from.GetLabels())
	}
	o.SetAnnotations(from.GetAnnotations())
}

func (a *API) updateObject(now time.Time, r Request, old kinds.Object) (kinds.Object, error) {
	o := r.Object
	keepMeta(o, old)
	if !r.Owners {
		o.SetManagedFields(old.GetManagedFields())
	}
	if r.Ref.Kind.Info().Status {
		copyStatus(o, old)
	}
	if ns, ok := o.(*corev1.Namespace); ok { // spec.finalizers change only through finalize
		ns.Spec.Finalizers = old.(*corev1.Namespace).Spec.Finalizers
	}
	if svc, ok := o.(*corev1.Service); ok {
		inheritAddresses(svc, old.(*corev1.Service))
	}
	if pod, ok := o.(*corev1.Pod); ok {
		pod.Spec.Tolerations = withDefaultTolerations(pod.Spec.Tolerations)
	}
	kinds.Default(o)
	if errs := kinds.ValidateUpdate(o, old); len(errs) > 0 {
		return nil, apierrors.NewInvalid(r.Ref.Kind.Info().GVK.GroupKind(), r.Ref.Name, errs)
	}
	if sameObject(old, o) {
		return old, nil
	}
	if countsGeneration(r.Ref.Kind) && !sameSpec(old, o) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	if svc, ok := o.(*corev1.Service); ok {
		undo, err := a.allocate(svc, old.(*corev1.Service))
		if err != nil {
			return nil, err
		}
		if r.DryRun {
			undo()
		}
	}
	if gone(o) && !r.DryRun {
		return a.remove(r.Ref, o)
	}
	return a.replace(o, r.DryRun)
}

// keepMeta restores what a writer of the whole object may not change.
func keepMeta(o, old kinds.Object) {
	o.SetUID(old.GetUID())
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	o.SetGeneration(old.GetGeneration())
	o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	o.SetResourceVersion(old.GetResourceVersion())
	o.SetGenerateName(old.GetGenerateName())
}

// gone says whether an object only waited for its last finalizer, which is no
// longer there. A pod on a node waits for its agent besides.
func gone(o kinds.Object) bool {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) > 0 {
		return false
	}
	switch t := o.(type) {
	case *corev1.Namespace:
		return len(t.Spec.Finalizers) == 0
	case *corev1.Pod:
		return t.DeletionGracePeriodSeconds == nil || *t.DeletionGracePeriodSeconds == 0
	}
	return true
}

// finalize replaces the spec.finalizers of a namespace; the last one removed, the
// namespace goes.
func (a *API) finalize(r Request, old kinds.Object) (kinds.Object, error) {
	was, ok := old.(*corev1.Namespace)
	if !ok {
		return nil, apierrors.NewMethodNotSupported(resource(r.Ref.Kind), "update finalize")
	}
	ns := shallow(was)
	if r.Owners {
		ns.ManagedFields = r.Object.GetManagedFields()
	}
	ns.Spec.Finalizers = r.Object.(*corev1.Namespace).Spec.Finalizers
	if gone(ns) && !r.DryRun {
		return a.remove(r.Ref, ns)
	}
	return a.replace(ns, r.DryRun)
}

// bind assigns a pod to a node, as the scheduler asks.
func (a *API) bind(now time.Time, r Request) (kinds.Object, error) {
	o, err := a.find(r)
	if err != nil {
		return nil, err
	}
	old, ok := o.(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewMethodNotSupported(resource(r.Ref.Kind), "bind")
	}
	conflict := func(why string) error {
		return apierrors.NewConflict(resource(kinds.Pod), old.Name, errorString(why))
	}
	switch {
	case r.Node == "":
		return nil, apierrors.NewBadRequest("binding names no node")
	case old.DeletionTimestamp != nil:
		return nil, conflict("pod " + old.Name + " is being deleted, cannot be assigned to a host")
	case old.Spec.NodeName != "":
		return nil, conflict("pod " + old.Name + " is already assigned to node \"" + old.Spec.NodeName + "\"")
	case len(old.Spec.SchedulingGates) != 0:
		return nil, conflict("pod " + old.Name + " has non-empty .spec.schedulingGates")
	}
	pod := shallow(old)
	pod.Spec.NodeName = r.Node
	pod.Status.Conditions = withCondition(old.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Time{Time: now}})
	return a.replace(pod, r.DryRun)
}

type errorString string

func (e errorString) Error() string { return string(e) }

// withCondition returns a new list in which c stands in the place of the condition
// of its type.
func withCondition(list []corev1.PodCondition, c corev1.PodCondition) []corev1.PodCondition {
	out := make([]corev1.PodCondition, 0, len(list)+4)
	found := false
	for _, x := range list {
		if x.Type == c.Type {
			x, found = c, true
		}
		out = append(out, x)
	}
	if !found {
		out = append(out, c)
	}
	return out
}
