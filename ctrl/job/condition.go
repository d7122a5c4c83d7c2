package job

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func condition(s *batchv1.JobStatus, t batchv1.JobConditionType) *batchv1.JobCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

func isTrue(s *batchv1.JobStatus, t batchv1.JobConditionType) bool {
	c := condition(s, t)
	return c != nil && c.Status == corev1.ConditionTrue
}

// ended says whether the Job is over.
func ended(s *batchv1.JobStatus) bool {
	return isTrue(s, batchv1.JobComplete) || isTrue(s, batchv1.JobFailed)
}

// ending is the condition that the Job is about to end with, or nil.
func ending(s *batchv1.JobStatus) *batchv1.JobCondition {
	for _, t := range []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if isTrue(s, t) {
			return condition(s, t)
		}
	}
	return nil
}

// setCondition sets a condition and says whether its status is new.
func (t *turn) setCondition(typ batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string) bool {
	at := metav1.NewTime(t.now)
	c := batchv1.JobCondition{Type: typ, Status: status, Reason: reason, Message: message, LastProbeTime: at, LastTransitionTime: at}
	old := condition(&t.status, typ)
	switch {
	case old == nil:
		t.status.Conditions = append(t.status.Conditions, c)
	case old.Status == status:
		return false
	default:
		*old = c
	}
	return true
}
