package ownership

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
)

// The rows are those of upstream's ClaimObject.
func TestClaim(t *testing.T) {
	gone := metav1.Now()
	yes := true
	for _, c := range []struct {
		name         string
		controller   types.UID // of the object
		matches      bool
		ownerLeaves  bool
		objectLeaves bool
		want         Verdict
	}{
		{"ours", "me", true, false, false, Keep},
		{"ours, and we leave", "me", true, true, false, Keep},
		{"ours no more", "me", false, false, false, Release},
		{"ours no more, but we leave", "me", false, true, false, Ignore},
		{"ours no more, and it leaves", "me", false, false, true, Release},
		{"another's", "you", true, false, false, Ignore},
		{"nobody's", "", true, false, false, Adopt},
		{"nobody's, but we leave", "", true, true, false, Ignore},
		{"nobody's, but it leaves", "", true, false, true, Ignore},
		{"nobody's, and no match", "", false, false, false, Ignore},
	} {
		owner := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: "me"}}
		pod := &corev1.Pod{}
		if c.controller != "" {
			pod.OwnerReferences = []metav1.OwnerReference{{UID: "another"}, {UID: c.controller, Controller: &yes}}
		}
		if c.ownerLeaves {
			owner.DeletionTimestamp = &gone
		}
		if c.objectLeaves {
			pod.DeletionTimestamp = &gone
		}
		assert.Equal(t, c.want, Claim(owner, pod, c.matches), c.name)
	}
}

// ParentOf agrees with Parent, for its kind.
func TestParentOf(t *testing.T) {
	rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u"}}
	rc := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "u"}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u"}}
	for _, owner := range []kinds.Object{rs, rc, node} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", OwnerReferences: []metav1.OwnerReference{Ref(owner)}}}
		ref, uid, ok := Parent(pod)
		assert.True(t, ok)
		assert.Equal(t, kinds.RefOf(owner), ref)
		for _, k := range []kinds.Kind{kinds.ReplicaSet, kinds.ReplicationController, kinds.Node, kinds.Deployment} {
			gotRef, gotUID, gotOK := ParentOf(pod, k)
			assert.Equal(t, k == ref.Kind, gotOK)
			if gotOK {
				assert.Equal(t, ref, gotRef)
				assert.Equal(t, uid, gotUID)
			}
		}
	}
	older := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{Ref(rs)}}}
	older.OwnerReferences[0].APIVersion = "extensions/v1beta1"
	_, _, ok := ParentOf(older, kinds.ReplicaSet)
	assert.False(t, ok)
}
