package sched

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

func drawNode(t *rapid.T, i int) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i), Labels: map[string]string{"disk": rapid.SampledFrom([]string{"ssd", "hdd"}).Draw(t, "disk")}}}
	if rapid.IntRange(0, 5).Draw(t, "zoned") > 0 {
		n.Labels[corev1.LabelTopologyZone] = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "zone")
	}
	if rapid.IntRange(0, 9).Draw(t, "hosted") > 0 {
		n.Labels[corev1.LabelHostname] = n.Name
	}
	if rapid.Bool().Draw(t, "image") {
		n.Status.Images = []corev1.ContainerImage{{Names: []string{"i:latest"}, SizeBytes: 400 << 20}}
	}
	n.Spec.Unschedulable = rapid.IntRange(0, 9).Draw(t, "cordoned") == 0
	if rapid.IntRange(0, 4).Draw(t, "tainted") == 0 {
		n.Spec.Taints = []corev1.Taint{{Key: "k", Value: "v", Effect: rapid.SampledFrom([]corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule}).Draw(t, "effect")}}
	}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(rapid.Int64Range(100, 4000).Draw(t, "cpu"), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(rapid.Int64Range(1<<28, 1<<33).Draw(t, "mem"), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(rapid.Int64Range(1, 5).Draw(t, "pods"), resource.DecimalSI)}
	if cards := rapid.Int64Range(0, 2).Draw(t, "cards"); cards > 0 {
		n.Status.Allocatable["example.com/card"] = *resource.NewQuantity(cards, resource.DecimalSI)
	}
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
	p.Spec.SchedulerName = corev1.DefaultSchedulerName
	p.Labels = map[string]string{"app": rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "app")}
	if rapid.IntRange(0, 2).Draw(t, "important") == 0 {
		n := rapid.Int32Range(0, 3).Draw(t, "priority")
		p.Spec.Priority = &n
	}
	if rapid.IntRange(0, 4).Draw(t, "carded") == 0 {
		c.Resources.Requests = corev1.ResourceList{"example.com/card": *resource.NewQuantity(1, resource.DecimalSI)}
		p.Spec.Containers[0] = c
	}
	drawAffinity(t, p)
	drawSpread(t, p)
	if rapid.IntRange(0, 3).Draw(t, "selects") == 0 {
		p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	}
	if rapid.IntRange(0, 3).Draw(t, "tolerates") == 0 {
		p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}}
	}
	return p
}

// drawTopology draws what parts the nodes.
func drawTopology(t *rapid.T) string {
	return rapid.SampledFrom([]string{corev1.LabelHostname, corev1.LabelTopologyZone, "disk"}).Draw(t, "topology")
}

func drawSelector(t *rapid.T) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "selected")}}
}

// drawAffinity gives one pod in three terms of affinity to other pods.
func drawAffinity(t *rapid.T, p *corev1.Pod) {
	if rapid.IntRange(0, 2).Draw(t, "affine") > 0 {
		return
	}
	near, apart := &corev1.PodAffinity{}, &corev1.PodAntiAffinity{}
	p.Spec.Affinity = &corev1.Affinity{PodAffinity: near, PodAntiAffinity: apart}
	term := func() corev1.PodAffinityTerm {
		x := corev1.PodAffinityTerm{LabelSelector: drawSelector(t), TopologyKey: drawTopology(t)}
		if rapid.IntRange(0, 3).Draw(t, "by namespace") == 0 {
			x.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "one"}}
		}
		return x
	}
	weighted := func() []corev1.WeightedPodAffinityTerm {
		return []corev1.WeightedPodAffinityTerm{{Weight: rapid.Int32Range(1, 100).Draw(t, "weight"), PodAffinityTerm: term()}}
	}
	for _, kind := range rapid.SliceOfN(rapid.IntRange(0, 3), 1, 2).Draw(t, "terms") {
		switch kind {
		case 0:
			near.RequiredDuringSchedulingIgnoredDuringExecution = append(near.RequiredDuringSchedulingIgnoredDuringExecution, term())
		case 1:
			apart.RequiredDuringSchedulingIgnoredDuringExecution = append(apart.RequiredDuringSchedulingIgnoredDuringExecution, term())
		case 2:
			near.PreferredDuringSchedulingIgnoredDuringExecution = weighted()
		case 3:
			apart.PreferredDuringSchedulingIgnoredDuringExecution = weighted()
		}
	}
}

