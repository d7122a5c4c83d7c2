package draw

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// Feature is something that a cluster may have: what a plugin of that name looks at,
// or one of those below.
type Feature = string

// Features that are not of one plugin.
const (
	PodLevelResources = "PodLevelResources"
	Nominated         = "Nominated" // pods with a nominated node
)

// Features lists them all.
func Features() []Feature {
	return []Feature{sched.NodeName, sched.NodeUnschedulable, sched.TaintToleration, sched.NodeAffinity, sched.NodePorts,
		sched.NodeResourcesFit, sched.VolumeRestrictions, sched.NodeVolumeLimits, sched.VolumeBinding, sched.VolumeZone,
		sched.PodTopologySpread, sched.InterPodAffinity, sched.ImageLocality, sched.DefaultPreemption, PodLevelResources, Nominated}
}

// Limits of what is drawn.
const (
	nodesMax       = 12
	nodesMaxLarge  = 60
	templatesMax   = 4
	podsPerNodeMax = 5
	redrawsMax     = 100 // of an object that turned out invalid
)

// Epoch is when everything begins.
func Epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// Cluster draws the objects of one cluster.
type Cluster struct {
	r     *rand.Rand
	has   map[Feature]bool
	made  []kinds.Object
	nodes []*corev1.Node
	// templates are pods from which most pods are copied, as replicas are.
	templates []*corev1.Pod
	claims    []*corev1.PersistentVolumeClaim
	volumes   []*corev1.PersistentVolume
	classes   []string
	serial    int
	ports     map[string]bool // that pods have, by node and number
	tight     bool            // most of each node is taken
	// imageBytes are the sizes of the images.
	imageBytes [5]int64
}

// New draws a cluster. only names the features it has, nil for some of all; without
// those it has not.
func New(seed uint64, only, without []Feature) *Cluster {
	c := &Cluster{r: rand.New(rand.NewPCG(seed, 0x5ea7)), has: map[Feature]bool{}, ports: map[string]bool{}}
	share := pick(c, 10, 25, 25, 45)
	for _, f := range Features() {
		drawn := c.chance(share)
		if len(only) > 0 {
			drawn = slices.Contains(only, f)
		}
		c.has[f] = drawn && !slices.Contains(without, f)
	}
	c.tight = c.has[sched.DefaultPreemption] || c.chance(8)
	for i := range c.imageBytes {
		c.imageBytes[i] = int64(pick(c, 10, 23, 100, 350, 999, 1500, 4000)) << 20
	}
	c.namespaces()
	n := c.between(2, nodesMax)
	if c.chance(4) {
		n = c.between(nodesMax, nodesMaxLarge)
	} else if c.chance(5) {
		n = 1
	}
	for range n {
		c.node()
	}
	if c.volumeful() {
		c.storage()
	}
	for range c.between(1, templatesMax) {
		c.templates = append(c.templates, c.template())
	}
	c.owners()
	for _, n := range c.nodes {
		most := podsPerNodeMax
		if c.tight {
			most *= 2
		}
		for range c.between(0, most) {
			c.bound(n.Name)
		}
	}
	if c.has[sched.DefaultPreemption] {
		c.budgets()
	}
	if c.has[Nominated] {
		c.nominated()
	}
	return c
}

// Objects are the objects that the cluster begins with.
func (c *Cluster) Objects() []kinds.Object { return c.made }

// chance is true in so many cases of a hundred.
func (c *Cluster) chance(percent int) bool { return c.r.IntN(100) < percent }

// between draws a number from lo to hi, both included.
func (c *Cluster) between(lo, hi int) int { return lo + c.r.IntN(hi-lo+1) }

func pick[T any](c *Cluster, of ...T) T { return of[c.r.IntN(len(of))] }

func ptr[T any](v T) *T { return &v }

// number gives each object one of its own.
func (c *Cluster) number() int { c.serial++; return c.serial }

// stamp makes an object one that an API server would hand out.
func (c *Cluster) stamp(o kinds.Object) {
	n := c.number()
	o.SetUID(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", n)))
	o.SetCreationTimestamp(metav1.NewTime(Epoch().Add(time.Duration(n) * time.Second)))
	o.SetGeneration(1)
	kinds.Default(o)
}

// make keeps an object as one of those that the cluster begins with.
func (c *Cluster) make(o kinds.Object) {
	c.stamp(o)
	if errs := kinds.Validate(o); len(errs) > 0 {
		panic(fmt.Sprintf("drew an invalid %v: %v", kinds.RefOf(o), errs.ToAggregate()))
	}
	c.made = append(c.made, o)
}

func namespaceNames() []string { return []string{"default", "team-a", "team-b"} }

func (c *Cluster) namespaces() {
	for _, name := range namespaceNames() {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}}
		if c.chance(70) {
			ns.Labels["team"] = pick(c, "a", "b")
		}
		if c.chance(50) {
			ns.Labels["env"] = pick(c, "prod", "dev")
		}
		c.make(ns)
	}
}

func (c *Cluster) namespace() string {
	return pick(c, "default", "default", "default", "team-a", "team-b")
}

func (c *Cluster) volumeful() bool {
	return c.has[sched.VolumeBinding] || c.has[sched.VolumeZone] || c.has[sched.VolumeRestrictions] || c.has[sched.NodeVolumeLimits]
}
