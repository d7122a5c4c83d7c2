package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/client"
	podnet "seatrial.dev/seatrial/live/network"
)

// networkRetry is the wait before the host's network is tried again.
const networkRetry = 2 * time.Second

// networkWait is how long a sandbox waits for it, rather than to be tried again later.
const networkWait = 2 * time.Second

// hostNetwork is the host's pod network, once its node has a range of addresses.
type hostNetwork struct {
	mu      sync.Mutex
	cidr    netip.Prefix // that is being set up, or is
	net     *podnet.Network
	problem string
	ready   chan struct{} // closed when there is a network
}

func (n *hostNetwork) get() *podnet.Network {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.net
}

// wait gives a network that is being set up a little time.
func (n *hostNetwork) wait(ctx context.Context) *podnet.Network {
	t := time.NewTimer(networkWait)
	defer t.Stop()
	select {
	case <-n.ready:
	case <-t.C:
	case <-ctx.Done():
	}
	return n.get()
}

// why says why there is none.
func (n *hostNetwork) why() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.problem == "" {
		return "the node has no pod CIDR yet"
	}
	return n.problem
}

func (n *hostNetwork) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.net != nil {
		n.net.Close()
	}
}

// networkFor sets up the network of a node that has just been given its range. The range
// of a node does not change.
func (a *Agent) networkFor(node *corev1.Node) {
	if node.Spec.PodCIDR == "" {
		return
	}
	cidr, err := netip.ParsePrefix(node.Spec.PodCIDR)
	a.net.mu.Lock()
	defer a.net.mu.Unlock()
	if a.net.cidr.IsValid() {
		return
	}
	if err != nil {
		a.net.problem = "the node's pod CIDR: " + err.Error()
		return
	}
	a.net.cidr = cidr
	a.tasks.Go(func() { a.setupNetwork(a.ctx, cidr) })
}

func (a *Agent) setupNetwork(ctx context.Context, cidr netip.Prefix) {
	for {
		net, err := podnet.Setup(podnet.Host{PodCIDR: cidr, NodeIP: a.cfg.NodeIP, Dir: filepath.Join(a.cfg.DataDir, "network"),
			NetnsDir: a.cfg.NetnsDir, Mode: a.cfg.NetworkMode, ClusterCIDRs: []netip.Prefix{a.member.PodCIDR}})
		if err == nil {
			for _, w := range net.Warnings() {
				a.log("pod network: %s", w)
			}
			var keep []string // pods that are no more are taken off by whoever clears them away
			for _, p := range a.pods.all() {
				keep = append(keep, string(p.uid))
			}
			if err := net.Sweep(keep); err != nil {
				a.log("%v", err)
			}
			a.net.mu.Lock()
			a.net.net, a.net.problem = net, ""
			close(a.net.ready)
			a.net.mu.Unlock()
			a.problems.set(partNetwork, "")
			a.proxy.wake()
			a.routes.wake()
			return
		}
		a.log("%v", err)
		a.net.mu.Lock()
		a.net.problem = err.Error()
		a.net.mu.Unlock()
		a.problems.set(partNetwork, err.Error())
		if !sleep(ctx, networkRetry) {
			return
		}
	}
}

// bell rings once however often it is pulled before somebody hears it.
type bell chan struct{}

func (b bell) wake() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// routes are the ways to the other nodes' pods.
type routes struct {
	bell
	mu     sync.Mutex
	byNode map[string]podnet.NodeRoute
	synced bool
}

// followNetwork follows all that this host needs to know of the others.
func (a *Agent) followNetwork(ctx context.Context) {
	a.follow(ctx, kinds.Node, client.Selection{}, client.Sink{Event: a.nodeElsewhere, Synced: func() {
		a.routes.mu.Lock()
		a.routes.synced = true
		a.routes.mu.Unlock()
		a.routes.wake()
	}})
	for _, k := range []kinds.Kind{kinds.Service, kinds.EndpointSlice} {
		a.follow(ctx, k, client.Selection{}, client.Sink{Event: func(e store.Event) {
			a.services.apply(e)
			a.proxy.event(ctx, e)
		}, Synced: func() {
			a.services.ready(k)
			a.proxy.event(ctx, store.Event{Ref: kinds.Ref{Kind: k}})
		}})
	}
	a.tasks.Go(func() { a.keepRoutes(ctx) })
}

func (a *Agent) nodeElsewhere(e store.Event) {
	n, ok := e.Object.(*corev1.Node)
	if !ok || n.Name == a.cfg.NodeName {
		return
	}
	a.routes.mu.Lock()
	defer a.routes.mu.Unlock()
	r, err := routeTo(n, a.member.PodCIDR)
	if e.Type == store.Deleted || err != nil {
		delete(a.routes.byNode, n.Name)
	} else {
		if a.routes.byNode[n.Name] == r {
			return
		}
		a.routes.byNode[n.Name] = r
	}
	a.routes.wake()
}

var errNoRoute = errors.New("the node has no pod CIDR or no address")

// routeTo is the way to another node's pods, whose addresses are in the cluster's range:
// what a node says of others' addresses does not count.
func routeTo(n *corev1.Node, cluster netip.Prefix) (r podnet.NodeRoute, err error) {
	if n.Spec.PodCIDR == "" {
		return r, errNoRoute
	}
	if r.PodCIDR, err = netip.ParsePrefix(n.Spec.PodCIDR); err != nil {
		return r, err
	}
	if r.PodCIDR.Bits() < cluster.Bits() || !cluster.Contains(r.PodCIDR.Addr()) {
		return r, fmt.Errorf("pod CIDR %s: want one within the cluster's, %s", r.PodCIDR, cluster)
	}
	for _, addr := range n.Status.Addresses {
		if addr.Type == corev1.NodeInternalIP {
			r.NodeIP, err = netip.ParseAddr(addr.Address)
			return r, err
		}
	}
	return r, errNoRoute
}

// keepRoutes sets the routes when they have changed, and again where that failed.
func (a *Agent) keepRoutes(ctx context.Context) {
	for {
		select {
		case <-a.routes.bell:
		case <-ctx.Done():
			return
		}
		net := a.net.get()
		a.routes.mu.Lock()
		var list []podnet.NodeRoute
		for _, r := range a.routes.byNode {
			list = append(list, r)
		}
		ready := a.routes.synced
		a.routes.mu.Unlock()
		if net == nil || !ready {
			continue
		}
		if err := net.SetRoutes(list); err != nil {
			a.log("%v", err)
			if !sleep(ctx, networkRetry) {
				return
			}
			a.routes.wake()
		}
	}
}
