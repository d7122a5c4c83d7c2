package replicaset

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/podset"
)

// status is the set's status with the counts of now, and the conditions as they
// were. It asks to look again when the next pod will have been ready for
// minReadySeconds.
func (s *scene) status(now time.Time, p *ctrl.Plan) appsv1.ReplicaSetStatus {
	st := s.rs.Status
	st.Conditions = slices.Clone(st.Conditions)
	st.ObservedGeneration = s.rs.Generation
	if s.c.face.kind == kinds.ReplicaSet {
		terminating := int32(s.pods.Terminating())
		st.TerminatingReplicas = &terminating
	}
	full := labels.SelectorFromSet(s.rs.Spec.Template.Labels)
	fully := func(l map[string]string) bool { return full.Matches(labels.Set(l)) }
	if len(s.released) > 0 || len(s.adopted) > 0 || s.rs.Spec.MinReadySeconds > 0 {
		s.countPods(now, &st, fully, p)
		return st
	}
	st.Replicas = int32(s.pods.Active())
	st.FullyLabeledReplicas = int32(s.pods.ActiveMatching(fully))
	st.ReadyReplicas = int32(s.pods.Ready())
	st.AvailableReplicas = st.ReadyReplicas
	return st
}

func (s *scene) countPods(now time.Time, st *appsv1.ReplicaSetStatus, fully func(map[string]string) bool, p *ctrl.Plan) {
	minReady := time.Duration(s.rs.Spec.MinReadySeconds) * time.Second
	st.Replicas, st.FullyLabeledReplicas, st.ReadyReplicas, st.AvailableReplicas = 0, 0, 0, 0
	for _, pod := range s.active() {
		st.Replicas++
		if fully(pod.Labels) {
			st.FullyLabeledReplicas++
		}
		wait, ready := podset.AvailableIn(pod, minReady, now)
		if !ready {
			continue
		}
		st.ReadyReplicas++
		if wait <= 0 {
			st.AvailableReplicas++
		} else {
			p.LookAgain(wait)
		}
	}
}

// writeStatus plans the status write if anything in it differs.
func (s *scene) writeStatus(p *ctrl.Plan, st appsv1.ReplicaSetStatus) {
	old := s.rs.Status
	if s.c.face.kind == kinds.ReplicaSet && old.TerminatingReplicas == nil {
		old.TerminatingReplicas = new(int32) // unset says as much as zero; no write for that alone
	}
	if !sameStatus(&old, &st) {
		p.Write(api.UpdateStatus(s.c.face.write(s.object, &st)))
	}
}

func sameStatus(a, b *appsv1.ReplicaSetStatus) bool {
	if a.Replicas != b.Replicas || a.FullyLabeledReplicas != b.FullyLabeledReplicas ||
		a.ReadyReplicas != b.ReadyReplicas || a.AvailableReplicas != b.AvailableReplicas ||
		a.ObservedGeneration != b.ObservedGeneration {
		return false
	}
	return equality.Semantic.DeepEqual(a.TerminatingReplicas, b.TerminatingReplicas) &&
		equality.Semantic.DeepEqual(a.Conditions, b.Conditions)
}

func isFailure(c appsv1.ReplicaSetCondition) bool {
	return c.Type == appsv1.ReplicaSetReplicaFailure
}

// setFailure sets the condition ReplicaFailure, unless it stands already: its
// reason and message are those of the first failure, as in Kubernetes.
func setFailure(st *appsv1.ReplicaSetStatus, now time.Time, reason, message string) {
	if slices.ContainsFunc(st.Conditions, isFailure) {
		return
	}
	st.Conditions = append(st.Conditions, appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
		LastTransitionTime: metav1.NewTime(now), Reason: reason, Message: message,
	})
}

// removeFailure takes the condition away: the plan that carries this status
// reaches it only if no write before it failed.
func removeFailure(st *appsv1.ReplicaSetStatus) {
	st.Conditions = slices.DeleteFunc(st.Conditions, isFailure)
}
