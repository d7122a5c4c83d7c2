package deployment

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The reasons of a Deployment's conditions.
const (
	reasonNewSet      = "NewReplicaSetCreated"
	reasonFoundNew    = "FoundNewReplicaSet"
	reasonUpdated     = "ReplicaSetUpdated"
	reasonAvailable   = "NewReplicaSetAvailable"
	reasonTimedOut    = "ProgressDeadlineExceeded"
	reasonPaused      = "DeploymentPaused"
	reasonResumed     = "DeploymentResumed"
	reasonCreateError = "ReplicaSetCreateError"
	reasonMinimum     = "MinimumReplicasAvailable"
	reasonBelow       = "MinimumReplicasUnavailable"
)

func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

func condition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

func newCondition(now time.Time, t appsv1.DeploymentConditionType, s corev1.ConditionStatus, reason, message string) appsv1.DeploymentCondition {
	at := metav1.NewTime(now)
	return appsv1.DeploymentCondition{Type: t, Status: s, Reason: reason, Message: message, LastUpdateTime: at, LastTransitionTime: at}
}

// setCondition sets a condition unless one of equal status and reason stands;
// with an equal status the transition time stays. What was set last comes last.
func setCondition(s *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	if old := condition(s, c.Type); old != nil && old.Status == c.Status {
		if old.Reason == c.Reason {
			return
		}
		c.LastTransitionTime = old.LastTransitionTime
	}
	removeCondition(s, c.Type)
	s.Conditions = append(s.Conditions, c)
}

func removeCondition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) {
	s.Conditions = slices.DeleteFunc(s.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == t })
}

func (t *turn) setProgress(s corev1.ConditionStatus, reason, message string) {
	setCondition(&t.status, newCondition(t.now, appsv1.DeploymentProgressing, s, reason, message))
}

