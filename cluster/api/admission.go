package api

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// notReadyTolerationSeconds is how long a pod stays on a node that is not ready
// or unreachable unless it says otherwise (admission plug-in
// DefaultTolerationSeconds).
const notReadyTolerationSeconds = 300

// admit lets the built-in admission plug-ins change or refuse a new object, in
// Kubernetes' order: ServiceAccount, DefaultTolerationSeconds, Priority.
func (a *API) admit(_ time.Time, o kinds.Object) error {
	if job, ok := o.(*batchv1.Job); ok {
		selectPodsOf(job)
		return nil
	}
	if g, ok := o.(*schedulingv1beta1.PodGroup); ok {
		_, err := a.priorityOf(kinds.PodGroup, g.Name, &g.Spec.PriorityClassName, &g.Spec.Priority)
		return err
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil
	}
	if pod.Spec.ServiceAccountName == "" {
		pod.Spec.ServiceAccountName = "default"
	}
	if pod.Spec.DeprecatedServiceAccount == "" {
		pod.Spec.DeprecatedServiceAccount = pod.Spec.ServiceAccountName
	}
	if a.accounts {
		if err := a.admitAccount(pod); err != nil {
			return err
		}
	}
	pod.Spec.Tolerations = withDefaultTolerations(pod.Spec.Tolerations)
	mergeLabelKeys(pod)
	return a.admitPriority(pod)
}

// selectPodsOf gives a Job its selector and its template the labels that it selects
// by, unless the user selects by hand
// (kubernetes.io/docs/concepts/workloads/controllers/job/#specifying-your-own-pod-selector).
func selectPodsOf(job *batchv1.Job) {
	if job.Spec.ManualSelector != nil && *job.Spec.ManualSelector {
		return
	}
	uid := string(job.UID)
	labels := make(map[string]string, len(job.Spec.Template.Labels)+4)
	for k, v := range job.Spec.Template.Labels {
		labels[k] = v
	}
	labels[batchv1.JobNameLabel], labels["job-name"] = job.Name, job.Name
	labels[batchv1.ControllerUidLabel], labels["controller-uid"] = uid, uid
	job.Spec.Template.Labels = labels
	if job.Spec.Selector == nil {
		job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batchv1.ControllerUidLabel: uid}}
	}
}

// withDefaultTolerations is DefaultTolerationSeconds, for a new pod and for each update:
// who replaces a pod's tolerations by others keeps these
// (kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#defaulttolerationseconds).
func withDefaultTolerations(given []corev1.Toleration) []corev1.Toleration {
	tolerates := func(key string) bool {
		for _, t := range given {
			if (t.Key == key || t.Key == "" && t.Operator == corev1.TolerationOpExists) &&
				(t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
				return true
			}
		}
		return false
	}
	notReady, unreachable := tolerates(corev1.TaintNodeNotReady), tolerates(corev1.TaintNodeUnreachable)
	if notReady && unreachable {
		return given
	}
	out := make([]corev1.Toleration, len(given), len(given)+2)
	copy(out, given)
	for _, t := range []struct {
		has bool
		key string
	}{{notReady, corev1.TaintNodeNotReady}, {unreachable, corev1.TaintNodeUnreachable}} {
		if !t.has {
			seconds := int64(notReadyTolerationSeconds)
			out = append(out, corev1.Toleration{Key: t.key, Operator: corev1.TolerationOpExists,
				Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds})
		}
	}
	return out
}

// systemPriorities are the two classes that every cluster has.
func systemPriority(class string) (int32, bool) {
	switch class {
	case "system-cluster-critical":
		return 2000000000, true
	case "system-node-critical":
		return 2000001000, true
	}
	return 0, false
}

// admitPriority resolves a pod's priorityClassName, or takes the cluster's default class.
func (a *API) admitPriority(pod *corev1.Pod) error {
	preempt, err := a.priorityOf(kinds.Pod, pod.Name, &pod.Spec.PriorityClassName, &pod.Spec.Priority)
	if err == nil && pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = &preempt
	}
	return err
}

// priorityOf sets the name of a priority class and its value, and says whether it may
// preempt.
func (a *API) priorityOf(k kinds.Kind, owner string, class *string, priority **int32) (preempt corev1.PreemptionPolicy, err error) {
	preempt = corev1.PreemptLowerPriority
	var value int32
	if name := *class; name != "" {
		v, system := systemPriority(name)
		pc, _ := a.store.Get(kinds.Ref{Kind: kinds.PriorityClass, Key: kinds.Key{Name: name}}).(*schedulingv1.PriorityClass)
		switch {
		case pc != nil:
			v = pc.Value
			if pc.PreemptionPolicy != nil {
				preempt = *pc.PreemptionPolicy
			}
		case !system:
			return "", apierrors.NewForbidden(resource(k), owner, fmt.Errorf("no PriorityClass with name %v was found", name))
		}
		value = v
	} else if a.store.Len(kinds.PriorityClass) > 0 {
		for o := range a.store.List(kinds.PriorityClass, "") {
			if pc := o.(*schedulingv1.PriorityClass); pc.GlobalDefault && (*class == "" || pc.Value < value) {
				*class, value = pc.Name, pc.Value
				if pc.PreemptionPolicy != nil {
					preempt = *pc.PreemptionPolicy
				}
			}
		}
	}
	if p := *priority; p != nil && *p != value {
		return "", apierrors.NewForbidden(resource(k), owner,
			fmt.Errorf("the integer value of priority (%d) must not be provided in %s spec; priority admission controller computed %d from the given PriorityClass name", *p, k.Lower(), value))
	}
	*priority = &value
	return preempt, nil
}
