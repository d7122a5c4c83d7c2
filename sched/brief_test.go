package sched

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// TestABriefIsTheExplanationOfItsTime keeps explanations of both kinds while pods and
// nodes come and go, and compares them at the end.
func TestABriefIsTheExplanationOfItsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		simple := rapid.Bool().Draw(t, "simple")
		draw := func(i int) *corev1.Pod {
			pod := drawPod(t, i)
			if simple {
				pod.Spec.Affinity, pod.Spec.TopologySpreadConstraints = nil, nil
			}
			return pod
		}
		if simple {
			for _, n := range p.nodes {
				n.Spec.Taints, n.Status.Images = nil, nil
			}
			for _, x := range p.placed {
				x.Spec.Affinity, x.Spec.TopologySpreadConstraints = nil, nil
			}
		}
		s := p.snapshot(0)
		asking := []*corev1.Pod{draw(1001), draw(1002)}
		var briefs []*Brief
		var full []*Explanation
		for n := range rapid.IntRange(1, 20).Draw(t, "turns") {
			if rapid.IntRange(0, 3).Draw(t, "change") == 0 {
				node := drawNode(t, rapid.IntRange(0, 9).Draw(t, "node"))
				node.Spec.Taints, node.Status.Images = nil, nil
				put(s, node)
			}
			pod := *asking[n%len(asking)]
			pod.Name, pod.UID = fmt.Sprintf("turn-%d", n), types.UID(fmt.Sprintf("uid-turn-%d", n))
			full = append(full, s.explain(plain, &pod))
			briefs = append(briefs, s.brief(plain, &pod))
			if d := whole(s, &pod); d.Node != "" {
				s.Assume(&pod, d.Node)
			}
		}
		for k := range briefs {
			require.Equal(t, full[k], briefs[k].Explanation())
		}
	})
}
