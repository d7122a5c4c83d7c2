package sched

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
)

// TestPolicyTranscripts plays the files of testdata/policies; -rewrite writes their
// output. A line of "node" is a name and resources, of "put" a pod, its node and what it
// asks for; "score" prints what the policy says of each node for each pod.
func TestPolicyTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/policies", func(t *testing.T, path string) {
		s := NewSnapshot()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
				words := strings.Fields(line)
				switch d.Cmd {
				case "node":
					put(s, tersely(words).(*corev1.Node))
				case "put":
					p := tersely(words[1:]).(*corev1.Pod)
					p.Spec.NodeName = words[0]
					put(s, p)
				case "remove":
					s.forget(kinds.Key{Namespace: "default", Name: words[0]})
				case "gpus":
					g := (NodeView{s, s.byName[words[0]]}).GPUs()
					fmt.Fprintf(&b, "%v crowded %v\n", g.FreeMilli, g.Crowded)
				case "score":
					policyScores(t, &b, s, d, tersely(words).(*corev1.Pod))
				case "arguments":
					exists, err := CheckPolicy(words[0], []byte(strings.Join(words[1:], " ")))
					fmt.Fprintf(&b, "exists %v: %v\n", exists, err)
				default:
					t.Fatalf("unknown command %s", d.Cmd)
				}
			}
			return b.String()
		})
	})
}

func policyScores(t *testing.T, b *strings.Builder, s *Snapshot, d *datadriven.TestData, pod *corev1.Pod) {
	var name, args string
	d.MaybeScanArgs(t, "policy", &name)
	d.MaybeScanArgs(t, "args", &args)
	e := s.explain(profileOf(name, args), pod)
	fmt.Fprintf(b, "%s goes to %s\n", pod.Name, e.Chosen)
	for _, n := range e.Nodes {
		if n.RejectedBy != "" {
			fmt.Fprintf(b, "  %s: %s: %s\n", n.Node, n.RejectedBy, strings.Join(n.Reasons, ", "))
		} else {
			fmt.Fprintf(b, "  %s: %d\n", n.Node, n.Total)
		}
	}
	if e.Preemption != nil {
		for _, c := range e.Preemption.Candidates {
			fmt.Fprintf(b, "  of %s would go %v\n", c.Node, c.Victims)
		}
	}
}

// profileOf ranks by a policy alone.
func profileOf(name, args string) *profile {
	p := DefaultProfile()
	p.Scores = []Weighted{{name, 1}}
	if args != "" {
		p.PolicyArgs = map[string][]byte{name: []byte(args)}
	}
	return ready(&p)
}

// tersely makes a node or a pod from words: name cpu=4 mem=8Gi gpu=2 milli=500 count=1. A
// pod has milli or whole.
func tersely(words []string) kinds.Object {
	list := corev1.ResourceList{corev1.ResourcePods: resource.MustParse("100")}
	notes := map[string]string{}
	node, priority := false, int32(0)
	for _, w := range words[1:] {
		what, value, _ := strings.Cut(w, "=")
		q := resource.MustParse(value)
		switch what {
		case "cpu":
			list[corev1.ResourceCPU] = q
		case "mem":
			list[corev1.ResourceMemory] = q
		case "has":
			node = true
			list[ResourceGPU], list[ResourceGPUMilli] = q, *resource.NewQuantity(q.Value()*gpuWhole, resource.DecimalSI)
		case "whole":
			list[ResourceGPU], list[ResourceGPUMilli] = q, *resource.NewQuantity(q.Value()*gpuWhole, resource.DecimalSI)
		case "priority":
			priority = int32(q.Value())
		case "milli":
			list[ResourceGPUMilli] = q
			notes[GPUMilli] = value
		}
	}
	m := metav1.ObjectMeta{Name: words[0], UID: types.UID("uid-" + words[0]), Annotations: notes}
	if node {
		return &corev1.Node{ObjectMeta: m, Status: corev1.NodeStatus{Allocatable: list}}
	}
	delete(list, corev1.ResourcePods)
	m.Namespace = "default"
	p := &corev1.Pod{ObjectMeta: m}
	p.Spec.Containers = []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: list}}}
	p.Spec.SchedulerName = corev1.DefaultSchedulerName
	if priority != 0 {
		p.Spec.Priority = &priority
	}
	return p
}

// TestGPUsNeverHoldMoreThanTheyHave places pods by the filter and takes some off again,
// in any order, and counts.
func TestGPUsNeverHoldMoreThanTheyHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSnapshot()
		devices := rapid.IntRange(1, 8).Draw(t, "devices")
		put(s, tersely([]string{"n", fmt.Sprintf("has=%d", devices)}))
		v := NodeView{s, 0}
		there := map[string]gpuAsk{}
		for i := range rapid.IntRange(1, 30).Draw(t, "turns") {
			name := fmt.Sprintf("p-%d", i)
			if off := fmt.Sprintf("p-%d", rapid.IntRange(0, 30).Draw(t, "off")); there[off].count > 0 {
				s.forget(kinds.Key{Namespace: "default", Name: off})
				delete(there, off)
			}
			a := gpuAsk{rapid.Int64Range(1, 1000).Draw(t, "milli"), 1}
			pod := tersely([]string{name, fmt.Sprintf("milli=%d", a.milli)}).(*corev1.Pod)
			if rapid.IntRange(0, 4).Draw(t, "whole") == 0 {
				a = gpuAsk{gpuWhole, rapid.Int64Range(1, 3).Draw(t, "count")}
				pod = tersely([]string{name, fmt.Sprintf("whole=%d", a.count)}).(*corev1.Pod)
			}
			if why := filterGPUs(v, Wish{s: s, sh: s.classOf(pod).shape}); why != "" {
				continue
			}
			pod.Spec.NodeName = "n"
			put(s, pod)
			there[name] = a
			require.False(t, v.GPUs().Crowded, "a pod that the filter let in does not fit")
			var used, free int64
			for _, x := range there {
				used += x.milli * x.count
			}
			for _, f := range v.GPUs().FreeMilli {
				require.GreaterOrEqual(t, f, int64(0))
				free += f
			}
			require.Equal(t, int64(devices)*gpuWhole, used+free)
		}
	})
}

// TestPoliciesScoreWithinTheirRange asks every policy about drawn pods and nodes.
func TestPoliciesScoreWithinTheirRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		s := p.snapshot(0)
		want := Wish{s: s, sh: s.classOf(p.pod).shape}
		for _, name := range PolicyNames() {
			policy, ok, err := policyNamed(name, nil)
			require.True(t, ok && err == nil, name)
			for i := range s.nodes {
				v := NodeView{s, int32(i)}
				score := int64(0)
				switch {
				case s.localCheck(plain, int32(i), want.sh) != accepted:
				case policy.Pod != nil:
					score = policy.Pod(v, want, 1)
				case policy.Node != nil:
					score = policy.Node(v, want)
				}
				require.True(t, score >= 0 && score <= scoreMax, "%s scores %d", name, score)
			}
		}
	})
}
