package disruption

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/podset"
)

const component = "controllermanager" // as Kubernetes' disruption controller signs its events

// deletionMax is how long a pod may take to go after its eviction was allowed.
const deletionMax = 2 * time.Minute

// Controller is the disruption controller.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "disruption-controller".
func (*Controller) Name() string { return "disruption-controller" }

// Kinds are budgets and pods.
func (*Controller) Kinds() []kinds.Kind { return []kinds.Kind{kinds.PodDisruptionBudget, kinds.Pod} }

// Keys asks for a budget when it or a pod that it selects, or selected, changed.
func (*Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Ref.Kind == kinds.PodDisruptionBudget {
		if e.Type != store.Deleted {
			add(e.Ref)
		}
		return
	}
	var old, now *corev1.Pod
	if e.Old != nil {
		old = e.Old.(*corev1.Pod)
	}
	if e.Type != store.Deleted {
		now = e.Object.(*corev1.Pod)
	}
	if !podset.Changed(old, now) {
		return
	}
	seen := map[string]bool{}
	for _, p := range []*corev1.Pod{old, now} {
		if p == nil {
			continue
		}
		for _, b := range v.BudgetsOf(p.Namespace, p.Labels) {
			if !seen[b.Name] {
				seen[b.Name] = true
				add(kinds.RefOf(b))
			}
		}
	}
}

// Reconcile brings one budget's status up to date.
func (*Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	b := view.Get[*policyv1.PodDisruptionBudget](v, kinds.PodDisruptionBudget, key.Key)
	if b == nil || b.DeletionTimestamp != nil {
		return p
	}
	pods := podsOf(v, b)
	if len(pods) == 0 && b.Status.ObservedGeneration != b.Generation {
		p.Note(api.Normal(b, component, "NoPods", "No matching pods found"))
	}
	status := *b.Status.DeepCopy()
	status.DisruptedPods = disrupted(now, b, pods, &p)
	expected, desired, err := expectations(v, b, pods, &p)
	if err != nil {
		if condition(&b.Status).Reason != policyv1.SyncFailedReason {
			p.Note(api.Warning(b, component, "CalculateExpectedPodCountFailed", fmt.Sprintf("Failed to calculate the number of expected pods: %v", err)))
		}
		status.DisruptionsAllowed = 0
		setCondition(&status, b, now, policyv1.SyncFailedReason, err.Error())
	} else {
		healthy := int32(0)
		for _, pod := range pods {
			if _, leaving := status.DisruptedPods[pod.Name]; !leaving && pod.DeletionTimestamp == nil && view.Ready(pod) {
				healthy++
			}
		}
		status.CurrentHealthy, status.DesiredHealthy, status.ExpectedPods = healthy, desired, expected
		status.DisruptionsAllowed = 0
		reason := policyv1.InsufficientPodsReason
		if expected > 0 && healthy > desired {
			status.DisruptionsAllowed, reason = healthy-desired, policyv1.SufficientPodsReason
		}
		setCondition(&status, b, now, reason, "")
	}
	status.ObservedGeneration = b.Generation
	if !equality.Semantic.DeepEqual(&b.Status, &status) {
		c := *b
		c.Status = status
		p.Write(api.UpdateStatus(&c))
	}
	return p
}

// podsOf are the pods that a budget selects. No selector selects none, an
// empty one all.
func podsOf(v *view.View, b *policyv1.PodDisruptionBudget) (out []*corev1.Pod) {
	if b.Spec.Selector == nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
	if err != nil {
		return nil
	}
	for pod := range v.PodsSelected(b.Namespace, b.Spec.Selector.MatchLabels) {
		if selector.Matches(labels.Set(pod.Labels)) {
			out = append(out, pod)
		}
	}
	return out
}

// disrupted are the pods whose eviction was allowed and that are not gone yet. One
// that takes too long is forgotten, and told of.
func disrupted(now time.Time, b *policyv1.PodDisruptionBudget, pods []*corev1.Pod, p *ctrl.Plan) map[string]metav1.Time {
	out := map[string]metav1.Time{}
	for _, pod := range pods {
		at, ok := b.Status.DisruptedPods[pod.Name]
		if !ok || pod.DeletionTimestamp != nil {
			continue
		}
		if wait := at.Add(deletionMax).Sub(now); wait > 0 {
			out[pod.Name] = at
			p.LookAgain(wait)
			continue
		}
		p.Note(api.Warning(pod, component, "NotDeleted",
			fmt.Sprintf("Pod was expected by PDB %s/%s to be deleted but it wasn't", b.Namespace, b.Name)))
	}
	return out
}

func condition(s *policyv1.PodDisruptionBudgetStatus) (c metav1.Condition) {
	for _, x := range s.Conditions {
		if x.Type == policyv1.DisruptionAllowedCondition {
			return x
		}
	}
	return c
}

// setCondition sets the condition DisruptionAllowed by the number in the status.
func setCondition(s *policyv1.PodDisruptionBudgetStatus, b *policyv1.PodDisruptionBudget, now time.Time, reason, message string) {
	c := metav1.Condition{
		Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: reason, Message: message,
		ObservedGeneration: b.Generation, LastTransitionTime: metav1.NewTime(now),
	}
	if s.DisruptionsAllowed > 0 {
		c.Status = metav1.ConditionTrue
	}
	for i := range s.Conditions {
		if old := &s.Conditions[i]; old.Type == c.Type {
			if old.Status == c.Status {
				c.LastTransitionTime = old.LastTransitionTime
			}
			*old = c
			return
		}
	}
	s.Conditions = append(s.Conditions, c)
}
