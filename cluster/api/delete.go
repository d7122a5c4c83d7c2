package api

import (
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/kinds"
)

func (a *API) delete(now time.Time, r Request) (kinds.Object, error) {
	old, err := a.find(r)
	if err != nil {
		return nil, err
	}
	if pod, ok := old.(*corev1.Pod); ok {
		return a.deletePod(now, r, pod)
	}
	o := shallow(old)
	setDeletionFinalizer(o, r.Propagation)
	if ns, ok := o.(*corev1.Namespace); ok {
		return a.deleteNamespace(now, r, old, ns)
	}
	if len(o.GetFinalizers()) == 0 {
		return a.removeUnless(r, o)
	}
	if old.GetDeletionTimestamp() != nil && slices.Equal(old.GetFinalizers(), o.GetFinalizers()) {
		return old, nil
	}
	markDeleted(o, old, now, 0)
	return a.replace(o, r.DryRun)
}

// deleteNamespace refuses for the namespaces that a cluster cannot be without
// (kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#namespacelifecycle).
func (a *API) deleteNamespace(now time.Time, r Request, old kinds.Object, ns *corev1.Namespace) (kinds.Object, error) {
	switch ns.Name {
	case metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic:
		return nil, apierrors.NewForbidden(corev1.Resource("namespaces"), ns.Name, errors.New("this namespace may not be deleted"))
	}
	if len(ns.Finalizers) == 0 && len(ns.Spec.Finalizers) == 0 {
		return a.removeUnless(r, ns)
	}
	if old.GetDeletionTimestamp() != nil {
		return old, nil
	}
	markDeleted(ns, old, now, 0)
	ns.Status.Phase = corev1.NamespaceTerminating
	return a.replace(ns, r.DryRun)
}

// deletePod deletes a pod gracefully: one that runs on a node gets a deletion time
// and its agent removes it; any other goes at once
// (kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination).
func (a *API) deletePod(now time.Time, r Request, old *corev1.Pod) (kinds.Object, error) {
	pod := shallow(old)
	setDeletionFinalizer(pod, r.Propagation)
	grace := r.Grace
	switch {
	case grace < 0 && old.DeletionGracePeriodSeconds != nil:
		grace = *old.DeletionGracePeriodSeconds
	case grace < 0:
		grace = corev1.DefaultTerminationGracePeriodSeconds
		if s := old.Spec.TerminationGracePeriodSeconds; s != nil {
			grace = *s
		}
	}
	finished := old.Status.Phase == corev1.PodSucceeded || old.Status.Phase == corev1.PodFailed
	if old.Spec.NodeName == "" || finished {
		grace = 0
	}
	if grace == 0 && len(pod.Finalizers) == 0 {
		return a.removeUnless(r, pod)
	}
	if was := old.DeletionGracePeriodSeconds; old.DeletionTimestamp != nil && was != nil && grace >= *was &&
		slices.Equal(old.Finalizers, pod.Finalizers) {
		return old, nil
	}
	markDeleted(pod, old, now, grace)
	return a.replace(pod, r.DryRun)
}

// markDeleted sets the deletion time of an object that must still wait.
func markDeleted(o, old kinds.Object, now time.Time, grace int64) {
	at := now
	if was := old.GetDeletionTimestamp(); was != nil && old.GetDeletionGracePeriodSeconds() != nil { // a shorter grace moves the end nearer
		at = was.Add(-time.Duration(*old.GetDeletionGracePeriodSeconds()) * time.Second)
	}
	o.SetDeletionTimestamp(stamp(at.Add(time.Duration(grace) * time.Second)))
	o.SetDeletionGracePeriodSeconds(&grace)
	if old.GetGeneration() > 0 {
		o.SetGeneration(old.GetGeneration() + 1)
	}
}

