package draw

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// Pod draws a pod that waits for a node, after what there must be before it.
func (c *Cluster) Pod() []kinds.Object {
	pod := c.instance()
	if c.has[Nominated] && c.chance(8) {
		pod.Status.NominatedNodeName = pick(c, c.nodes...).Name
	}
	if c.has[sched.DefaultPreemption] && c.chance(50) {
		pod.Spec.Priority = ptr(pick[int32](c, 100, 1000))
	}
	return append(c.ephemeralClaims(pod), pod)
}

// instance is a pod: of a template mostly, otherwise one of its own kind.
func (c *Cluster) instance() *corev1.Pod {
	from := pick(c, c.templates...)
	if c.chance(30) {
		from = c.template()
	}
	pod := from.DeepCopy()
	pod.Name = fmt.Sprintf("p%d", c.number())
	c.stamp(pod)
	return pod
}

// template draws what most pods have copies of.
func (c *Cluster) template() *corev1.Pod {
	for range redrawsMax {
		pod := c.rough()
		try := pod.DeepCopy()
		try.Name = "try"
		kinds.Default(try)
		if len(kinds.Validate(try)) == 0 {
			return pod
		}
	}
	panic("drew no valid pod")
}

func (c *Cluster) rough() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace(), Labels: c.podLabels()}}
	s := &pod.Spec
	s.SchedulerName = corev1.DefaultSchedulerName
	c.containers(s)
	if c.has[sched.DefaultPreemption] {
		s.Priority = ptr(pick[int32](c, -10, 0, 0, 0, 10, 100, 100, 2000000000))
		if c.chance(10) {
			s.PreemptionPolicy = ptr(corev1.PreemptNever)
		}
	}
	if c.has[sched.NodePorts] && c.chance(50) {
		c.hostPorts(s)
	}
	if c.has[sched.TaintToleration] && c.chance(60) {
		s.Tolerations = c.tolerations()
	}
	if c.has[sched.NodeUnschedulable] && c.chance(20) {
		s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: corev1.TaintNodeUnschedulable,
			Operator: corev1.TolerationOpExists, Effect: pick(c, "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule)})
	}
	if c.has[sched.NodeAffinity] && c.chance(70) {
		c.nodeAffinity(s)
	}
	if c.has[sched.InterPodAffinity] && c.chance(60) {
		c.podAffinity(pod)
	}
	if c.has[sched.PodTopologySpread] && c.chance(60) {
		s.TopologySpreadConstraints = c.spread()
	}
	if c.volumeful() && c.chance(70) {
		c.podVolumes(pod)
	}
	c.mergeLabelKeys(pod)
	return pod
}

func (c *Cluster) podLabels() map[string]string {
	l := map[string]string{}
	if c.chance(85) {
		l["app"] = pick(c, "a", "b", "c")
	}
	if c.chance(50) {
		l["tier"] = pick(c, "x", "y")
	}
	if c.chance(50) {
		l["pod-template-hash"] = pick(c, "1", "2")
	}
	return l
}

func (c *Cluster) containers(s *corev1.PodSpec) {
	for i := range c.between(1, 3) {
		s.Containers = append(s.Containers, c.container(fmt.Sprintf("c%d", i)))
	}
	if c.chance(25) {
		for i := range c.between(1, 3) {
			box := c.container(fmt.Sprintf("i%d", i))
			if c.chance(50) {
				box.RestartPolicy = ptr(corev1.ContainerRestartPolicyAlways)
			}
			s.InitContainers = append(s.InitContainers, box)
		}
	}
	if c.chance(10) {
		s.Overhead = c.requests(true)
	}
	if c.has[PodLevelResources] && c.chance(30) {
		s.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{}}
		for name, q := range c.requests(false) {
			if name == corev1.ResourceCPU || name == corev1.ResourceMemory {
				q.Add(resource.MustParse("4"))
				s.Resources.Requests[name] = q
			}
		}
		if mem, ok := s.Resources.Requests[corev1.ResourceMemory]; ok {
			mem.Add(resource.MustParse("2Gi"))
			s.Resources.Requests[corev1.ResourceMemory] = mem
		}
	}
}

func (c *Cluster) container(name string) corev1.Container {
	box := corev1.Container{Name: name, Image: "web"}
	if c.has[sched.ImageLocality] {
		box.Image = pick(c, imageNames()...)
	}
	if c.chance(75) {
		box.Resources.Requests = c.requests(false)
	}
	if n, ok := box.Resources.Requests[gpu]; ok {
		box.Resources.Limits = corev1.ResourceList{gpu: n}
	}
	if n, ok := box.Resources.Requests["hugepages-2Mi"]; ok {
		box.Resources.Limits = corev1.ResourceList{"hugepages-2Mi": n}
	}
	return box
}

