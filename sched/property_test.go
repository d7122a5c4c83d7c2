package sched

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

func drawNode(t *rapid.T, i int) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i), Labels: map[string]string{"disk": rapid.SampledFrom([]string{"ssd", "hdd"}).Draw(t, "disk")}}}
	n.Spec.Unschedulable = rapid.IntRange(0, 9).Draw(t, "cordoned") == 0
	if rapid.IntRange(0, 4).Draw(t, "tainted") == 0 {
		n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: rapid.SampledFrom([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule}).Draw(t, "effect")}}
	}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(rapid.Int64Range(100, 4000).Draw(t, "cpu"), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(rapid.Int64Range(1<<28, 1<<33).Draw(t, "mem"), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(rapid.Int64Range(1, 5).Draw(t, "pods"), resource.DecimalSI)}
	return n
}

func drawPod(t *rapid.T, i int) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("pod-%d", i), UID: types.UID(fmt.Sprintf("uid-%d", i))}}
	c := corev1.Container{Name: "c", Image: "i"}
	if rapid.Bool().Draw(t, "requests") {
		c.Resources.Requests = corev1.ResourceList{
			corev1.ResourceCPU:    *resource.NewMilliQuantity(rapid.Int64Range(0, 2000).Draw(t, "cpu"), resource.DecimalSI),
			corev1.ResourceMemory: *resource.NewQuantity(rapid.Int64Range(0, 1<<32).Draw(t, "mem"), resource.BinarySI)}
	}
	if rapid.IntRange(0, 5).Draw(t, "port") == 0 {
		c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: rapid.Int32Range(8000, 8002).Draw(t, "hostPort"), Protocol: corev1.ProtocolTCP}}
	}
	p.Spec.Containers = []corev1.Container{c}
	if rapid.IntRange(0, 3).Draw(t, "selects") == 0 {
		p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	}
	if rapid.IntRange(0, 3).Draw(t, "tolerates") == 0 {
		p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}}
	}
	return p
}

func put(s *Snapshot, o kinds.Object) {
	s.Apply(store.Event{Type: store.Modified, Ref: kinds.RefOf(o), Object: o})
}

type population struct {
	nodes  []*corev1.Node
	placed []*corev1.Pod
	pod    *corev1.Pod
}

func drawPopulation(t *rapid.T) population {
	var p population
	for i := range rapid.IntRange(1, 8).Draw(t, "nodes") {
		p.nodes = append(p.nodes, drawNode(t, i))
	}
	for i := range rapid.IntRange(0, 10).Draw(t, "pods") {
		pod := drawPod(t, i)
		pod.Spec.NodeName = p.nodes[rapid.IntRange(0, len(p.nodes)-1).Draw(t, "on")].Name
		p.placed = append(p.placed, pod)
	}
	p.pod = drawPod(t, 1000)
	return p
}

// snapshot fills a snapshot in an order drawn from seed.
func (p population) snapshot(seed uint64) *Snapshot {
	s := NewSnapshot()
	var all []kinds.Object
	for _, n := range p.nodes {
		all = append(all, n)
	}
	for _, x := range p.placed {
		all = append(all, x)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, o := range all {
		put(s, o)
	}
	return s
}

func TestDecisionDoesNotDependOnTheOrderOfArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		want := p.snapshot(0).Decide(p.pod)
		for seed := uint64(1); seed < 4; seed++ {
			require.Equal(t, want, p.snapshot(seed).Decide(p.pod))
		}
	})
}

func TestAnotherNodeNeverMakesAPodUnschedulable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		s := p.snapshot(0)
		before := s.Decide(p.pod)
		put(s, drawNode(t, 100))
		after := s.Decide(p.pod)
		require.GreaterOrEqual(t, after.Feasible, before.Feasible)
	})
}

func TestWhatIsTakenBackLeavesNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		s := p.snapshot(0)
		want := s.Decide(p.pod)
		for i := range rapid.IntRange(1, 5).Draw(t, "guests") {
			guest := drawPod(t, 500+i)
			s.Assume(guest, p.nodes[i%len(p.nodes)].Name)
			s.Forget(kinds.KeyOf(guest))
		}
		extra := drawNode(t, 200)
		put(s, extra)
		s.Apply(store.Event{Type: store.Deleted, Ref: kinds.RefOf(extra), Object: extra})
		require.Equal(t, want, s.Decide(p.pod))
	})
}

// TestATemplateDecidesAsIfAfresh changes nodes and pods at random between decisions
// on a few templates, and asks for each both ways.
func TestATemplateDecidesAsIfAfresh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		s := p.snapshot(0)
		asking := []*corev1.Pod{drawPod(t, 1001), drawPod(t, 1002), drawPod(t, 1003)}
		for n := range rapid.IntRange(1, 30).Draw(t, "turns") {
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0:
				put(s, drawNode(t, rapid.IntRange(0, 9).Draw(t, "node")))
			case 1:
				gone := drawNode(t, rapid.IntRange(0, 9).Draw(t, "node"))
				s.Apply(store.Event{Type: store.Deleted, Ref: kinds.RefOf(gone), Object: gone})
			default:
				pod := *asking[n%len(asking)]
				pod.Name, pod.UID = fmt.Sprintf("turn-%d", n), types.UID(fmt.Sprintf("uid-turn-%d", n))
				d := s.Decide(&pod)
				require.Equal(t, s.decideAfresh(newWish(&pod)), d)
				if d.Node != "" {
					s.Assume(&pod, d.Node)
				}
			}
		}
	})
}

// benchmarkDecide places pods of one template, one after the other, on nodes that
// have room for all, and takes them off again.
func benchmarkDecide(b *testing.B, nodes int, decide func(*Snapshot, *corev1.Pod) Decision) {
	s := NewSnapshot()
	for i := range nodes {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110")}
		put(s, n)
	}
	pods := make([]*corev1.Pod, 10*nodes)
	for i := range pods {
		pods[i] = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("p-%d", i), UID: types.UID(fmt.Sprintf("u-%d", i))}}
		pods[i].Spec.Containers = []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}}}
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		pod := pods[i%len(pods)]
		s.Forget(kinds.KeyOf(pod))
		s.Assume(pod, decide(s, pod).Node)
		i++
	}
}

func afresh(s *Snapshot, pod *corev1.Pod) Decision { return s.decideAfresh(newWish(pod)) }

func BenchmarkDecide1000(b *testing.B)       { benchmarkDecide(b, 1000, (*Snapshot).Decide) }
func BenchmarkDecide5000(b *testing.B)       { benchmarkDecide(b, 5000, (*Snapshot).Decide) }
func BenchmarkDecideAfresh5000(b *testing.B) { benchmarkDecide(b, 5000, afresh) }
