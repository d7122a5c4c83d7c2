package world_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/persistentvolume"
	"seatrial.dev/seatrial/sched/volumes"
)

const volumesOfTwoKinds = `
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {zone: a, host: n1}}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {zone: b, host: n2}}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: zonal}, provisioner: csi.example.com, volumeBindingMode: WaitForFirstConsumer, allowedTopologies: [{matchLabelExpressions: [{key: zone, values: [a, b]}]}]}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: local}, provisioner: kubernetes.io/no-provisioner, volumeBindingMode: WaitForFirstConsumer}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: disk}, spec: {storageClassName: local, capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce], local: {path: /d}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: host, operator: In, values: [n2]}]}]}}}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: made}, spec: {storageClassName: zonal, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: found}, spec: {storageClassName: local, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}], volumes: [{name: v, persistentVolumeClaim: {claimName: made}}, {name: w, persistentVolumeClaim: {claimName: found}}]}}
`

// What the scheduler chooses, the volume binder carries out: they meet only through
// objects, so that they understand each other is tested here.
func TestSchedulerAndVolumeBinder(t *testing.T) {
	w := ctrltest.New(persistentvolume.New(), persistentvolume.NewProvisioner())
	docs, err := kinds.Decode("objects", []byte(volumesOfTwoKinds))
	require.NoError(t, err)
	for _, d := range docs {
		w.Load(d.Object)
	}
	state, seen := volumes.New(), uint64(0)
	settle := func() {
		require.True(t, w.Settle())
		events, err := w.Store.Since(seen)
		require.NoError(t, err)
		for _, e := range events {
			state.See(e)
		}
		seen = w.Store.RV()
	}
	settle()
	pod := view.Get[*corev1.Pod](w.View, kinds.Pod, kinds.Key{Namespace: "default", Name: "p"})
	ask, refused := state.Ask(pod, volumes.All)
	require.Nil(t, refused)
	var node *corev1.Node
	for n := range view.All[*corev1.Node](w.View, kinds.Node) {
		if ask.Filter(volumes.Binding, n, nil, nil) == nil {
			require.Nil(t, node, "only the node with the disk will do")
			node = n
		}
	}
	require.Equal(t, "n2", node.Name)
	writes, refused := ask.Reserve(node)
	require.Nil(t, refused)
	require.Len(t, writes, 2)
	ok, failed := state.Bound(pod)
	require.Empty(t, failed)
	require.False(t, ok)
	for _, r := range writes {
		w.Write(r)
	}
	settle()
	ok, failed = state.Bound(pod)
	require.Empty(t, failed)
	require.True(t, ok)

	again, refused := state.Ask(pod, volumes.All)
	require.Nil(t, refused)
	for n := range view.All[*corev1.Node](w.View, kinds.Node) {
		r := again.Filter(volumes.Binding, n, nil, nil)
		require.Equal(t, n.Name == "n2", r == nil, "bound volumes tie the pod to %s", node.Name)
	}
}
