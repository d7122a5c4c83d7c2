package draw

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/sched"
)

const gpu = "example.com/gpu"

// Zones, in the form that old volume plugins can take a region from.
const (
	zoneA = "eu-west1-a"
	zoneB = "eu-west1-b"
	zoneC = "eu-west1-c"
)

func (c *Cluster) node() *corev1.Node {
	name := fmt.Sprintf("n%d", len(c.nodes)+1)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: c.nodeLabels(name)}}
	n.Status.Allocatable = c.allocatable()
	n.Status.Capacity = n.Status.Allocatable.DeepCopy()
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if c.has[sched.NodeUnschedulable] && c.chance(25) {
		n.Spec.Unschedulable = true
		if c.chance(50) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	if c.has[sched.TaintToleration] && c.chance(60) {
		n.Spec.Taints = append(n.Spec.Taints, c.taints()...)
	}
	if c.has[sched.ImageLocality] {
		n.Status.Images = c.nodeImages()
	}
	c.make(n)
	c.nodes = append(c.nodes, n)
	return n
}

func (c *Cluster) nodeLabels(name string) map[string]string {
	l := map[string]string{}
	if c.chance(95) {
		l[corev1.LabelHostname] = name
		if c.chance(3) {
			l[corev1.LabelHostname] = pick(c, "n1", "other")
		}
	}
	if c.chance(90) {
		l[corev1.LabelTopologyZone] = pick(c, zoneA, zoneA, zoneB, zoneC)
	}
	if c.chance(80) {
		l[corev1.LabelTopologyRegion] = pick(c, "r1", "r1", "r2")
	}
	if c.chance(60) {
		l["rack"] = pick(c, "a", "b", "c")
	}
	if c.chance(60) {
		l["disk"] = pick(c, "ssd", "hdd")
	}
	if c.chance(60) {
		l["gen"] = pick(c, "1", "2", "10", "x", "007")
	}
	return l
}

func (c *Cluster) allocatable() corev1.ResourceList {
	a := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(int64(pick(c, 500, 1000, 2000, 3330, 4000, 8000, 16000)), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(int64(pick(c, 1<<29, 1<<30, 2<<30, 3<<30+12345, 8<<30, 16<<30)), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(int64(pick(c, 2, 5, 8, 110, 110, 110, 250)), resource.DecimalSI),
	}
	if c.chance(85) {
		a[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(int64(pick(c, 1<<30, 10<<30, 100<<30)), resource.BinarySI)
	}
	if c.chance(40) {
		a[gpu] = *resource.NewQuantity(int64(c.between(0, 4)), resource.DecimalSI)
	}
	if c.chance(15) {
		a["hugepages-2Mi"] = *resource.NewQuantity(int64(c.between(0, 8))<<21, resource.BinarySI)
	}
	if c.chance(1) {
		a[corev1.ResourceCPU] = resource.MustParse("0")
	}
	return a
}

func (c *Cluster) taints() (out []corev1.Taint) {
	for _, key := range []string{"dedicated", "gpu", "old"} {
		if c.chance(35) {
			out = append(out, corev1.Taint{Key: key, Value: pick(c, "", "a", "b"),
				Effect: pick(c, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)})
		}
	}
	return out
}

// imageNames are what pods ask for; the nodes hold the normalised form of some.
func imageNames() []string {
	return []string{"web", "web:v2", "registry.example.com/db:1", "registry.example.com:5000/ml", "cache@sha256:0123456789012345678901234567890123456789012345678901234567890123"}
}

// nodeImages draws what images a node has. An image is of one size wherever it is, as
// kube-scheduler goes by the node that it saw first.
func (c *Cluster) nodeImages() (out []corev1.ContainerImage) {
	for i, name := range []string{"web:latest", "web:v2", "registry.example.com/db:1", "registry.example.com:5000/ml:latest",
		"cache@sha256:0123456789012345678901234567890123456789012345678901234567890123"} {
		if c.chance(45) {
			names := []string{name, fmt.Sprintf("alias%d:latest", i)}
			out = append(out, corev1.ContainerImage{Names: names[:c.between(1, 2)], SizeBytes: c.imageBytes[i]})
		}
	}
	return out
}
