package nodeipam

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

const component = "cidrAllocator"

// The length of a node's prefix (Kubernetes' --node-cidr-mask-size defaults).
const (
	nodeBits4 = 24
	nodeBits6 = 64
)

// Controller is the allocator of node ranges.
type Controller struct {
	pool *pool
	read bool              // pool holds what the view had
	held map[string]string // node -> its subnet, planned or seen
	wait map[string]bool   // nodes for which none was free
}

// New returns an allocator for a cluster's pod range ("10.244.0.0/16"). Nodes get
// a /24 of it, or a /64 of an IPv6 range.
func New(clusterCIDR string) (*Controller, error) {
	base, err := netip.ParsePrefix(clusterCIDR)
	if err != nil {
		return nil, fmt.Errorf("pod range %q: %w", clusterCIDR, err)
	}
	size := nodeBits4
	if base.Addr().Is6() {
		size = nodeBits6
	}
	p, err := newPool(base, size)
	if err != nil {
		return nil, err
	}
	return &Controller{pool: p, held: map[string]string{}, wait: map[string]bool{}}, nil
}

// Name is "node-ipam-controller".
func (*Controller) Name() string { return "node-ipam-controller" }

// Kinds are the nodes.
func (*Controller) Kinds() []kinds.Kind { return []kinds.Kind{kinds.Node} }

// Keys asks for a node without a range, and, when a range comes free, for those
// that wait for one.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	c.readOnce(v)
	n := e.Object.(*corev1.Node)
	if e.Type == store.Deleted {
		delete(c.wait, n.Name)
		if had, ok := c.held[n.Name]; ok {
			c.release(n.Name, had)
			c.wake(add)
		}
		return
	}
	if n.Spec.PodCIDR != "" {
		c.hold(n.Name, n.Spec.PodCIDR)
		return
	}
	add(e.Ref)
}

// wake asks for as many waiting nodes as could get a range now: one came free.
func (c *Controller) wake(add func(kinds.Ref)) {
	if len(c.wait) == 0 {
		return
	}
	names := make([]string, 0, len(c.wait))
	for name := range c.wait { //det:ok only the least is used
		names = append(names, name)
	}
	add(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: slices.Min(names)}})
}

func (c *Controller) readOnce(v *view.View) {
	if c.read {
		return
	}
	c.read = true
	for n := range view.All[*corev1.Node](v, kinds.Node) {
		if n.Spec.PodCIDR != "" {
			c.hold(n.Name, n.Spec.PodCIDR)
		}
	}
}

func (c *Controller) hold(node, cidr string) {
	had, ok := c.held[node]
	if ok && had == cidr {
		return
	}
	if ok {
		c.release(node, had)
	}
	delete(c.wait, node)
	if i, ok := c.pool.index(cidr); ok {
		c.held[node] = cidr
		c.pool.mark(i)
	}
}

func (c *Controller) release(node, cidr string) {
	delete(c.held, node)
	if i, ok := c.pool.index(cidr); ok {
		c.pool.free(i)
	}
}

// Reconcile gives one node its range. A range that was planned for it before, by
// a write that failed, is planned again.
func (c *Controller) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	c.readOnce(v)
	n := v.Node(key.Name)
	if n == nil || n.DeletionTimestamp != nil || n.Spec.PodCIDR != "" {
		return p
	}
	cidr, ok := c.held[n.Name]
	if !ok {
		i, free := c.pool.take()
		if !free {
			if !c.wait[n.Name] {
				c.wait[n.Name] = true
				p.Note(api.Normal(n, component, "CIDRNotAvailable", "Node "+n.Name+" status is now: CIDRNotAvailable"))
			}
			return p
		}
		cidr = c.pool.subnet(i)
		c.held[n.Name] = cidr
		delete(c.wait, n.Name)
	}
	w := api.Patch(key, types.StrategicMergePatchType, fmt.Appendf(nil, `{"spec":{"podCIDR":%q,"podCIDRs":[%q]}}`, cidr, cidr))
	w.UID = n.UID
	p.Write(w)
	return p
}
