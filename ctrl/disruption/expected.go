package disruption

import (
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// expectations are how many pods there should be and how many of them must be
// healthy.
func expectations(v *view.View, b *policyv1.PodDisruptionBudget, pods []*corev1.Pod, p *ctrl.Plan) (expected, desired int32, err error) {
	switch most, least := b.Spec.MaxUnavailable, b.Spec.MinAvailable; {
	case most != nil:
		if expected, err = scales(v, b, pods, p); err != nil {
			return 0, 0, err
		}
		return expected, max(0, expected-scaled(most, expected)), nil
	case least != nil && least.Type == intstr.Int:
		return int32(len(pods)), least.IntVal, nil
	case least != nil:
		if expected, err = scales(v, b, pods, p); err != nil {
			return 0, 0, err
		}
		return expected, scaled(least, expected), nil
	}
	return int32(len(pods)), 0, nil
}

// scaled resolves a number or a percentage of total, rounded up.
func scaled(n *intstr.IntOrString, total int32) int32 {
	if n.Type == intstr.Int {
		return n.IntVal
	}
	percent, err := strconv.ParseInt(strings.TrimSuffix(n.StrVal, "%"), 10, 32)
	if err != nil {
		return 0
	}
	return int32((percent*int64(total) + 99) / 100)
}

// scales adds up what the pods' controllers ask for. A pod that nobody controls is
// left out, with a warning; one whose controller has no scale is an error.
func scales(v *view.View, b *policyv1.PodDisruptionBudget, pods []*corev1.Pod, p *ctrl.Plan) (sum int32, err error) {
	seen := map[types.UID]bool{}
	var last types.UID // pods of one controller come one after another
	unmanaged := false
	for _, pod := range pods {
		ref, uid, ok := ownership.Parent(pod)
		switch {
		case !ok:
			unmanaged = true
			continue
		case uid == last:
			continue
		}
		last = uid
		uid, n, ok := scaleOf(v, ref, uid)
		if !ok {
			return 0, fmt.Errorf("found no controllers for pod %q", pod.Name)
		}
		if !seen[uid] {
			seen[uid] = true
			sum += n
		}
	}
	if unmanaged && b.Status.ObservedGeneration != b.Generation {
		p.Note(api.Warning(b, component, "UnmanagedPods", fmt.Sprintf("Pods selected by this PodDisruptionBudget (selector: %v) were found to be unmanaged. "+
			"As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. "+
			"To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value.", metav1.FormatLabelSelector(b.Spec.Selector))))
	}
	return sum, nil
}

// scaleOf is the scale of a pod's controller: of a ReplicaSet's Deployment, where it
// has one.
func scaleOf(v *view.View, ref kinds.Ref, uid types.UID) (types.UID, int32, bool) {
	o := v.Object(ref)
	if o == nil || o.GetUID() != uid {
		return "", 0, false
	}
	switch o := o.(type) {
	case *appsv1.ReplicaSet:
		if up, upUID, ok := ownership.Parent(o); ok && up.Kind == kinds.Deployment {
			return scaleOf(v, up, upUID)
		}
		return uid, replicas(o.Spec.Replicas), true
	case *appsv1.Deployment:
		return uid, replicas(o.Spec.Replicas), true
	case *corev1.ReplicationController:
		return uid, replicas(o.Spec.Replicas), true
	case *appsv1.StatefulSet:
		return uid, replicas(o.Spec.Replicas), true
	}
	return "", 0, false
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
