package sched

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// gangVictim is what goes as one to make room for a gang: a pod, or all pods of a pod
// group whose disruptionMode says so.
type gangVictim struct {
	pods     []*resident // the most important first
	priority int32
	group    bool
}

// preemptForGang looks for pods less important than a gang whose going would let it be
// scheduled, and makes them go: all are taken off, the gang is tried, and then as many
// as leave it where it is are put back, those that break a budget first and the more
// important before the less. said is the end of the message; rooms are the nodes that
// the members are nominated for.
func (s *Scheduler) preemptForGang(now time.Time, t *gangTry, wanted map[kinds.Key]string) (said string, rooms map[kinds.Key]string) {
	if preemptionPolicy(t.members[0].pod) == corev1.PreemptNever {
		return "not eligible due to preemptionPolicy=Never.", nil
	}
	if s.leavingFor(t, wanted) {
		return "ongoing preemption on nominated nodes", wanted
	}
	x := s.snapshot
	all := s.gangVictims(t.g.priority())
	if len(all) == 0 {
		return "No preemption victims found for incoming preemptor", nil
	}
	seats := map[*resident]string{}
	for _, v := range all {
		for _, r := range v.pods {
			seats[r] = r.name
			x.forget(r.key)
		}
	}
	x.tryGang(t, nil)
	if t.failed != "" {
		x.revertGang(t)
		seatAll(x, all, seats)
		return t.failed, nil
	}
	go1 := x.spare(t, all, seats)
	rooms = map[kinds.Key]string{}
	for k, m := range t.members {
		if k < len(t.tried) && t.tried[k].Node != "" {
			rooms[m.key] = t.tried[k].Node
		}
	}
	x.revertGang(t)
	seatAll(x, go1, seats)
	count := 0
	for _, v := range go1 {
		for _, r := range v.pods {
			count++
			s.evict(now, t.members[0].pod, r.pod, seats[r])
		}
	}
	return fmt.Sprintf("found a placement for podgroup, preempting %d victims", count), rooms
}

// leavingFor says whether pods are still leaving the nodes that members are nominated
// for, to make room for them.
func (s *Scheduler) leavingFor(t *gangTry, wanted map[kinds.Key]string) bool {
	for _, node := range wanted { //det:ok whichever node it is, the answer is the same
		i, ok := s.snapshot.byName[node]
		if ok && slices.ContainsFunc(s.snapshot.on[i], func(r *resident) bool { return r.class.priority < t.g.priority() && preempted(r.pod) }) {
			return true
		}
	}
	return false
}

// gangVictims lists all that may go for a gang of a priority, the most important first.
func (s *Scheduler) gangVictims(below int32) []*gangVictim {
	var list []*gangVictim
	for _, on := range s.snapshot.on {
		for _, r := range on {
			name, ok := kinds.GroupOf(r.pod)
			if g := s.gangs[name]; ok && g != nil && g.asOne() {
				if r == s.snapshot.spokesman(name) && g.priority() < below {
					list = append(list, &gangVictim{s.snapshot.wholeGang(name), g.priority(), true})
				}
			} else if r.class.priority < below {
				list = append(list, &gangVictim{[]*resident{r}, r.class.priority, false})
			}
		}
	}
	slices.SortFunc(list, (*gangVictim).compare)
	return list
}

// asOne says whether the pods of a gang may only be disrupted together.
func (g *gang) asOne() bool {
	return g.object != nil && g.object.Spec.DisruptionMode != nil && g.object.Spec.DisruptionMode.All != nil
}

// withGang is a victim of a pod's preemption with all that go with it.
func (s *Scheduler) withGang(victim *corev1.Pod) []*corev1.Pod {
	if name, ok := kinds.GroupOf(victim); ok && s.gangs[name] != nil && s.gangs[name].asOne() && len(s.snapshot.ganged[name]) > 0 {
		return podsOf(s.snapshot.wholeGang(name))
	}
	return []*corev1.Pod{victim}
}

// wholeGang lists the residents of a gang, the most important first.
func (x *Snapshot) wholeGang(name kinds.Key) []*resident {
	return slices.SortedFunc(maps.Values(x.ganged[name]), moreImportant) //det:ok the order is total, it ends in the key
}

// spokesman is one resident of a gang that has a seat, always the same.
func (x *Snapshot) spokesman(name kinds.Key) *resident {
	var first *resident
	for _, r := range x.ganged[name] { //det:ok the least of all is the same in any order
		if r.node >= 0 && (first == nil || r.key.Compare(first.key) < 0) {
			first = r
		}
	}
	return first
}

// compare orders victims by importance: by priority, groups before pods, larger groups
// before smaller ones, then those that run longer.
func (a *gangVictim) compare(b *gangVictim) int {
	groups := func(v *gangVictim) int {
		if v.group {
			return len(v.pods)
		}
		return 0
	}
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(groups(b), groups(a)), moreImportant(a.pods[0], b.pods[0]))
}

// spare puts back as many victims as leave every member where it is, and returns the
// others.
func (x *Snapshot) spare(t *gangTry, all []*gangVictim, seats map[*resident]string) (rest []*gangVictim) {
	left := make([]int32, len(x.budgets.list))
	for i, b := range x.budgets.list {
		left[i] = b.allowed
	}
	var breaking, other []*gangVictim
	for _, v := range all {
		breaks := false
		for _, r := range v.pods {
			breaks = x.budgets.breaks(r.pod, left) || breaks
		}
		if breaks {
			breaking = append(breaking, v)
		} else {
			other = append(other, v)
		}
	}
	for _, v := range append(breaking, other...) {
		seatAll(x, []*gangVictim{v}, seats)
		if !x.gangStands(t, v) {
			for _, r := range v.pods {
				x.forget(r.key)
			}
			rest = append(rest, v)
		}
	}
	slices.SortFunc(rest, (*gangVictim).compare)
	return rest
}

// gangStands says whether every member could still take its node with a victim back in
// its place. Members on other nodes than the victim's are asked only if they, or it,
// look beyond their node.
func (x *Snapshot) gangStands(t *gangTry, v *gangVictim) bool {
	far := slices.ContainsFunc(v.pods, func(r *resident) bool { return r.class.terms != nil })
	for k, m := range t.members {
		node := t.tried[k].Node
		if node == "" {
			continue
		}
		near := slices.ContainsFunc(v.pods, func(r *resident) bool { return r.name == node })
		c := x.classOf(m.pod)
		if !near && !far && c.terms == nil && len(m.pod.Spec.TopologySpreadConstraints) == 0 {
			continue
		}
		if !x.stands(t.p, m.pod, node) {
			return false
		}
	}
	return true
}

// stands says whether a pod that is counted on a node could be put there now.
func (x *Snapshot) stands(p *profile, pod *corev1.Pod, node string) bool {
	x.forget(kinds.KeyOf(pod))
	defer x.Assume(pod, node)
	y, refused := x.searchFor(p, pod)
	if refused != nil {
		return false
	}
	i := x.byName[node]
	return y.whyNot(i) == accepted
}

// seatAll puts victims back on their nodes.
func seatAll(x *Snapshot, list []*gangVictim, seats map[*resident]string) {
	for _, v := range list {
		for k, r := range v.pods {
			x.settle(r.pod, seats[r])
			back := x.residents[r.key]
			seats[back] = seats[r]
			v.pods[k] = back
		}
	}
}
