package sched

import (
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/equality"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/sched/volumes"
)

// Scheduler is the whole scheduler as a state machine: See feeds it the events of a
// view, Next hands out the pod that is to be decided on, Decide decides, Take hands
// out the writes that follow, and Answered tells their outcome. It reads no clock:
// now is given. A world drives it.
type Scheduler struct {
	profiles map[string]*profile
	snapshot *Snapshot
	queue    *Queue
	pending  map[kinds.Key]*corev1.Pod // pods of ours without a node, as last seen

	writes  []Write
	sent    map[uint64]sent // that Take handed out, by ID
	lastID  uint64
	rounds  uint64              // of relevant labels that the queue has taken in
	binding map[kinds.Key]*bind // pods whose volumes are being bound
	gangs   map[kinds.Key]*gang // pod groups, and pods that wait for one
}

// Write is something that the scheduler wants of the API.
type Write struct {
	ID    uint64      // for Answered
	Req   api.Request // the write; the zero Verb when there is only a note
	Notes []api.Note  // to be recorded once it has succeeded
	Cause uint64      // the event of the trace that it follows from; 0 for the one at hand
}

// New returns a scheduler that has seen nothing yet. The configuration must be valid;
// package config sees to that.
func New(cfg Config) *Scheduler {
	if err := cfg.Check(); err != nil {
		panic("sched: " + err.Error())
	}
	s := &Scheduler{profiles: map[string]*profile{}, snapshot: NewSnapshot(), queue: NewQueue(cfg.InitialBackoff, cfg.MaxBackoff),
		pending: map[kinds.Key]*corev1.Pod{}, sent: map[uint64]sent{}, binding: map[kinds.Key]*bind{}, gangs: map[kinds.Key]*gang{}}
	for i := range cfg.Profiles {
		p := ready(&cfg.Profiles[i])
		p.extenders, p.asker = cfg.Extenders, cfg.Asker
		s.profiles[p.Name] = p
	}
	return s
}

// Watches lists the kinds whose events See wants.
func Watches() []kinds.Kind {
	list := []kinds.Kind{kinds.Pod, kinds.Node, kinds.Namespace, kinds.Service, kinds.ReplicationController, kinds.ReplicaSet,
		kinds.StatefulSet, kinds.PodDisruptionBudget, kinds.PodGroup}
	return append(list, volumes.New().Watches()...)
}

// Nodes is the number of nodes that the scheduler knows.
func (s *Scheduler) Nodes() int { return s.snapshot.count }

// Pending is a pod that waits for a node, as last seen; nil for one that does not.
func (s *Scheduler) Pending(key kinds.Key) *corev1.Pod { return s.pending[key] }

// See takes one event of the view. cause is the event of the trace that brought it.
func (s *Scheduler) See(now time.Time, e store.Event, cause uint64) {
	x := s.snapshot
	switch o := e.Object.(type) {
	case *corev1.Pod:
		s.seePod(now, e, o, cause)
	case *corev1.Node:
		s.seeNode(now, e, o, cause)
	case *corev1.Namespace:
		x.setNamespace(o.Name, o.Labels, e.Type != store.Deleted)
		s.changed(now, cause, &change{event: e})
	case *corev1.Service, *corev1.ReplicationController, *appsv1.ReplicaSet, *appsv1.StatefulSet:
		x.seeBacking(e)
	case *policyv1.PodDisruptionBudget:
		x.budgets.see(e)
	case *schedulingv1beta1.PodGroup:
		s.seeGang(now, e, o, cause)
	default:
		x.volumes.See(e)
		s.changed(now, cause, &change{event: e, volumes: true})
		s.bindReady(now)
	}
}

func (s *Scheduler) seeNode(now time.Time, e store.Event, n *corev1.Node, cause uint64) {
	var was *corev1.Node
	if i, ok := s.snapshot.byName[n.Name]; ok {
		was = s.snapshot.nodes[i]
	}
	if e.Type == store.Deleted {
		s.snapshot.removeNode(n.Name)
		s.changed(now, cause, &change{event: e, was: was})
		return
	}
	s.snapshot.setNode(n)
	if was == nil || differs(was, n) {
		s.changed(now, cause, &change{event: e, node: n, was: was})
	}
}