// notePause keeps the condition Progressing in step with spec.paused; a missed
// deadline stays reported.
func (t *turn) notePause() {
	if !hasDeadline(t.d) {
		return
	}
	c := condition(&t.status, appsv1.DeploymentProgressing)
	if c != nil && c.Reason == reasonTimedOut {
		return
	}
	paused := c != nil && c.Reason == reasonPaused
	switch {
	case t.d.Spec.Paused && !paused:
		t.setProgress(corev1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !t.d.Spec.Paused && paused:
		t.setProgress(corev1.ConditionUnknown, reasonResumed, "Deployment is resumed")
	}
}

// plainStatus brings the counts and the condition Available up to date.
func (t *turn) plainStatus() {
	if t.settled {
		return
	}
	s := &t.status
	s.ObservedGeneration = t.d.Generation
	s.Replicas, s.UpdatedReplicas, s.ReadyReplicas, s.AvailableReplicas = 0, 0, 0, 0
	terminating := int32(0) // a set that says nothing has none (upstream says nothing then either)
	for _, x := range t.all {
		st := &x.seen.Status
		s.Replicas += st.Replicas
		s.ReadyReplicas += st.ReadyReplicas
		s.AvailableReplicas += st.AvailableReplicas
		if st.TerminatingReplicas != nil {
			terminating += *st.TerminatingReplicas
		}
	}
	s.TerminatingReplicas = &terminating
	if t.new != nil {
		s.UpdatedReplicas = t.new.seen.Status.Replicas
	}
	s.UnavailableReplicas = max(0, total(t.all)-s.AvailableReplicas)
	if s.AvailableReplicas >= t.bounds.leastAvailable() {
		setCondition(s, newCondition(t.now, appsv1.DeploymentAvailable, corev1.ConditionTrue, reasonMinimum,
			"Deployment has minimum availability."))
	} else {
		setCondition(s, newCondition(t.now, appsv1.DeploymentAvailable, corev1.ConditionFalse, reasonBelow,
			"Deployment does not have minimum availability."))
	}
}

// rolloutStatus is plainStatus and the conditions of a rollout.
func (t *turn) rolloutStatus() {
	if t.settled {
		return
	}
	t.plainStatus()
	s := &t.status
	was := condition(s, appsv1.DeploymentProgressing)
	if !hasDeadline(t.d) {
		removeCondition(s, appsv1.DeploymentProgressing)
	} else if was == nil || was.Reason != reasonAvailable || s.Replicas != s.UpdatedReplicas {
		t.progress(was)
	}
	t.noteFailures()
	t.watchDeadline()
}

func (t *turn) progress(was *appsv1.DeploymentCondition) {
	s := &t.status
	switch {
	case complete(t.d, t.bounds, s):
		t.setProgress(corev1.ConditionTrue, reasonAvailable, t.subject()+" has successfully progressed.")
	case t.progressed():
		c := newCondition(t.now, appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonUpdated, t.subject()+" is progressing.")
		if was != nil && was.Status == corev1.ConditionTrue {
			c.LastTransitionTime = was.LastTransitionTime
		}
		removeCondition(s, appsv1.DeploymentProgressing)
		setCondition(s, c)
	case was != nil && was.Reason != reasonAvailable && (was.Reason == reasonTimedOut || t.now.After(t.deadline(was))):
		t.setProgress(corev1.ConditionFalse, reasonTimedOut, t.subject()+" has timed out progressing.")
	}
}

func (t *turn) subject() string {
	if t.new != nil {
		return fmt.Sprintf("ReplicaSet %q", t.new.seen.Name)
	}
	return fmt.Sprintf("Deployment %q", t.d.Name)
}

func (t *turn) deadline(c *appsv1.DeploymentCondition) time.Time {
	return c.LastUpdateTime.Add(time.Duration(*t.d.Spec.ProgressDeadlineSeconds) * time.Second)
}

// progressed says whether the counts moved in the right direction.
func (t *turn) progressed() bool {
	was, is := &t.d.Status, &t.status
	return is.UpdatedReplicas > was.UpdatedReplicas ||
		is.Replicas-is.UpdatedReplicas < was.Replicas-was.UpdatedReplicas ||
		is.ReadyReplicas > was.ReadyReplicas || is.AvailableReplicas > was.AvailableReplicas
}

// complete says whether the rollout was done by what the status in the view says.
func (t *turn) complete() bool { return complete(t.d, t.bounds, &t.d.Status) }

func complete(d *appsv1.Deployment, b bounds, s *appsv1.DeploymentStatus) bool {
	return s.UpdatedReplicas == b.replicas && s.Replicas == b.replicas && s.AvailableReplicas == b.replicas &&
		s.ObservedGeneration >= d.Generation
}

// noteFailures passes on why sets cannot create pods: the new set's reason first.
func (t *turn) noteFailures() {
	sets := t.all
	if t.new != nil {
		sets = append([]*set{t.new}, t.all...)
	}
	for _, x := range sets {
		for _, c := range x.seen.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				setCondition(&t.status, appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
					LastTransitionTime: c.LastTransitionTime, LastUpdateTime: c.LastTransitionTime,
				})
				return
			}
		}
	}
	removeCondition(&t.status, appsv1.DeploymentReplicaFailure)
}

// watchDeadline asks to look again a second after the progress deadline.
func (t *turn) watchDeadline() {
	c := condition(&t.status, appsv1.DeploymentProgressing)
	if c == nil || !hasDeadline(t.d) || c.Reason == reasonTimedOut || c.Reason == reasonAvailable ||
		complete(t.d, t.bounds, &t.status) {
		return
	}
	t.p.LookAgain(max(0, t.deadline(c).Sub(t.now)) + time.Second)
}

func sameStatus(a, b *appsv1.DeploymentStatus) bool {
	x, y := *a, *b
	if x.TerminatingReplicas == nil && y.TerminatingReplicas != nil && *y.TerminatingReplicas == 0 {
		x.TerminatingReplicas = y.TerminatingReplicas // unset says as much as zero
	}
	return equality.Semantic.DeepEqual(&x, &y)
}

// edited is the writer's copy of the Deployment, for a rollback.
func (t *turn) edited() *appsv1.Deployment {
	if t.newTemplate == nil {
		c := *t.d
		c.Annotations = maps.Clone(c.Annotations)
		t.newTemplate = &c
	}
	return t.newTemplate
}