// setDeletionFinalizer turns the propagation asked for into the finalizer that the
// garbage collector works on. Background is the default of every kind.
func setDeletionFinalizer(o kinds.Object, p metav1.DeletionPropagation) {
	if p == "" {
		return
	}
	want := ""
	switch p {
	case metav1.DeletePropagationForeground:
		want = metav1.FinalizerDeleteDependents
	case metav1.DeletePropagationOrphan:
		want = metav1.FinalizerOrphanDependents
	}
	fins := slices.DeleteFunc(slices.Clone(o.GetFinalizers()), func(f string) bool {
		return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
	})
	if want != "" {
		fins = append(fins, want)
	}
	o.SetFinalizers(fins)
}

func (a *API) removeUnless(r Request, o kinds.Object) (kinds.Object, error) {
	if r.DryRun {
		return o, nil
	}
	return a.remove(r.Ref, o)
}

// remove takes an object out of the store and gives back what it had been
// allocated.
func (a *API) remove(ref kinds.Ref, last kinds.Object) (kinds.Object, error) {
	e, err := a.store.Delete(ref, last, 0)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	switch o := e.Object.(type) {
	case *corev1.Service:
		a.ips.release(o)
		a.ports.release(o)
	case *corev1.Namespace:
		a.dropEvents(o.Name)
	}
	return e.Object, nil
}

// evict deletes a pod unless a disruption budget forbids it now, which is a 429
// (kubernetes.io/docs/concepts/scheduling-eviction/api-eviction).
func (a *API) evict(now time.Time, r Request) (kinds.Object, error) {
	o, err := a.find(r)
	if err != nil {
		return nil, err
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil, apierrors.NewMethodNotSupported(resource(r.Ref.Kind), "evict")
	}
	counts := pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil
	if counts {
		if err := a.spendBudget(now, pod, r.DryRun); err != nil {
			return nil, err
		}
	}
	if !r.DryRun && pod.DeletionTimestamp == nil {
		marked := shallow(pod)
		marked.Status.Conditions = withCondition(pod.Status.Conditions, corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
			Message: "Eviction API: evicting", LastTransitionTime: metav1.Time{Time: now}})
		if o, err = a.replace(marked, false); err != nil {
			return nil, err
		}
		pod = o.(*corev1.Pod)
	}
	r.Subresource, r.Verb = "", VerbDelete
	return a.deletePod(now, r, pod)
}

// budgetRetrySeconds is when an eviction may be tried again that came before the
// budget's controller.
const budgetRetrySeconds = 10

// spendBudget finds the pod's disruption budget and takes one disruption from it.
func (a *API) spendBudget(now time.Time, pod *corev1.Pod, dryRun bool) error {
	var budget *policyv1.PodDisruptionBudget
	for o := range a.store.List(kinds.PodDisruptionBudget, pod.Namespace) {
		b := o.(*policyv1.PodDisruptionBudget)
		sel, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err != nil || !sel.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if budget != nil {
			return apierrors.NewInternalError(fmt.Errorf("this pod has more than one PodDisruptionBudget, which the eviction subresource does not support"))
		}
		budget = b
	}
	if budget == nil {
		return nil
	}
	if budget.Status.ObservedGeneration < budget.Generation { // its controller has not seen it
		err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", budgetRetrySeconds)
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: policyv1.DisruptionBudgetCause, Message: fmt.Sprintf("The disruption budget %s is still being processed by the server.", budget.Name)})
		return err
	}
	if budget.Status.DisruptionsAllowed <= 0 {
		err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
		err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: policyv1.DisruptionBudgetCause, Message: fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently",
				budget.Name, budget.Status.DesiredHealthy, budget.Status.CurrentHealthy)})
		return err
	}
	b := shallow(budget)
	b.Status.DisruptionsAllowed--
	disrupted := make(map[string]metav1.Time, len(budget.Status.DisruptedPods)+1)
	for name, at := range budget.Status.DisruptedPods {
		disrupted[name] = at
	}
	disrupted[pod.Name] = metav1.Time{Time: now}
	b.Status.DisruptedPods = disrupted
	_, err := a.replace(b, dryRun)
	return err
}
