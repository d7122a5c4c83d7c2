package sched

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/placement"
	"seatrial.dev/seatrial/cluster/store"
)

// change is something that happened to the cluster, as parked pods see it.
type change struct {
	event     store.Event
	node, was *corev1.Node // a node now and before; nil where there is, or was, none
	pod       *corev1.Pod  // a pod on a node that came, changed or went
	class     *class       // its class,
	before    *class       // and the one that it was of; nil for a new one
	gone      bool         // the pod has left
	volumes   bool         // an object that volumes go by
}

// helps says whether a change may let the pods of a group be scheduled: whether one of
// the plugins that rejected them could now think otherwise
// (k8s.io/kubernetes pkg/scheduler, queueing hints).
func (s *Snapshot) helps(p *profile, g *group, c *change) bool {
	if slices.ContainsFunc(g.example.parts, func(x stuck) bool { return s.helpsPart(p, x, c) }) {
		return true
	}
	return s.helpsPart(p, stuck{g.example.pod, g.key.class, g.plugins}, c)
}

func (s *Snapshot) helpsPart(p *profile, x stuck, c *change) bool {
	return slices.ContainsFunc(x.plugins, func(plugin string) bool { return s.mayHelp(p, plugin, x, c) })
}

func (s *Snapshot) mayHelp(p *profile, plugin string, x stuck, c *change) bool {
	sh := x.class.shape
	switch plugin {
	case NodeName:
		return c.node != nil && c.was == nil
	case NodeUnschedulable:
		t := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
		open := func(n *corev1.Node) bool { return !n.Spec.Unschedulable || placement.Tolerated(&t, sh.tolerations) }
		return c.becomes(open)
	case TaintToleration:
		return c.becomes(func(n *corev1.Node) bool { return untolerated(n.Spec.Taints, sh.tolerations) == nil })
	case NodeAffinity:
		return c.becomes(func(n *corev1.Node) bool {
			return (sh.selector == nil || sh.selector.matches(n)) && (p.added == nil || p.added.matches(n))
		})
	case CheckNodeLabelPresence:
		return c.node != nil && (c.was == nil || !maps.Equal(c.was.Labels, c.node.Labels))
	case NodePorts:
		return c.node != nil && c.was == nil || c.gone && sharesPort(c.class.shape.ports, sh.ports)
	case NodeResourcesFit:
		return s.mayFit(sh, c)
	case PodTopologySpread:
		return s.maySpread(x.class, c)
	case InterPodAffinity:
		return s.mayBeNear(x.class, c)
	case VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone:
		return c.volumesMay(s, plugin, x.pod)
	case DefaultPreemption:
		return false
	}
	if p.room[plugin] {
		return c.node != nil || c.gone || c.before != nil
	}
	return true // a policy's filter, or an extender: anything may
}

// becomes says whether a node is new or changed, and good now as it was not before.
func (c *change) becomes(good func(n *corev1.Node) bool) bool {
	return c.node != nil && good(c.node) && (c.was == nil || !good(c.was))
}

func sharesPort(have, want []placement.HostPort) bool {
	used := map[placement.HostPort]int{}
	for _, p := range have {
		used[p] = 1
	}
	return len(have) > 0 && taken(used, want)
}

// mayFit is NodeResourcesFit's hint: a pod went or asks for less, or a node has room
// when empty and more than it had.
func (s *Snapshot) mayFit(sh *shape, c *change) bool {
	if c.pod != nil {
		return c.gone || c.before != nil && c.before.shape != c.class.shape && lessThan(&c.class.shape.req, &c.before.shape.req)
	}
	if c.node == nil {
		return false
	}
	now := s.allocatable(c.node)
	if !covers(&now, &sh.req) {
		return false
	}
	if c.was == nil {
		return true
	}
	was := s.allocatable(c.was)
	return lessThan(&was, &now)
}

// covers says whether there is enough of all that is asked for.
func covers(has, want *amounts) bool {
	for _, x := range want.other {
		if x.n > has.of(x.number) {
			return false
		}
	}
	return has.cpuMilli >= want.cpuMilli && has.memBytes >= want.memBytes && has.diskBytes >= want.diskBytes && has.pods >= want.pods
}

// lessThan says whether a is less than b in anything.
func lessThan(a, b *amounts) bool {
	for _, x := range b.other {
		if a.of(x.number) < x.n {
			return true
		}
	}
	return a.cpuMilli < b.cpuMilli || a.memBytes < b.memBytes || a.diskBytes < b.diskBytes || a.pods < b.pods
}

// maySpread is PodTopologySpread's hint: a pod that counts came, went or changed its
// labels, or a node that counts did.
func (s *Snapshot) maySpread(own *class, c *change) bool {
	list := own.example.Spec.TopologySpreadConstraints
	if c.pod != nil {
		counts := func(x *class) bool {
			return x != nil && x.namespace == own.namespace && slices.ContainsFunc(list, func(k corev1.TopologySpreadConstraint) bool {
				return spreadSelector(&k, own.labels).Matches(labels.Set(x.labels))
			})
		}
		return counts(c.class) && (c.gone || c.before == nil || !counts(c.before)) || counts(c.before) && !counts(c.class)
	}
	bears := func(n *corev1.Node) bool {
		return n != nil && !slices.ContainsFunc(list, func(k corev1.TopologySpreadConstraint) bool {
			_, ok := n.Labels[k.TopologyKey]
			return !ok
		})
	}
	now, was := bears(c.node), bears(c.was)
	if c.node != nil && c.was != nil && now && was {
		return !maps.Equal(c.node.Labels, c.was.Labels) || !equality.Semantic.DeepEqual(c.node.Spec.Taints, c.was.Spec.Taints)
	}
	return now != was
}

// mayBeNear is InterPodAffinity's hint: a pod came that is to be near, one went, or
// changed its labels, that keeps the pod away, or a node changed its topology.
func (s *Snapshot) mayBeNear(own *class, c *change) bool {
	if c.pod != nil {
		if !c.gone && c.class != c.before && own.terms != nil && allMean(s, own.terms.near, c.class) {
			return true
		}
		left := c.class
		if !c.gone {
			left = c.before
		}
		return left != nil && (c.gone || left != c.class) && s.keepApart(own, left)
	}
	if c.node == nil || c.was != nil && maps.Equal(c.was.Labels, c.node.Labels) {
		return false
	}
	return true
}

// keepApart says whether a term of one class keeps it away from the other's pods.
func (s *Snapshot) keepApart(a, b *class) bool {
	means := func(from, to *class, mustExist bool) bool {
		return from.terms != nil && slices.ContainsFunc(from.terms.apart, func(t *podTerm) bool { return t.means(s, to, mustExist) })
	}
	return means(a, b, true) || means(b, a, false)
}

// volumesMay asks the volume plugins.
func (c *change) volumesMay(s *Snapshot, plugin string, pod *corev1.Pod) bool {
	return s.volumes.May(plugin, pod, c.event)
}
