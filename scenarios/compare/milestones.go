package compare

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/scenarios"
)

// Milestone is what is reached.
type Milestone uint8

// The milestones, in their order.
const (
	Scheduled Milestone = iota
	Pulled
	Started
	Ready
	Noticed
	Recovered
	count
)

// String is the milestone's name in a table.
func (m Milestone) String() string {
	return [...]string{"scheduled", "pulled", "started", "ready", "failure noticed", "recovered"}[m]
}

// All are the milestones, in their order.
func All() []Milestone { return []Milestone{Scheduled, Pulled, Started, Ready, Noticed, Recovered} }

// Milestones gathers how long each took. The zero value is not usable; see New.
type Milestones struct {
	pods   map[types.UID]*times
	faults []*fault
	lacks  map[kinds.Ref]int32 // workloads that are short of ready replicas, and of how many
	took   [count][]time.Duration
}

// times are when a pod was created and reached what; -1 before it has.
type times struct {
	created time.Duration
	at      [Ready + 1]time.Duration
}

// fault is one node that was taken away.
type fault struct {
	node    string
	at      time.Duration
	before  map[kinds.Ref]bool // workloads that were short already; nil before it happens
	noticed bool
	harmed  bool // some workload was short because of it
	over    bool
}

// New follows a run of a scenario.
func New(scn *scenarios.Scenario) *Milestones {
	m := &Milestones{pods: map[types.UID]*times{}, lacks: map[kinds.Ref]int32{}}
	for _, s := range scn.Steps {
		for _, node := range takesAway(scn, s.Action) {
			m.faults = append(m.faults, &fault{node: node, at: s.At})
		}
	}
	return m
}

// takesAway are the nodes that an action takes from the control plane.
func takesAway(scn *scenarios.Scenario, a scenarios.Action) []string {
	switch a := a.(type) {
	case scenarios.Crash:
		return []string{a.Node}
	case scenarios.Freeze:
		return []string{a.Node}
	case scenarios.Cut:
		if len(a.To) > 0 && !slices.Contains(a.To, scenarios.ControlPlane) && !slices.Contains(a.From, scenarios.ControlPlane) {
			return nil
		}
		var nodes []string
		for _, n := range scn.Nodes {
			if slices.Contains(a.From, n.Name) || slices.Contains(a.From, scenarios.ControlPlane) && slices.Contains(a.To, n.Name) {
				nodes = append(nodes, n.Name)
			}
		}
		return nodes
	}
	return nil
}

// Observe is shown every write, in order.
func (m *Milestones) Observe(now time.Duration, e store.Event) {
	switch o := e.Object.(type) {
	case *corev1.Pod:
		m.pod(now, e, o)
	case *corev1.Event:
		if o.Reason == "Pulled" && e.Type == store.Added {
			m.reached(m.pods[o.InvolvedObject.UID], Pulled, now)
		}
	case *corev1.Node:
		m.node(now, o)
	default:
		if want, ready, ok := replicas(e.Object); ok {
			m.workload(now, e, want-ready)
		}
	}
}

func (m *Milestones) pod(now time.Duration, e store.Event, p *corev1.Pod) {
	if e.Type == store.Added {
		m.pods[p.UID] = &times{created: now, at: [...]time.Duration{-1, -1, -1, -1}}
	}
	t := m.pods[p.UID]
	if t == nil {
		return
	}
	if e.Type == store.Deleted {
		delete(m.pods, p.UID)
		return
	}
	if p.Spec.NodeName != "" {
		m.reached(t, Scheduled, now)
	}
	if slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Running != nil || c.State.Terminated != nil
	}) {
		m.reached(t, Started, now)
	}
	if view.Ready(p) {
		m.reached(t, Ready, now)
	}
}

// reached notes how long after the milestone before it a pod reached one. A milestone
// that was not seen (an event that was lost) is passed over.
func (m *Milestones) reached(t *times, k Milestone, now time.Duration) {
	if t == nil || t.at[k] >= 0 {
		return
	}
	since := t.created
	for _, before := range slices.Backward(t.at[:k]) {
		if before >= 0 {
			since = before
			break
		}
	}
	t.at[k] = now
	m.took[k] = append(m.took[k], now-since)
}

func (m *Milestones) node(now time.Duration, n *corev1.Node) {
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	for _, f := range m.faults {
		if f.node == n.Name && now >= f.at && !f.noticed && !ready {
			f.noticed = true
			m.took[Noticed] = append(m.took[Noticed], now-f.at)
		}
	}
}

// replicas are how many pods a workload wants and has ready.
func replicas(o kinds.Object) (want, ready int32, ok bool) {
	one := func(p *int32) int32 {
		if p == nil {
			return 1
		}
		return *p
	}
	switch o := o.(type) {
	case *appsv1.Deployment:
		return one(o.Spec.Replicas), o.Status.ReadyReplicas, true
	case *appsv1.ReplicaSet:
		return one(o.Spec.Replicas), o.Status.ReadyReplicas, true
	case *appsv1.StatefulSet:
		return one(o.Spec.Replicas), o.Status.ReadyReplicas, true
	case *corev1.ReplicationController:
		return one(o.Spec.Replicas), o.Status.ReadyReplicas, true
	}
	return 0, 0, false
}

// workload follows what is short of replicas. A fault is over when what it made short is
// whole again; one that made nothing short is not counted.
func (m *Milestones) workload(now time.Duration, e store.Event, lacks int32) {
	m.startFaults(now)
	if e.Type == store.Deleted || lacks <= 0 {
		delete(m.lacks, e.Ref)
	} else {
		m.lacks[e.Ref] = lacks
	}
	for _, f := range m.faults {
		if f.before == nil || f.over {
			continue
		}
		switch short := m.short(f); {
		case short > 0:
			f.harmed = true
		case f.harmed:
			f.over = true
			m.took[Recovered] = append(m.took[Recovered], now-f.at)
		}
	}
}

// startFaults remembers what was short before a fault.
func (m *Milestones) startFaults(now time.Duration) {
	for _, f := range m.faults {
		if f.before == nil && f.at <= now {
			f.before = map[kinds.Ref]bool{}
			for ref := range m.lacks {
				f.before[ref] = true
			}
		}
	}
}

// short is how many workloads are short since a fault.
func (m *Milestones) short(f *fault) (n int) {
	for ref := range m.lacks {
		if !f.before[ref] {
			n++
		}
	}
	return n
}

// Took is how long one milestone took.
type Took struct {
	Milestone Milestone
	Times     int           // how often it was reached
	Median    time.Duration // 0 if never
	Longest   time.Duration
}

// Took sums a milestone up.
func (m *Milestones) Took(k Milestone) Took {
	list := slices.Sorted(slices.Values(m.took[k]))
	t := Took{Milestone: k, Times: len(list)}
	if len(list) > 0 {
		t.Median, t.Longest = list[(len(list)-1)/2], list[len(list)-1]
	}
	return t
}

// lower is a kind's name as people write it.
func lower(k kinds.Kind) string { return strings.ToLower(k.String()) }
