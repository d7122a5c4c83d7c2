package draw

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Change is something that happens to a cluster: an object is there, new or changed,
// or is gone.
type Change struct {
	Object kinds.Object
	Gone   bool
}

// Change draws what happens next in a cluster of these objects, which it leaves alone;
// often it is nothing.
func (c *Cluster) Change(objects []kinds.Object) []Change {
	if c.chance(40) || len(objects) == 0 {
		return nil
	}
	if c.chance(10) {
		c.made = nil
		c.node()
		return []Change{{Object: c.made[0]}}
	}
	for range redrawsMax {
		if ch, ok := c.changed(pick(c, objects...)); ok {
			return []Change{ch}
		}
	}
	return nil
}

func (c *Cluster) changed(o kinds.Object) (Change, bool) {
	o = kinds.Clone(o)
	switch o := o.(type) {
	case *corev1.Node:
		return c.changedNode(o)
	case *corev1.Pod:
		return c.changedPod(o)
	case *policyv1.PodDisruptionBudget:
		o.Status.DisruptionsAllowed = int32(c.between(0, 2))
		return Change{Object: o}, true
	case *corev1.Namespace:
		o.Labels["team"] = pick(c, "a", "b")
		return Change{Object: o}, true
	case *corev1.Service:
		if c.chance(30) {
			return Change{Object: o, Gone: true}, true
		}
		o.Spec.Selector = map[string]string{"app": pick(c, "a", "b", "c")}
		return Change{Object: o}, true
	default:
		return Change{}, false
	}
}

func (c *Cluster) changedNode(n *corev1.Node) (Change, bool) {
	switch c.between(0, 6) {
	case 0:
		return Change{Object: n, Gone: true}, len(c.nodes) > 2
	case 1:
		n.Spec.Unschedulable = !n.Spec.Unschedulable
	case 2:
		n.Spec.Taints = c.taints()
	case 3:
		n.Labels = c.nodeLabels(n.Name)
	case 4:
		n.Status.Allocatable = c.allocatable()
	case 5:
		n.Status.Images = c.nodeImages()
	default:
		n.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(Epoch().Add(time.Duration(c.number()) * time.Second))
	}
	return Change{Object: n}, true
}

func (c *Cluster) changedPod(p *corev1.Pod) (Change, bool) {
	switch {
	case p.Spec.NodeName == "":
		return Change{}, false
	case c.chance(50):
		return Change{Object: p, Gone: true}, true
	case c.chance(40):
		p.Status.Phase = corev1.PodSucceeded
	case c.chance(40) && p.DeletionTimestamp == nil:
		p.DeletionTimestamp = ptr(metav1.NewTime(Epoch().Add(2 * time.Hour)))
		p.DeletionGracePeriodSeconds = ptr[int64](30)
	default:
		p.Labels = c.podLabels()
	}
	return Change{Object: p}, true
}

// Lingers says whether a pod that is deleted takes its time to go.
func (c *Cluster) Lingers() bool { return c.chance(30) }
