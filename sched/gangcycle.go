package sched

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// gangTry is one attempt to find nodes for the pods of a gang.
type gangTry struct {
	g       *gang
	p       *profile
	members []*member
	tried   []gangPod // of the members, in order; fewer when it is clear that it fails
	placed  int       // pods of the gang that have a node, with those of this attempt
	found   bool      // a node was found for one of the members
	failed  string    // why the gang as a whole has none; "" if it has
}

// gangPod is what was found for one member. Where there is a node, the pod is counted
// on it.
type gangPod struct {
	Decision
	writes []api.Request // that bind its volumes
}

// decideGang decides on all members of a gang. They get their nodes only if as many
// have one as the gang must have at once.
func (s *Scheduler) decideGang(now time.Time, key kinds.Key) Decision {
	g := s.gangs[key]
	if g == nil || len(g.members) == 0 || g.object == nil {
		return Decision{}
	}
	try := &gangTry{g: g, members: g.ordered()}
	for _, m := range try.members {
		m.attempts++
	}
	g.lead = nil
	if why := s.mismatch(g, try.members); why != "" {
		return s.gangBroken(now, try, why)
	}
	try.p = s.profiles[try.members[0].pod.Spec.SchedulerName]
	wanted := s.liftNominations(try.members)
	s.snapshot.tryGang(try, wanted)
	for i := range try.tried {
		if why := try.tried[i].Failed; why != "" {
			s.snapshot.revertGang(try)
			return s.gangBroken(now, try, why)
		}
	}
	if try.failed == "" {
		return s.gangPlaced(now, try)
	}
	s.snapshot.revertGang(try)
	return s.gangRejected(now, try, wanted)
}

// mismatch says what keeps pods from being one gang.
func (s *Scheduler) mismatch(g *gang, members []*member) string {
	first := members[0].pod
	for _, m := range members {
		switch p := m.pod; {
		case p.Spec.SchedulerName != first.Spec.SchedulerName:
			return fmt.Sprintf("all pods in a single pod group should have the same .spec.schedulerName set, got: %q and %q", p.Spec.SchedulerName, first.Spec.SchedulerName)
		case priority(p) != g.priority():
			return fmt.Sprintf("all pods in a single pod group should have the same priority as the pod group's priority, got %d and %d", priority(p), g.priority())
		case preemptionPolicy(p) != preemptionPolicy(first):
			return fmt.Sprintf("all pods in a single pod group should have the same preemption policy, got %v and %v", preemptionPolicy(p), preemptionPolicy(first))
		}
	}
	return ""
}

func preemptionPolicy(p *corev1.Pod) corev1.PreemptionPolicy {
	if p.Spec.PreemptionPolicy == nil {
		return corev1.PreemptLowerPriority
	}
	return *p.Spec.PreemptionPolicy
}

// liftNominations takes the members' nominations away for the attempt: their own room
// is not in their way.
func (s *Scheduler) liftNominations(members []*member) map[kinds.Key]string {
	wanted := map[kinds.Key]string{}
	for _, m := range members {
		if n := s.snapshot.nominated.byPod[m.key]; n != nil {
			wanted[m.key] = n.node
			s.snapshot.unnominate(m.key)
		}
	}
	return wanted
}

// tryGang looks for nodes, member by member; each counts on its node for the next.
func (x *Snapshot) tryGang(t *gangTry, wanted map[kinds.Key]string) {
	t.tried, t.found, t.failed = t.tried[:0], false, ""
	t.placed = len(x.ganged[t.g.key])
	if hopeless, why := t.falls(len(t.members)); hopeless {
		t.failed = why
		return
	}
	for k, m := range t.members {
		one := gangPod{}
		var ok bool
		if node := wanted[m.key]; node != "" {
			one.Decision, ok = x.decideNominated(t.p, m.pod, node)
		}
		if !ok {
			one.Decision = x.decide(t.p, m.pod)
		}
		if one.Node != "" {
			if one.writes, one.Failed = x.reserve(t.p, m.pod, one.Node); one.Failed == "" {
				t.found = true
				t.placed++
			}
		}
		t.tried = append(t.tried, one)
		hopeless, why := t.falls(len(t.members) - k - 1)
		if t.failed = why; hopeless || one.Failed != "" {
			return
		}
	}
	if t.failed == "" && !t.found {
		t.failed = "pod group is unschedulable"
	}
}

// falls says what the gang falls short of with so many members still to be tried, and
// whether nothing can help any more: GangScheduling's word.
func (t *gangTry) falls(remaining int) (hopeless bool, why string) {
	need := t.g.minCount()
	if !t.p.Gangs {
		need = 1
	}
	switch {
	case t.placed+remaining < need:
		return true, fmt.Sprintf("minCount (%d) cannot be satisfied: %d scheduled, %d remaining", need, t.placed, remaining)
	case t.placed < need:
		return false, fmt.Sprintf("minCount (%d) is not yet satisfied: %d scheduled, %d remaining", need, t.placed, remaining)
	}
	return false, ""
}

