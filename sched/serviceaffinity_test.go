package sched

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// TestServiceAffinity: the pods of a service share the region of the first of them.
func TestServiceAffinity(t *testing.T) {
	from := DefaultProfile()
	from.Filters = append(from.Filters, CheckServiceAffinity)
	from.Labels.ServiceAffinity = []string{"region"}
	p := ready(&from)
	s := NewSnapshot()
	for _, o := range decode(t, `
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: n1, labels: {region: a}}, status: {allocatable: {cpu: 1, pods: 10}}}
- {apiVersion: v1, kind: Node, metadata: {name: n2, labels: {region: b}}, status: {allocatable: {cpu: 1, pods: 10}}}
- {apiVersion: v1, kind: Node, metadata: {name: n3, labels: {region: b}}, status: {allocatable: {cpu: 1, pods: 10}}}
- {apiVersion: v1, kind: Node, metadata: {name: n4}, status: {allocatable: {cpu: 1, pods: 10}}}
- {apiVersion: v1, kind: Service, metadata: {name: db}, spec: {selector: {app: db}}}
`) {
		if n, ok := o.(*corev1.Node); ok {
			s.setNode(n)
		} else {
			s.seeBacking(store.Event{Type: store.Modified, Ref: kinds.RefOf(o), Object: o})
		}
	}
	pod := func(spec string) *corev1.Pod {
		return decode(t, "{apiVersion: v1, kind: Pod, "+spec+"}")[0].(*corev1.Pod)
	}
	feasible := func(pod *corev1.Pod) (nodes []string) {
		e := s.explain(p, pod)
		require.Equal(t, e.Chosen, s.decide(p, pod).Node)
		for _, n := range e.Nodes {
			if n.RejectedBy == "" {
				nodes = append(nodes, n.Node)
			} else {
				require.Equal(t, []string{CheckServiceAffinity, reasonServiceAffinity}, append([]string{n.RejectedBy}, n.Reasons...))
			}
		}
		return nodes
	}
	first := pod("metadata: {name: first, labels: {app: db}}, spec: {containers: [{name: c, image: i}]}")
	require.Len(t, feasible(first), 4, "none is there to share with")
	s.Assume(first, "n2")
	require.ElementsMatch(t, []string{"n2", "n3"}, feasible(pod("metadata: {name: x, labels: {app: db}}, spec: {containers: [{name: c, image: i}]}")))
	require.Len(t, feasible(pod("metadata: {name: other, labels: {app: web}}, spec: {containers: [{name: c, image: i}]}")), 4, "of no service")
	big := pod("metadata: {name: z, labels: {app: db}}, spec: {containers: [{name: c, image: i, resources: {requests: {cpu: 2}}}]}")
	d := s.decide(p, big)
	require.Equal(t, "0/4 nodes are available: 4 Insufficient cpu.", d.Message())

	own := from
	own.Filters = []string{NodeName, CheckServiceAffinity}
	p = ready(&own)
	require.Equal(t, []string{"n1"}, feasible(pod("metadata: {name: v, labels: {app: db}}, spec: {nodeSelector: {region: a}, containers: [{name: c, image: i}]}")),
		"the pod's own choice goes before")
}
