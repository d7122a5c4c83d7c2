package sched

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// gang is a pod group: pods that are decided on together, in one go. It waits in the
// queue as one (kubernetes.io/docs/concepts/scheduling-eviction/podgroup-scheduling).
type gang struct {
	key     kinds.Key
	object  *schedulingv1beta1.PodGroup // nil: it is not there yet
	members map[kinds.Key]*member       // pods without a node
	lead    *member                     // the first of them in order; nil when it has left
	gated   int                         // of them that have scheduling gates
}

// member is a pod of a gang that waits for a node.
type member struct {
	pod      *corev1.Pod
	key      kinds.Key
	added    time.Time
	attempts int
}

// gangKey is the gang's place in the queue; no pod's name has a slash.
func (g *gang) gangKey() kinds.Key {
	return kinds.Key{Namespace: g.key.Namespace, Name: "podgroup/" + g.key.Name}
}

func (g *gang) uid() types.UID {
	if g.object == nil {
		return ""
	}
	return g.object.UID
}

// minCount is how many pods of a gang must have a node at once.
func (g *gang) minCount() int {
	if g.object == nil || g.object.Spec.SchedulingPolicy.Gang == nil {
		return 1
	}
	return int(g.object.Spec.SchedulingPolicy.Gang.MinCount)
}

func (g *gang) priority() int32 {
	if g.object == nil || g.object.Spec.Priority == nil {
		return 0
	}
	return *g.object.Spec.Priority
}

// Compare is the order in which members are decided on: by priority, those tried more
// often first, then by age and name.
func (a *member) Compare(b *member) int {
	return cmp.Or(cmp.Compare(priority(b.pod), priority(a.pod)), cmp.Compare(b.attempts, a.attempts), a.added.Compare(b.added), a.key.Compare(b.key))
}

// ordered lists the members in their order.
func (g *gang) ordered() []*member {
	return slices.SortedFunc(maps.Values(g.members), (*member).Compare)
}

// set makes a pod a member, or takes its new version; isNew says which.
func (g *gang) set(now time.Time, key kinds.Key, pod *corev1.Pod) (isNew bool) {
	m := g.members[key]
	if isNew = m == nil || m.pod.UID != pod.UID; isNew {
		g.drop(key)
		m = &member{pod: pod, key: key, added: now}
		g.members[key] = m
		g.gated += gated(pod)
	}
	g.gated += gated(pod) - gated(m.pod)
	m.pod = pod
	if g.lead != nil && m.Compare(g.lead) < 0 {
		g.lead = m
	}
	return isNew
}

// drop forgets a member.
func (g *gang) drop(key kinds.Key) {
	m := g.members[key]
	if m == nil {
		return
	}
	g.gated -= gated(m.pod)
	delete(g.members, key)
	if g.lead == m {
		g.lead = nil
	}
}

func gated(pod *corev1.Pod) int { return min(len(pod.Spec.SchedulingGates), 1) }

// first is the first member in order; there must be one.
func (g *gang) first() *corev1.Pod {
	if g.lead == nil {
		g.lead = slices.MinFunc(slices.Collect(maps.Values(g.members)), (*member).Compare) //det:ok the least is the same in any order
	}
	return g.lead.pod
}

// waitsFor says why the gang cannot be tried, "" if it can: GangScheduling's and
// SchedulingGates' word before the queue.
func (s *Scheduler) waitsFor(g *gang, pod *corev1.Pod) string {
	switch {
	case g.object == nil:
		return `waiting for pods's pod group "` + g.key.Name + `" to appear in scheduling queue`
	case s.profiles[pod.Spec.SchedulerName].Gangs && len(g.members)+len(s.snapshot.ganged[g.key]) < g.minCount():
		return "waiting for minCount pods from a gang to appear in scheduling queue"
	}
	if g.gated > 0 {
		return "waiting for the scheduling gates of pods of a gang to be removed"
	}
	return ""
}

// gangOf finds or makes the gang of a key.
func (s *Scheduler) gangOf(key kinds.Key) *gang {
	g := s.gangs[key]
	if g == nil {
		g = &gang{key: key, members: map[kinds.Key]*member{}}
		s.gangs[key] = g
	}
	return g
}

// seeGang takes a pod group as it is now.
func (s *Scheduler) seeGang(now time.Time, e store.Event, o *schedulingv1beta1.PodGroup, cause uint64) {
	g := s.gangOf(e.Ref.Key)
	if e.Type == store.Deleted {
		g.object = nil
		s.enqueue(now, g, cause, false)
		return
	}
	before := g.minCount()
	g.object = o
	s.enqueue(now, g, cause, g.minCount() < before)
}

// join makes a pod without a node a member of its gang, or takes its new version.
func (s *Scheduler) join(now time.Time, pod *corev1.Pod, cause uint64, retry bool) {
	key := kinds.KeyOf(pod)
	if r := s.snapshot.residents[key]; r != nil && r.pod.UID == pod.UID {
		return // it has a node: its bind is under way
	}
	name, _ := kinds.GroupOf(pod)
	g := s.gangOf(name)
	isNew := g.set(now, key, pod)
	s.enqueue(now, g, cause, retry || isNew)
}

// rejoin puts a pod back whose bind has failed.
func (s *Scheduler) rejoin(now time.Time, pod *corev1.Pod) {
	if _, ok := kinds.GroupOf(pod); ok && s.pending[kinds.KeyOf(pod)] != nil {
		s.join(now, pod, 0, true)
	}
}

// leave takes a pod from its gang: it has a node, or is gone.
func (s *Scheduler) leave(now time.Time, pod *corev1.Pod, cause uint64) {
	name, ok := kinds.GroupOf(pod)
	if !ok || s.gangs[name] == nil {
		return
	}
	g := s.gangs[name]
	_, was := g.members[kinds.KeyOf(pod)]
	g.drop(kinds.KeyOf(pod))
	s.enqueue(now, g, cause, was && pod.Spec.NodeName != "")
}

// enqueue brings the queue up to date with a gang.
func (s *Scheduler) enqueue(now time.Time, g *gang, cause uint64, retry bool) {
	if len(g.members) == 0 {
		s.queue.Remove(g.gangKey())
		if g.object == nil {
			delete(s.gangs, g.key)
		}
		return
	}
	lead := g.first()
	s.queue.set(now, entry{g.gangKey(), g.uid(), lead, s.snapshot.classOf(lead), g.priority(), s.waitsFor(g, lead) != ""}, cause, retry)
}

// gangUp counts a resident as one of its gang.
func (s *Snapshot) gangUp(r *resident) {
	if r.pod.Spec.SchedulingGroup == nil {
		return
	}
	name, ok := kinds.GroupOf(r.pod)
	if !ok {
		return
	}
	if s.ganged[name] == nil {
		s.ganged[name] = map[kinds.Key]*resident{}
	}
	s.ganged[name][r.key] = r
}

// disband is its opposite.
func (s *Snapshot) disband(r *resident) {
	if r.pod.Spec.SchedulingGroup == nil {
		return
	}
	if name, ok := kinds.GroupOf(r.pod); ok {
		if delete(s.ganged[name], r.key); len(s.ganged[name]) == 0 {
			delete(s.ganged, name)
		}
	}
}
