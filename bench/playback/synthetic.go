package playback

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/scenarios/openb"
)

// Shape says what a made-up workload is like.
type Shape struct {
	Nodes int
	Pods  int
	GPUs  float64 // share of the nodes that have some; a third of it is the share of the pods that ask for one
	Load  float64 // of cpu or GPUs, whichever is asked for more: what the pods there would take on the average
}

// Limits of a Shape.
const (
	nodesMax = 100_000
	podsMax  = 1_000_000
	loadMax  = 10
)

func (s *Shape) validate() error {
	switch {
	case s.Nodes < 1 || s.Nodes > nodesMax:
		return fmt.Errorf("%d nodes: want 1 to %d", s.Nodes, nodesMax)
	case s.Pods < 1 || s.Pods > podsMax:
		return fmt.Errorf("%d pods: want 1 to %d", s.Pods, podsMax)
	case !(s.GPUs >= 0 && s.GPUs <= 1):
		return fmt.Errorf("a share of %g with GPUs: want 0 to 1", s.GPUs)
	case !(s.Load > 0 && s.Load <= loadMax):
		return fmt.Errorf("a load of %g: want more than 0, to %d", s.Load, loadMax)
	}
	return nil
}

// Synthetic makes a workload up: nodes of three sizes in three zones, pods of a few
// applications in three namespaces, with sizes that are log-normal (many small, few
// large), arrivals at random and lives that are exponential. One pod in ten has a higher
// priority.
func Synthetic(s Shape, seed uint64) (*Workload, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(seed, 5))
	w := &Workload{Name: "synthetic"}
	var has, asks [2]float64 // cpu and GPUs, in thousandths
	for i := range s.Nodes {
		n := madeNode(r, i, s.GPUs)
		has[0], has[1] = has[0]+float64(n.CPUMilli), has[1]+float64(1000*n.GPUs)
		o := n.Object()
		o.Labels[corev1.LabelTopologyZone] = string(rune('a' + i%3))
		w.Nodes = append(w.Nodes, o)
	}
	for _, ns := range madeNamespaces {
		w.Objects = append(w.Objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	}
	w.Objects = append(w.Objects, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "important"}, Value: 1000})
	pods := make([]openb.Pod, s.Pods)
	for i := range pods {
		pods[i] = madePod(r, i, s.GPUs)
		asks[0], asks[1] = asks[0]+float64(pods[i].CPUMilli), asks[1]+float64(pods[i].GPUMilli)
	}
	const life = time.Hour
	share := asks[0] / has[0]
	if has[1] > 0 {
		share = max(share, asks[1]/has[1])
	}
	gap := float64(life) * share / (s.Load * float64(s.Pods)) // Little's law
	at := 0.0
	for i := range pods {
		at += r.ExpFloat64() * gap
		app := r.IntN(madeApps)
		o := pods[i].Object(madeNamespaces[app%len(madeNamespaces)])
		o.Labels["app"] = fmt.Sprintf("app-%d", app)
		if r.IntN(10) == 0 {
			o.Spec.PriorityClassName = "important"
		}
		w.Arrivals = append(w.Arrivals, Arrival{Pod: o, At: time.Duration(at), Gone: time.Duration(at + r.ExpFloat64()*float64(life))})
	}
	return w, nil
}

var madeNamespaces = [...]string{"batch", "web", "research"}

// madeApps is how many applications the pods are of.
const madeApps = 12

func madeNode(r *rand.Rand, i int, gpus float64) openb.Node {
	size := []int64{16, 32, 96}[r.IntN(3)]
	n := openb.Node{Name: fmt.Sprintf("node-%d", i), CPUMilli: size * 1000, MemMiB: size * 4 << 10}
	if r.Float64() < gpus {
		n.GPUs, n.Model = max(size/12, 2), "T4"
	}
	return n
}

func madePod(r *rand.Rand, i int, gpus float64) openb.Pod {
	milli := min(max(int64(math.Exp(math.Log(1000)+r.NormFloat64())), 50), 12_000)
	p := openb.Pod{Name: fmt.Sprintf("pod-%d", i), CPUMilli: milli, MemMiB: min(max(int64(float64(milli)*4*math.Exp(0.5*r.NormFloat64())), 64), 48<<10)}
	if r.Float64() < gpus/3 { // a GPU is dear
		p.GPUs, p.GPUMilli = 1, []int64{200, 300, 500, 700, 1000, 1000}[r.IntN(6)]
	}
	return p
}