func (c *Cluster) requests(overhead bool) corev1.ResourceList {
	list := corev1.ResourceList{}
	if c.chance(80) {
		list[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(pick(c, 0, 1, 50, 100, 333, 500, 1000)), resource.DecimalSI)
	}
	if c.chance(70) {
		list[corev1.ResourceMemory] = *resource.NewQuantity(int64(pick(c, 0, 1, 64<<20, 100<<20, 200<<20, 777777777, 1<<30)), resource.BinarySI)
	}
	if !c.has[sched.NodeResourcesFit] {
		return list
	}
	if c.chance(15) {
		list[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(int64(pick(c, 0, 1<<20, 1<<30, 5<<30)), resource.BinarySI)
	}
	if c.chance(15) && !overhead {
		list[gpu] = *resource.NewQuantity(int64(c.between(0, 2)), resource.DecimalSI)
	}
	if c.chance(4) && !overhead {
		list["hugepages-2Mi"] = *resource.NewQuantity(int64(c.between(1, 3))<<21, resource.BinarySI)
	}
	if c.chance(25) && c.tight {
		list[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(pick(c, 1500, 2500, 3000, 6000)), resource.DecimalSI)
	}
	return list
}

func (c *Cluster) hostPorts(s *corev1.PodSpec) {
	box := &s.Containers[0]
	if len(s.InitContainers) > 0 && c.chance(20) {
		box = &s.InitContainers[0]
	}
	for range c.between(1, 2) {
		port := pick[int32](c, 80, 80, 443, 8080)
		box.Ports = append(box.Ports, corev1.ContainerPort{ContainerPort: port, HostPort: port,
			HostIP: pick(c, "", "", "0.0.0.0", "10.0.0.1", "10.0.0.2"), Protocol: pick(c, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)})
	}
}

func (c *Cluster) tolerations() (out []corev1.Toleration) {
	for range c.between(1, 3) {
		t := corev1.Toleration{Key: pick(c, "dedicated", "gpu", "old", ""), Operator: pick(c, "", corev1.TolerationOpExists, corev1.TolerationOpEqual),
			Effect: pick(c, "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)}
		if t.Operator != corev1.TolerationOpExists {
			t.Value = pick(c, "", "a", "b")
		}
		out = append(out, t)
	}
	return out
}

// bound draws a pod on a node.
func (c *Cluster) bound(node string) {
	pod := c.instance()
	pod.Spec.NodeName = node
	if c.chance(2) {
		pod.Spec.NodeName = "gone"
	}
	if c.has[sched.DefaultPreemption] && c.chance(50) {
		pod.Spec.Priority = ptr(pick[int32](c, -10, 0, 1, 2))
	}
	c.takePorts(pod)
	Run(pod)
	switch {
	case c.chance(6):
		pod.DeletionTimestamp = ptr(metav1.NewTime(Epoch().Add(time.Hour)))
		pod.DeletionGracePeriodSeconds = ptr[int64](30)
		if c.chance(60) {
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget,
				Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler})
		}
	case c.chance(4):
		pod.Status.Phase = pick(c, corev1.PodSucceeded, corev1.PodFailed)
	case c.chance(5):
		c.resized(pod)
	}
	c.made = append(c.made, c.ephemeralClaims(pod)...)
	c.made = append(c.made, pod)
}

// takePorts takes those host ports off a pod that another on its node has: no two pods
// that run can share one.
func (c *Cluster) takePorts(pod *corev1.Pod) {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			list[i].Ports = slices.DeleteFunc(list[i].Ports, func(p corev1.ContainerPort) bool {
				key := fmt.Sprintf("%s %d", pod.Spec.NodeName, p.HostPort)
				taken := c.ports[key]
				c.ports[key] = true
				return taken
			})
		}
	}
}

// Run makes a pod one that runs. Each pod has a start of its own: kube-scheduler
// leaves the order of victims open where the starts are equal.
func Run(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodRunning
	pod.Status.StartTime = ptr(metav1.NewTime(pod.CreationTimestamp.Add(time.Minute)))
}

// resized gives a pod's first container other resources than its spec says.
func (c *Cluster) resized(pod *corev1.Pod) {
	st := corev1.ContainerStatus{Name: pod.Spec.Containers[0].Name, Image: pod.Spec.Containers[0].Image,
		AllocatedResources: c.requests(true), Resources: &corev1.ResourceRequirements{Requests: c.requests(true)}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{st}
	if c.chance(30) {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodResizePending,
			Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible})
	}
}

// nominated draws pods that wait for victims to go.
func (c *Cluster) nominated() {
	for range c.between(0, 2) {
		if !c.chance(60) {
			continue
		}
		pod := c.instance()
		pod.Status.NominatedNodeName = pick(c, c.nodes...).Name
		c.made = append(c.made, c.ephemeralClaims(pod)...)
		c.made = append(c.made, pod)
	}
}
