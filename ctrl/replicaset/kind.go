package replicaset

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// face is how one of the two kinds looks as a ReplicaSet.
type face struct {
	kind       kinds.Kind
	controller string
	// read returns the object, and it as a ReplicaSet: read only. It returns nil
	// for a key that does not exist.
	read func(kinds.Object) *appsv1.ReplicaSet
	// write returns a copy of the object with the ReplicaSet's status. The copy
	// shares all but the status with the object: a status write changes nothing
	// else.
	write func(kinds.Object, *appsv1.ReplicaSetStatus) kinds.Object
}

func replicaSetFace() face {
	return face{
		kind: kinds.ReplicaSet, controller: "replicaset-controller",
		read: func(o kinds.Object) *appsv1.ReplicaSet { return o.(*appsv1.ReplicaSet) },
		write: func(o kinds.Object, s *appsv1.ReplicaSetStatus) kinds.Object {
			c := *o.(*appsv1.ReplicaSet)
			c.Status = *s
			return &c
		},
	}
}

func replicationControllerFace() face {
	return face{
		kind: kinds.ReplicationController, controller: "replication-controller",
		read: readReplicationController, write: writeReplicationController,
	}
}

func readReplicationController(o kinds.Object) *appsv1.ReplicaSet {
	rc := o.(*corev1.ReplicationController)
	rs := &appsv1.ReplicaSet{
		ObjectMeta: rc.ObjectMeta,
		Spec: appsv1.ReplicaSetSpec{
			Replicas: rc.Spec.Replicas, MinReadySeconds: rc.Spec.MinReadySeconds,
			Selector: &metav1.LabelSelector{MatchLabels: rc.Spec.Selector},
		},
		Status: appsv1.ReplicaSetStatus{
			Replicas: rc.Status.Replicas, FullyLabeledReplicas: rc.Status.FullyLabeledReplicas,
			ReadyReplicas: rc.Status.ReadyReplicas, AvailableReplicas: rc.Status.AvailableReplicas,
			ObservedGeneration: rc.Status.ObservedGeneration,
		},
	}
	if rc.Spec.Template != nil {
		rs.Spec.Template = *rc.Spec.Template
	}
	for _, c := range rc.Status.Conditions {
		rs.Status.Conditions = append(rs.Status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return rs
}

func writeReplicationController(o kinds.Object, s *appsv1.ReplicaSetStatus) kinds.Object {
	c := *o.(*corev1.ReplicationController)
	c.Status = corev1.ReplicationControllerStatus{
		Replicas: s.Replicas, FullyLabeledReplicas: s.FullyLabeledReplicas,
		ReadyReplicas: s.ReadyReplicas, AvailableReplicas: s.AvailableReplicas,
		ObservedGeneration: s.ObservedGeneration,
	}
	for _, r := range s.Conditions {
		c.Status.Conditions = append(c.Status.Conditions, corev1.ReplicationControllerCondition{
			Type: corev1.ReplicationControllerConditionType(r.Type), Status: r.Status,
			LastTransitionTime: r.LastTransitionTime, Reason: r.Reason, Message: r.Message,
		})
	}
	return &c
}

// of returns the object a key names and it as a ReplicaSet, or nils.
func (f *face) of(v *view.View, key kinds.Ref) (kinds.Object, *appsv1.ReplicaSet) {
	o := v.Object(key)
	if o == nil {
		return nil, nil
	}
	return o, f.read(o)
}

func replicasWanted(rs *appsv1.ReplicaSet) int {
	if rs.Spec.Replicas == nil {
		return 1 // the API's default
	}
	return int(*rs.Spec.Replicas)
}