// drawSpread gives one pod in three constraints of topology spread.
func drawSpread(t *rapid.T, p *corev1.Pod) {
	if rapid.IntRange(0, 2).Draw(t, "spread") > 0 {
		return
	}
	for range rapid.IntRange(1, 2).Draw(t, "constraints") {
		p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
			MaxSkew: rapid.Int32Range(1, 3).Draw(t, "skew"), TopologyKey: drawTopology(t), LabelSelector: drawSelector(t),
			WhenUnsatisfiable: rapid.SampledFrom([]corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}).Draw(t, "action")})
	}
}

var plain = func() *profile { p := DefaultProfile(); return ready(&p) }()

func put(s *Snapshot, o kinds.Object) {
	switch o := o.(type) {
	case *corev1.Node:
		s.setNode(o)
	case *corev1.Pod:
		s.seePod(kinds.KeyOf(o), o)
	}
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

// whole decides as the scheduler does, victims included.
func whole(s *Snapshot, pod *corev1.Pod) Decision {
	d := s.decide(plain, pod)
	if d.Node == "" {
		s.makeRoom(plain, pod, &d, "")
	}
	return d
}

func TestDecisionDoesNotDependOnTheOrderOfArrival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		want := whole(p.snapshot(0), p.pod)
		for seed := uint64(1); seed < 4; seed++ {
			require.Equal(t, want, whole(p.snapshot(seed), p.pod))
		}
	})
}

func TestAnotherNodeNeverMakesAPodUnschedulable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		p.pod.Spec.TopologySpreadConstraints = nil // a new domain with no pods lowers the least
		s := p.snapshot(0)
		before := s.decide(plain, p.pod)
		put(s, drawNode(t, 100))
		after := s.decide(plain, p.pod)
		require.GreaterOrEqual(t, after.Feasible, before.Feasible)
	})
}

func TestWhatIsTakenBackLeavesNoTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		s := p.snapshot(0)
		want := whole(s, p.pod)
		for i := range rapid.IntRange(1, 5).Draw(t, "guests") {
			guest := drawPod(t, 500+i)
			s.Assume(guest, p.nodes[i%len(p.nodes)].Name)
			s.Forget(kinds.KeyOf(guest))
		}
		extra := drawNode(t, 200)
		put(s, extra)
		s.removeNode(extra.Name)
		require.Equal(t, want, whole(s, p.pod))
	})
}

// TestWhatIsKeptDecidesAsIfAfresh changes the cluster at random between decisions on a
// few shapes, and asks a snapshot that was just built as well.
func TestWhatIsKeptDecidesAsIfAfresh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPopulation(t)
		w := aging{s: p.snapshot(0), nodes: map[string]*corev1.Node{}, pods: map[string]*corev1.Pod{}, nominees: map[string]*corev1.Pod{}, teams: map[string]map[string]string{}, budgets: map[string]*policyv1.PodDisruptionBudget{}}
		for _, n := range p.nodes {
			w.nodes[n.Name] = n
		}
		for _, x := range p.placed {
			w.pods[x.Name] = x
		}
		asking := []*corev1.Pod{drawPod(t, 1001), drawPod(t, 1002), drawPod(t, 1003)}
		for n := range rapid.IntRange(1, 30).Draw(t, "turns") {
			if rapid.Bool().Draw(t, "changes") {
				w.change(t)
			}
			pod := *asking[n%len(asking)]
			pod.Name, pod.UID = fmt.Sprintf("turn-%d", n), types.UID(fmt.Sprintf("uid-turn-%d", n))
			fresh := w.afresh()
			d := whole(w.s, &pod)
			require.Equal(t, whole(fresh, &pod), d)
			require.Equal(t, fresh.explain(plain, &pod), w.s.explain(plain, &pod))
			require.Equal(t, d.Node, w.s.explain(plain, &pod).Chosen)
			if d.Node != "" {
				pod.Spec.NodeName = d.Node
				w.s.Assume(&pod, d.Node)
				w.pods[pod.Name] = &pod
			}
		}
	})
}

// aging is a snapshot that has been through all changes, and what it should hold.
type aging struct {
	s        *Snapshot
	nodes    map[string]*corev1.Node
	pods     map[string]*corev1.Pod // that have a node
	nominees map[string]*corev1.Pod
	teams    map[string]map[string]string // labels of namespaces
	budgets  map[string]*policyv1.PodDisruptionBudget
}

