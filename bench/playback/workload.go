package playback

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/scenarios/openb"
)

// Stays is the time of departure of a pod that has none.
const Stays = time.Duration(-1)

// Arrival is a pod, and when it comes and goes.
type Arrival struct {
	Pod  *corev1.Pod
	At   time.Duration // since the start
	Gone time.Duration // Stays for never
}

// Workload is the nodes, what else is there from the start, and the pods in the order of
// their arrival. It is read only: runs take copies.
type Workload struct {
	Name     string
	Nodes    []*corev1.Node
	Objects  []kinds.Object
	Arrivals []Arrival
}

// OpenB reads a trace.
func OpenB(nodesFile, podsFile string) (*Workload, error) {
	nodes, err := openb.ReadNodes(nodesFile)
	if err != nil {
		return nil, err
	}
	pods, err := openb.ReadPods(podsFile)
	if err != nil {
		return nil, err
	}
	w := &Workload{Name: podsFile}
	for i := range nodes {
		w.Nodes = append(w.Nodes, nodes[i].Object())
	}
	for i := range pods {
		p := &pods[i]
		a := Arrival{Pod: p.Object(metav1.NamespaceDefault), At: time.Duration(p.CreatedSec) * time.Second, Gone: Stays}
		if p.DeletedSec != openb.Never {
			a.Gone = time.Duration(p.DeletedSec) * time.Second
		}
		w.Arrivals = append(w.Arrivals, a)
	}
	w.sort()
	return w, nil
}

func (w *Workload) sort() {
	slices.SortStableFunc(w.Arrivals, func(a, b Arrival) int { return cmp.Compare(a.At, b.At) })
}

// crowdedGap is how long after one another pods come that never go.
const crowdedGap = time.Second

// Crowded is the same pods, in an order drawn from the seed, a second apart and never
// leaving, so that the nodes fill up: the way in which the FGD paper compares policies
// (USENIX ATC '23, section 6).
func (w *Workload) Crowded(seed uint64) *Workload {
	c := &Workload{Name: w.Name, Nodes: w.Nodes, Objects: w.Objects, Arrivals: slices.Clone(w.Arrivals)}
	r := rand.New(rand.NewPCG(seed, 1))
	r.Shuffle(len(c.Arrivals), func(i, j int) { c.Arrivals[i], c.Arrivals[j] = c.Arrivals[j], c.Arrivals[i] })
	for i := range c.Arrivals {
		c.Arrivals[i].At, c.Arrivals[i].Gone = time.Duration(i)*crowdedGap, Stays
	}
	return c
}

// With is the same pods on other nodes.
func (w *Workload) With(nodes []*corev1.Node) *Workload {
	c := *w
	c.Nodes = nodes
	return &c
}

// String names the workload and its size.
func (w *Workload) String() string {
	return fmt.Sprintf("%s: %d nodes, %d pods", w.Name, len(w.Nodes), len(w.Arrivals))
}

// Part is a share of the pods, from 0 to 1, drawn from the seed.
func (w *Workload) Part(share float64, seed uint64) *Workload {
	if share >= 1 {
		return w
	}
	c := *w
	c.Arrivals = nil
	r := rand.New(rand.NewPCG(seed, 4))
	for _, a := range w.Arrivals {
		if r.Float64() < share {
			c.Arrivals = append(c.Arrivals, a)
		}
	}
	return &c
}