// revertGang takes the members off the nodes that the attempt gave them.
func (x *Snapshot) revertGang(t *gangTry) {
	for k := len(t.tried) - 1; k >= 0; k-- {
		if t.tried[k].Node != "" {
			x.unreserve(t.members[k].pod)
		}
	}
}

// gangPlaced binds the members that have a node. The others are tried again at once,
// and may then preempt.
func (s *Scheduler) gangPlaced(now time.Time, t *gangTry) Decision {
	var d Decision
	for k, m := range t.members {
		one := &t.tried[k]
		d.Members = append(d.Members, Member{m.pod, one.Decision})
		if one.Node != "" {
			t.g.drop(m.key)
			s.commit(now, m.pod, one.Node, one.writes)
		} else {
			s.refuse(now, m.pod, one.Message(), "")
		}
	}
	s.gangCondition(now, t.g, metav1.ConditionTrue, "Scheduled", "")
	if len(t.g.members) == 0 {
		s.queue.Remove(t.g.gangKey())
	} else {
		s.queue.Again(t.g.gangKey())
		s.enqueue(now, t.g, 0, false)
	}
	return d
}

// gangRejected tells why the gang stays pending, after a search for pods that could
// make room for it.
func (s *Scheduler) gangRejected(now time.Time, t *gangTry, wanted map[kinds.Key]string) Decision {
	d, untried := Decision{}, t.failed
	first := append([]gangPod(nil), t.tried...)
	why := []string{t.failed}
	rooms := map[kinds.Key]string{}
	if t.p.Preempts {
		said, found := s.preemptForGang(now, t, wanted)
		rooms = found
		if said != "" {
			why = append(why, said)
		}
	}
	d.Refused = strings.Join(why, ", ")
	parts := make([]stuck, 0, len(t.members))
	for k, m := range t.members {
		one, message := Decision{Refused: d.Refused}, d.Refused
		switch {
		case k >= len(first):
			message = untried
		case first[k].Node == "":
			one, message = first[k].Decision, first[k].Message()
			parts = append(parts, stuck{m.pod, s.snapshot.classOf(m.pod), one.plugins})
		}
		d.Members = append(d.Members, Member{m.pod, one})
		s.refuse(now, m.pod, message, rooms[m.key])
	}
	s.queue.ParkGang(now, t.g.gangKey(), parts)
	s.enqueue(now, t.g, 0, false)
	s.gangCondition(now, t.g, metav1.ConditionFalse, schedulingv1beta1.PodGroupReasonUnschedulable, d.Refused)
	return d
}

// gangBroken ends an attempt that met an error: the gang is tried again after its
// back-off.
func (s *Scheduler) gangBroken(now time.Time, t *gangTry, why string) Decision {
	d := Decision{Failed: why}
	for _, m := range t.members {
		d.Members = append(d.Members, Member{m.pod, Decision{Failed: why}})
		s.complain(now, m.pod, why)
	}
	s.queue.Retry(now, t.g.gangKey())
	s.enqueue(now, t.g, 0, false)
	s.gangCondition(now, t.g, metav1.ConditionFalse, schedulingv1beta1.PodGroupReasonSchedulerError, why)
	return d
}

// gangCondition writes a pod group's PodGroupInitiallyScheduled condition. Once it is
// true it stays so.
func (s *Scheduler) gangCondition(now time.Time, g *gang, status metav1.ConditionStatus, reason, why string) {
	c := metav1.Condition{Type: schedulingv1beta1.PodGroupInitiallyScheduled, Status: status, Reason: reason, Message: why,
		ObservedGeneration: g.object.Generation, LastTransitionTime: metav1.Time{Time: now.Truncate(time.Second)}}
	o := *g.object
	o.Status.Conditions = nil
	for _, old := range g.object.Status.Conditions {
		switch {
		case old.Type != c.Type:
			o.Status.Conditions = append(o.Status.Conditions, old)
		case old.Status == metav1.ConditionTrue && status != metav1.ConditionTrue:
			return
		case old.Status == status && old.Reason == reason && old.Message == why && old.ObservedGeneration == c.ObservedGeneration:
			return
		case old.Status == status:
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	o.Status.Conditions = append(o.Status.Conditions, c)
	o.ResourceVersion = ""
	seen := o
	g.object = &seen // as the watch will bring it
	s.send(sentStatus, nil, "", api.UpdateStatus(&o))
}