// differs says whether a node changed in something that decisions go by.
func differs(a, b *corev1.Node) bool {
	return a.Spec.Unschedulable != b.Spec.Unschedulable || !maps.Equal(a.Labels, b.Labels) ||
		!equality.Semantic.DeepEqual(a.Spec.Taints, b.Spec.Taints) ||
		!equality.Semantic.DeepEqual(a.Status.Allocatable, b.Status.Allocatable)
}

func (s *Scheduler) seePod(now time.Time, e store.Event, p *corev1.Pod, cause uint64) {
	key := e.Ref.Key
	if e.Type == store.Deleted || p.Spec.NodeName != "" || view.Finished(p) {
		s.seeSettled(now, e, p, cause)
		return
	}
	if s.profiles[p.Spec.SchedulerName] == nil {
		return
	}
	s.pending[key] = p
	if p.DeletionTimestamp != nil {
		s.queue.Remove(key)
		s.leave(now, p, cause)
		s.snapshot.unnominate(key)
		return
	}
	s.snapshot.nominate(p, p.Status.NominatedNodeName)
	old, _ := e.Old.(*corev1.Pod)
	if _, ok := kinds.GroupOf(p); ok {
		s.join(now, p, cause, old != nil && retries(old, p))
		return
	}
	s.queue.Set(now, p, s.snapshot.classOf(p), cause, old != nil && retries(old, p))
}

// retries says whether a pod's own change may have made it schedulable.
func retries(old, p *corev1.Pod) bool {
	return old.Generation != p.Generation || !maps.Equal(old.Labels, p.Labels)
}

// seeSettled takes a pod that has a node, or is gone.
func (s *Scheduler) seeSettled(now time.Time, e store.Event, p *corev1.Pod, cause uint64) {
	key, x := e.Ref.Key, s.snapshot
	delete(s.pending, key)
	s.queue.Remove(key)
	s.leave(now, p, cause)
	x.unnominate(key)
	var before *class
	if r := x.residents[key]; r != nil {
		before = r.class
		if r.pod.Spec.NodeName == "" {
			before = nil // was only assumed: to those who wait it is new
		}
	}
	if e.Type == store.Deleted || view.Finished(p) {
		x.forget(key)
		if before != nil || p.Spec.NodeName != "" {
			s.changed(now, cause, &change{event: e, pod: p, class: x.classOf(p), before: before, gone: true})
		}
		return
	}
	x.settle(p, p.Spec.NodeName)
	if after := x.residents[key].class; after != before {
		s.changed(now, cause, &change{event: e, pod: p, class: after, before: before})
	}
}

// changed wakes the parked pods that a change may help.
func (s *Scheduler) changed(now time.Time, cause uint64, c *change) {
	if r := s.snapshot.relevant.rounds; r != s.rounds {
		s.rounds = r
		s.queue.reclass(s.snapshot.classOf)
	}
	s.queue.Changed(now, cause, func(g *group) bool {
		return s.snapshot.helps(s.profiles[g.example.pod.Spec.SchedulerName], g, c)
	})
}

// Next hands out the pod that comes first. Each pod that is handed out must be given
// to Decide, before the next call or later.
func (s *Scheduler) Next(now time.Time) (pod *corev1.Pod, cause uint64, ok bool) {
	w, ok := s.queue.Pop(now)
	if !ok {
		return nil, 0, false
	}
	return w.pod, w.cause, true
}

// Size is how many pods Decide will decide on with a pod that Next handed out: all of
// its pod group that wait.
func (s *Scheduler) Size(pod *corev1.Pod) int {
	if name, ok := kinds.GroupOf(pod); ok && s.gangs[name] != nil {
		return max(len(s.gangs[name].members), 1)
	}
	return 1
}

