package agent

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/live/iptables"
	"seatrial.dev/seatrial/nodeagent/inject"
	"seatrial.dev/seatrial/nodeagent/proxy"
)

// services is what containers are told of the cluster's services.
type services struct {
	allocatable corev1.ResourceList // the node's; set before all else

	mu     sync.Mutex
	byKey  map[kinds.Key]*corev1.Service
	synced bool
}

var errServicesUnread = errors.New("services have not yet been read at least once, cannot construct envvars")

func (s *services) apply(e store.Event) {
	if e.Ref.Kind != kinds.Service {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = map[kinds.Key]*corev1.Service{}
	}
	if e.Type == store.Deleted {
		delete(s.byKey, e.Ref.Key)
		return
	}
	s.byKey[e.Ref.Key] = e.Object.(*corev1.Service)
}

func (s *services) ready(k kinds.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = s.synced || k == kinds.Service
}

// of are the services whose variables a pod gets.
func (s *services) of(pod *corev1.Pod) ([]*corev1.Service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.synced {
		return nil, errServicesUnread
	}
	all := make([]*corev1.Service, 0, len(s.byKey))
	for _, v := range s.byKey {
		all = append(all, v)
	}
	return inject.ServicesFor(pod, all), nil
}

// Times of the proxy.
const (
	proxyCheck  = time.Minute      // between two looks at whether somebody else changed the rules
	proxyRetry  = 5 * time.Second  // after rules could not be applied
	proxyGather = time.Millisecond // events that come within are applied together
	proxyQueue  = 4096             // events that wait while rules are applied
)

// serviceProxy keeps the host's rules those of the services.
type serviceProxy struct {
	bell
	events chan store.Event // one without an object says that its kind is synced
}

func (p *serviceProxy) event(ctx context.Context, e store.Event) {
	select {
	case p.events <- e:
	case <-ctx.Done():
	}
}

// rules is what the proxy's goroutine knows.
type rules struct {
	a      *Agent
	tables *iptables.Tables
	view   *view.View
	set    *proxy.RuleSet
	config proxy.Config
	synced map[kinds.Kind]bool
	keys   []kinds.Key // of services to be compiled anew
	fresh  bool        // nothing has been applied yet
	names  nameServer
}

// serveProxy is the goroutine of the proxy.
func (a *Agent) serveProxy(ctx context.Context) {
	r := &rules{a: a, view: view.New(kinds.Service, kinds.EndpointSlice), synced: map[kinds.Kind]bool{}, fresh: true}
	defer r.close()
	check := time.NewTicker(proxyCheck)
	defer check.Stop()
	retry := time.NewTimer(time.Hour)
	retry.Stop()
	for {
		select {
		case e := <-a.proxy.events:
			r.take(e)
			r.gather(ctx)
		case <-a.proxy.bell:
		case <-retry.C:
		case <-check.C:
			r.check(ctx)
		case <-ctx.Done():
			return
		}
		err := r.apply(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			a.log("services: %v", err)
			a.problems.set(partServices, err.Error())
			retry.Reset(proxyRetry)
		default:
			a.problems.set(partServices, "")
		}
	}
}

func (r *rules) close() {
	r.names.close()
	if r.tables != nil {
		r.tables.Close()
	}
}

// gather takes in the events that follow closely.
func (r *rules) gather(ctx context.Context) {
	quiet := time.NewTimer(proxyGather)
	defer quiet.Stop()
	for range proxyQueue {
		select {
		case e := <-r.a.proxy.events:
			r.take(e)
		case <-quiet.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *rules) take(e store.Event) {
	if e.Object == nil {
		r.synced[e.Ref.Kind] = true
		return
	}
	// The kinds are followed apart, so their versions do not make one order.
	e.RV = r.view.RV() + 1
	r.view.Apply(e)
	r.keys = append(r.keys, proxy.Concerned(e)...)
}

// apply brings the host's rules up to date. Before the node has its range of addresses
// there are no pods, but services can be reached from the host all the same.
func (r *rules) apply(ctx context.Context) error {
	if !r.synced[kinds.Service] || !r.synced[kinds.EndpointSlice] {
		return nil
	}
	named := r.names.apply(r.a, r.view, r.keys)
	return errors.Join(named, r.applyRules(ctx))
}

func (r *rules) applyRules(ctx context.Context) error {
	if r.tables == nil {
		tables, err := iptables.Open(ctx, iptables.Config{Backend: r.a.cfg.Iptables})
		if err != nil {
			return err
		}
		r.tables = tables
	}
	config := r.a.proxyConfig()
	switch {
	case r.set == nil || !sameConfig(config, r.config):
		r.config, r.set = config, proxy.Compile(config, r.view)
	default:
		r.set = r.set.Update(r.view, r.keys...)
	}
	r.set = r.set.WithHostPorts(r.a.hostPorts())
	r.keys = r.keys[:0]
	var err error
	if r.fresh {
		_, err = r.tables.Resync(ctx, r.set)
	} else {
		_, err = r.tables.Apply(ctx, r.set)
	}
	r.fresh = r.fresh && err != nil
	return err
}

func sameConfig(a, b proxy.Config) bool {
	return a.Node == b.Node && a.Zone == b.Zone && a.PodCIDR == b.PodCIDR && a.ClusterCIDR == b.ClusterCIDR && len(a.Addresses) == len(b.Addresses)
}

func (r *rules) check(ctx context.Context) {
	if r.tables == nil || r.fresh {
		return
	}
	drift, err := r.tables.Check(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.a.log("services: %v", err)
		}
		return
	}
	if len(drift) > 0 {
		r.a.log("services: somebody changed the rules, they are written anew: %s", drift[0])
	}
}

func (a *Agent) proxyConfig() proxy.Config {
	c := proxy.Config{Node: a.cfg.NodeName, Addresses: []netip.Addr{a.cfg.NodeIP}, ClusterCIDR: a.member.PodCIDR}
	if n := a.ownNode.Load(); n != nil {
		c.Zone = n.Labels[corev1.LabelTopologyZone]
	}
	a.net.mu.Lock()
	defer a.net.mu.Unlock()
	if a.net.net != nil {
		c.PodCIDR = a.net.cidr
	}
	return c
}