// afresh builds a snapshot of the same.
func (w *aging) afresh() *Snapshot {
	s := NewSnapshot()
	for name, set := range w.teams {
		s.setNamespace(name, set, true)
	}
	for _, n := range w.nodes {
		put(s, n)
	}
	for _, x := range w.pods {
		put(s, x)
	}
	for _, x := range w.nominees {
		s.nominate(x, x.Status.NominatedNodeName)
	}
	for _, b := range w.budgets {
		s.budgets.see(store.Event{Type: store.Added, Ref: kinds.RefOf(b), Object: b})
	}
	return s
}

func (w *aging) change(t *rapid.T) {
	node := fmt.Sprintf("node-%d", rapid.IntRange(0, 9).Draw(t, "node"))
	pod := fmt.Sprintf("pod-%d", rapid.IntRange(0, 9).Draw(t, "pod"))
	switch rapid.SampledFrom([]string{"node", "no node", "no pod", "pod", "nominee", "no nominee", "namespace", "budget"}).Draw(t, "change") {
	case "node":
		n := drawNode(t, 0)
		n.Name = node
		put(w.s, n)
		w.nodes[node] = n
	case "no node":
		w.s.removeNode(node)
		delete(w.nodes, node)
	case "no pod":
		w.s.forget(kinds.Key{Namespace: "default", Name: pod})
		delete(w.pods, pod)
	case "pod": // a new one, or other labels, or on its way out
		x := drawPod(t, 0)
		x.Name, x.UID, x.Spec.NodeName = pod, types.UID("uid-"+pod), node
		if rapid.Bool().Draw(t, "leaving") {
			x.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
		w.s.forget(kinds.KeyOf(x)) // a pod does not change its node
		put(w.s, x)
		w.pods[pod] = x
	case "nominee":
		x := drawPod(t, 0)
		x.Name, x.UID = "nominee", "uid-nominee"
		x.Status.NominatedNodeName = node
		w.s.nominate(x, node)
		w.nominees[x.Name] = x
	case "no nominee":
		w.s.unnominate(kinds.Key{Namespace: "default", Name: "nominee"})
		clear(w.nominees)
	case "namespace":
		set := map[string]string{"team": rapid.SampledFrom([]string{"one", "two"}).Draw(t, "team")}
		w.s.setNamespace("default", set, true)
		w.teams["default"] = set
	case "budget":
		b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "budget"}}
		b.Spec.Selector = drawSelector(t)
		b.Status.DisruptionsAllowed = rapid.Int32Range(0, 2).Draw(t, "allowed")
		w.s.budgets.see(store.Event{Type: store.Modified, Ref: kinds.RefOf(b), Object: b})
		w.budgets[b.Name] = b
	}
}

// benchmarkDecide places pods of one template, one after the other, on nodes that
// have room for all, and takes them off again.
func benchmarkDecide(b *testing.B, nodes int, like func(*corev1.Pod)) {
	s := NewSnapshot()
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: fmt.Sprint(i % 3)}}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110")}
		put(s, n)
	}
	pods := make([]*corev1.Pod, 10*nodes)
	for i := range pods {
		pods[i] = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("p-%d", i), UID: types.UID(fmt.Sprintf("u-%d", i))}}
		pods[i].Spec.Containers = []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}}}
		pods[i].Labels = map[string]string{"app": "a"}
		like(pods[i])
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		pod := pods[i%len(pods)]
		s.Forget(kinds.KeyOf(pod))
		s.Assume(pod, s.decide(plain, pod).Node)
		i++
	}
}

func alike(*corev1.Pod) {}

func spreading(action corev1.UnsatisfiableConstraintAction) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 5, TopologyKey: corev1.LabelTopologyZone,
			WhenUnsatisfiable: action, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}}
	}
}

func preferringHosts(p *corev1.Pod) {
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{
		{Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels}}}}}}
}

func BenchmarkDecide1000(b *testing.B) { benchmarkDecide(b, 1000, alike) }
func BenchmarkDecide5000(b *testing.B) { benchmarkDecide(b, 5000, alike) }
func BenchmarkDecideSpread5000(b *testing.B) {
	benchmarkDecide(b, 5000, spreading(corev1.DoNotSchedule))
}
func BenchmarkDecidePreferredSpread5000(b *testing.B) {
	benchmarkDecide(b, 5000, spreading(corev1.ScheduleAnyway))
}
func BenchmarkDecidePreferredAntiAffinity5000(b *testing.B) {
	benchmarkDecide(b, 5000, preferringHosts)
}