// Due is when something will be due that is not yet; ok is false for never.
func (s *Scheduler) Due() (at time.Time, ok bool) {
	at, ok = s.queue.Next()
	for _, b := range s.binding { //det:ok the least of all is the same in any order
		if until := b.since.Add(volumes.BindTimeout); !ok || until.Before(at) {
			at, ok = until, true
		}
	}
	return at, ok
}

// Decide decides on a pod that Next handed out, and prepares what follows from it for
// Take: the bind, or the condition and the victims' removal. A pod that needs no node
// any more gets the zero Decision. A pod of a pod group is decided on with all others
// of it that wait: the Decision's Members tell of each.
func (s *Scheduler) Decide(now time.Time, pod *corev1.Pod) Decision {
	if group, ok := kinds.GroupOf(pod); ok {
		return s.decideGang(now, group)
	}
	key := kinds.KeyOf(pod)
	current := s.pending[key]
	if current == nil || current.UID != pod.UID || current.DeletionTimestamp != nil {
		s.queue.Remove(key)
		return Decision{}
	}
	p, x := s.profiles[pod.Spec.SchedulerName], s.snapshot
	wanted := x.nominated.byPod[key]
	x.unnominate(key) // its own room is not in its way
	if wanted != nil {
		if d, ok := x.decideNominated(p, current, wanted.node); ok {
			s.assume(now, current, d.Node)
			return d
		}
	}
	d := x.decide(p, current)
	if d.Node != "" {
		s.assume(now, current, d.Node)
		return d
	}
	if d.Failed != "" {
		s.fail(now, current, d.Failed)
		return d
	}
	nomination := ""
	if wanted != nil {
		nomination = wanted.node
	}
	if p.Preempts && d.Nodes > 0 {
		nomination = x.makeRoom(p, current, &d, nomination)
	}
	s.reject(now, current, &d, nomination)
	return d
}

// decideNominated looks at the node on which room was made for a pod, before any other.
func (x *Snapshot) decideNominated(p *profile, pod *corev1.Pod, node string) (Decision, bool) {
	i, ok := x.byName[node]
	if !ok {
		return Decision{}, false
	}
	y, refused := x.searchFor(p, pod)
	if refused != nil || y.columns.local[i] < 0 || y.check(i) != accepted {
		return Decision{}, false
	}
	if left, err := y.ask([]int32{i}); err != nil || len(left) == 0 {
		return Decision{}, false
	}
	return Decision{Node: node, Nodes: x.count, Feasible: 1}, true
}

// makeRoom looks for victims and says which node the pod is nominated for then.
func (x *Snapshot) makeRoom(p *profile, pod *corev1.Pod, d *Decision, before string) (nomination string) {
	y, refused := x.searchFor(p, pod)
	if refused != nil {
		x.refuse(p, d)
		return ""
	}
	y.refused = d.refused
	y.preempt(d, nil)
	switch {
	case d.Preempted != "":
		return d.Preempted
	case d.ineligible:
		return before
	}
	return ""
}

// Explain says how a pod is looked at now. It changes nothing that decisions go by.
func (s *Scheduler) Explain(now time.Time, pod *corev1.Pod) *Explanation {
	p := s.profiles[pod.Spec.SchedulerName]
	if p == nil {
		return &Explanation{Pod: kinds.KeyOf(pod).String(), Refused: "no scheduler here has the name " + pod.Spec.SchedulerName}
	}
	if name, ok := kinds.GroupOf(pod); ok {
		if why := s.waitsFor(s.gangOf(name), pod); why != "" {
			return &Explanation{Pod: kinds.KeyOf(pod).String(), Refused: why, Plugin: GangScheduling, Message: why}
		}
	}
	return s.snapshot.explain(p, pod)
}

// Take hands out the writes there are to make, in order. The slice is valid until
// the next call of any method.
func (s *Scheduler) Take() []Write {
	list := s.writes
	s.writes = s.writes[:0]
	return list
}
