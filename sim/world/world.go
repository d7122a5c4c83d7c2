package world

import (
	"fmt"
	"time"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/ctrl/all"
	"seatrial.dev/seatrial/netsim"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sim"
)

// Timing is how long the parts of the control plane take in virtual time.
type Timing struct {
	APIRequest  time.Duration // the API server's work on one request
	CallTimeout time.Duration // after which a caller without an answer gives up
	Reconnect   time.Duration // from a link's return until a broken watch is resumed
	Reconcile   time.Duration // a controller's work on one key
	Decision    time.Duration // the scheduler's work on one pod
	Boot        time.Duration // from power on until the node agent runs
	LeaseRenew  time.Duration // between two heartbeats of a node (kubelet's 10 s)
	EvictRetry  time.Duration // between two tries of a drain to evict a pod (kubectl's 5 s)
	Apply       time.Duration // from the start until the manifests are applied: the nodes are up by then
}

// DefaultTiming is that of a control plane of ordinary size.
func DefaultTiming() Timing {
	return Timing{
		APIRequest:  500 * time.Microsecond,
		CallTimeout: 10 * time.Second,
		Reconnect:   time.Second,
		Reconcile:   500 * time.Microsecond,
		Decision:    500 * time.Microsecond,
		Boot:        5 * time.Second,
		LeaseRenew:  10 * time.Second,
		EvictRetry:  5 * time.Second,
		Apply:       250 * time.Millisecond,
	}
}

// reconcilers is how many keys a controller works on at a time, as Kubernetes'
// --concurrent-*-syncs flags.
const reconcilers = 5

// World is one simulated cluster.
type World struct {
	scn     *scenarios.Scenario
	timing  Timing
	eng     *sim.Engine
	net     *netsim.Net
	server  *server
	ctrls   *manager
	sched   *scheduler
	user    *user
	outside *outside
	hosts   []*host
	byNode  map[string]*host

	registry netsim.Party
	judge    scenarios.Judge
	stop     func() bool
	stopped  bool
	asked    uint
	observed bool // the judge was told of something at this instant
	explain  func(pod kinds.Ref, explain func() *sched.Explanation)
}

// New builds the cluster of a scenario. seed overrides the scenario's.
func New(scn *scenarios.Scenario, seed uint64) (*World, error) {
	if err := scn.Scheduler.Check(); err != nil {
		return nil, err
	}
	w := &World{scn: scn, timing: DefaultTiming(), eng: sim.New(seed), byNode: map[string]*host{}}
	if !scn.Start.IsZero() {
		w.eng.StartAt(scn.Start)
	}
	latency := netsim.DefaultLatency()
	latency.SameZone, latency.CrossZone = scn.Network.LatencySameZone, scn.Network.LatencyCrossZone
	latency.JitterPercent = scn.Network.JitterPercent
	w.net = netsim.New(latency, w.eng.Stream("network"))
	home := ""
	if len(scn.Nodes) > 0 {
		home = zoneOf(scn.Nodes[0])
	}
	plane := w.net.Join(scenarios.ControlPlane, home)
	w.registry = w.net.Join(scenarios.Registry, scenarios.Registry)

	a, err := api.New(store.New(store.WindowDefault), w.eng.Stream("api"), api.Config{
		ServiceCIDR: scn.Network.ServiceCIDR, NodePortMin: scn.Network.NodePortMin, NodePortMax: scn.Network.NodePortMax})
	if err != nil {
		return nil, fmt.Errorf("build the API: %w", err)
	}
	w.server = newServer(w, a, plane)
	w.ctrls = newManager(w, plane, all.New(all.Config{PodCIDR: scn.Network.PodCIDR, Provisions: true}))
	w.sched = newScheduler(w, plane)
	w.user = newUser(w, plane)
	w.outside = newOutside(w)
	for i, n := range scn.Nodes {
		h := newHost(w, n, i)
		w.hosts = append(w.hosts, h)
		w.byNode[n.Name] = h
	}
	return w, nil
}

// Engine gives access to the run's clock, hash and recorder.
func (w *World) Engine() *sim.Engine { return w.eng }

// Store is the cluster's state as the API server has it.
func (w *World) Store() *store.Store { return w.server.api.Store() }

// StopWhen lets a run end early, with scenarios.ErrStopped, once stop returns true. It is
// asked every so many events.
func (w *World) StopWhen(stop func() bool) { w.stop = stop }

// ExplainTo is told of every decision of the scheduler just before it is made, with a
// function that says how the pod is looked at. It must change nothing.
func (w *World) ExplainTo(f func(pod kinds.Ref, explain func() *sched.Explanation)) { w.explain = f }

// Explain says how a pod that has no node yet is looked at now; nil for one that has a
// node, or is not there.
func (w *World) Explain(pod kinds.Key) *sched.Explanation {
	p := w.sched.sched.Pending(pod)
	if p == nil {
		return nil
	}
	return w.sched.sched.Explain(w.eng.Date(), p)
}

// stopEvery is how many events are handled between two times that stop is asked.
const stopEvery = 4096

// askStop says whether the run must stop; most calls only count.
func (w *World) askStop() bool {
	if w.asked++; w.asked%stopEvery == 0 && w.stop != nil && w.stop() {
		w.stopped = true
	}
	return w.stopped
}

// Run implements scenarios.Target.
func (w *World) Run(j scenarios.Judge) error {
	w.Start(j)
	if err := w.Advance(w.scn.Duration); err != nil {
		return err
	}
	w.RenewLeases()
	return nil
}

// Start puts the scenario's time line before the world and lets its hosts power on.
// It must be called once, before Advance.
func (w *World) Start(j scenarios.Judge) {
	w.judge = j
	w.user.schedule()
	w.replayRequests()
	for _, h := range w.hosts {
		h.schedulePowerOn()
	}
}

// Advance runs everything up to and at a virtual time.
func (w *World) Advance(to time.Duration) error {
	for {
		if w.stopped {
			return scenarios.ErrStopped
		}
		at, ok := w.eng.NextAt()
		if check, has := w.judge.Next(); has && (!ok || check < at) && check <= to {
			w.eng.Run(check, nil)
			w.settle()
			continue
		}
		if !ok || at > to {
			break
		}
		w.instant(at)
	}
	w.eng.Run(to, nil)
	return nil
}

// RenewLeases brings the leases of nodes whose heartbeats are vouched for up to
// date, for whoever reads the cluster's state.
func (w *World) RenewLeases() { w.server.renewLeases() }

// instant runs all events of one virtual time and lets the judge look once.
func (w *World) instant(at time.Duration) {
	w.eng.Run(at, w.askStop)
	if w.stopped {
		return
	}
	if w.observed {
		w.settle()
		return
	}
	if check, has := w.judge.Next(); has && check <= at {
		w.settle()
	}
}

func (w *World) settle() {
	w.observed = false
	w.judge.Settle(w.eng.Now())
}

// ref names an object of a cluster-wide kind.
func ref(k kinds.Kind, name string) kinds.Ref { return kinds.Ref{Kind: k, Key: kinds.Key{Name: name}} }
