package sched

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Asker asks extenders: the scheduler says what, a world carries it to the program and
// its answer back, within the extender's time-out. question and answer are types of
// k8s.io/kube-scheduler/extender/v1; verb is one of the extender's. The call returns
// when there is an answer, so a decision waits for it.
type Asker interface {
	Ask(e *Extender, verb string, question, answer any) error
}

// ExtenderPlugin stands for all extenders where a plugin is named, as by what a pod
// waits for.
const ExtenderPlugin = "Extender"

// Check says what a configuration lacks besides what package config checks: extenders
// need somebody to ask them.
func (c *Config) Check() error {
	if len(c.Extenders) > 0 && c.Asker == nil {
		return fmt.Errorf("the scheduler's configuration has the extender %s, and nobody here can ask it", c.Extenders[0].URLPrefix)
	}
	return nil
}

// concerns says whether a pod is any business of an extender's.
func (e *Extender) concerns(pod *corev1.Pod) bool {
	if len(e.Managed) == 0 {
		return true
	}
	for _, list := range [2][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			for _, name := range e.Managed {
				if _, ok := list[i].Resources.Requests[corev1.ResourceName(name)]; ok {
					return true
				}
				if _, ok := list[i].Resources.Limits[corev1.ResourceName(name)]; ok {
					return true
				}
			}
		}
	}
	return false
}

// concerned lists the extenders whose business a pod is, in order; nil for none.
func (p *profile) concerned(pod *corev1.Pod) (list []*Extender) {
	for i := range p.extenders {
		if e := &p.extenders[i]; e.concerns(pod) {
			list = append(list, e)
		}
	}
	return list
}

// question is what extenders are asked of nodes.
func (x *search) question(e *Extender, nodes []int32) *extenderv1.ExtenderArgs {
	q := &extenderv1.ExtenderArgs{Pod: x.pod}
	if e.NodeCacheable {
		names := make([]string, len(nodes))
		for k, i := range nodes {
			names[k] = x.s.nodes[i].Name
		}
		q.NodeNames = &names
		return q
	}
	q.Nodes = &corev1.NodeList{Items: make([]corev1.Node, len(nodes))}
	for k, i := range nodes {
		q.Nodes.Items[k] = *x.s.nodes[i]
	}
	return q
}

// ask lets extenders filter the nodes that are good otherwise, one after the other. What
// they refuse is noted in x.refused. An error is that of one which may not be ignored.
func (x *search) ask(feasible []int32) ([]int32, error) {
	for _, e := range x.asked {
		if len(feasible) == 0 {
			break
		}
		if e.Filter == "" {
			continue
		}
		slices.SortFunc(feasible, func(a, b int32) int { return strings.Compare(x.s.nodes[a].Name, x.s.nodes[b].Name) })
		kept, err := x.askOne(e, feasible)
		switch {
		case err != nil && e.Ignorable:
		case err != nil:
			return nil, err
		default:
			feasible = kept
		}
	}
	return feasible, nil
}

// askOne asks one extender and returns the nodes that it leaves, in the order of the
// question.
func (x *search) askOne(e *Extender, feasible []int32) ([]int32, error) {
	var answer extenderv1.ExtenderFilterResult
	if err := x.p.asker.Ask(e, e.Filter, x.question(e, feasible), &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	var names []string
	if e.NodeCacheable && answer.NodeNames != nil {
		names = *answer.NodeNames
	} else if answer.Nodes != nil {
		for i := range answer.Nodes.Items {
			names = append(names, answer.Nodes.Items[i].Name)
		}
	}
	left := make(map[int32]bool, len(names))
	for _, name := range names {
		i, ok := x.s.byName[name]
		if !ok || !slices.Contains(feasible, i) {
			return nil, fmt.Errorf("extender %q claims a filtered node %q which is not found in the input node list", e.URLPrefix, name)
		}
		left[i] = true
	}
	var kept []int32
	for _, i := range feasible {
		if left[i] {
			kept = append(kept, i)
			continue
		}
		if x.refused == nil {
			x.refused = map[int32]int32{}
		}
		name := x.s.nodes[i].Name
		if why, ok := answer.FailedAndUnresolvableNodes[name]; ok {
			x.refused[i] = x.s.reasons.number(ExtenderPlugin, true, why)
		} else if why, ok := answer.FailedNodes[name]; ok {
			x.refused[i] = x.s.reasons.number(ExtenderPlugin, false, why)
		} else {
			x.refused[i] = x.s.reasons.number(ExtenderPlugin, true) // it gives no reason
		}
	}
	return kept, nil
}

// opinion is what an extender gives nodes by name, from 0 to 10 if it keeps to what is
// agreed.
type opinion struct {
	extender *Extender
	scores   map[string]int64
}

// opinions asks the extenders for scores. Who fails to answer gives none, as
// kube-scheduler has it.
func (x *search) opinions(feasible []int32) (list []opinion) {
	for _, e := range x.asked {
		if e.Prioritize == "" {
			continue
		}
		var answer extenderv1.HostPriorityList
		if x.p.asker.Ask(e, e.Prioritize, x.question(e, feasible), &answer) != nil {
			continue
		}
		o := opinion{e, map[string]int64{}}
		for _, h := range answer {
			o.scores[h.Host] += min(max(h.Score, -opinionMax), opinionMax)
		}
		list = append(list, o)
	}
	return list
}

// What an extender's score is multiplied by to be one of ours, and the most that is
// taken, so that sums stay within 64 bits.
const (
	opinionScale = scoreMax / extenderv1.MaxExtenderPriority
	opinionMax   = 1 << 20
)

// addOpinions adds the extenders' scores to the totals.
func (x *search) addOpinions(totals []int64, feasible []int32) {
	for _, o := range x.heard {
		for k, i := range feasible {
			totals[k] += o.scores[x.s.nodes[i].Name] * o.extender.Weight * opinionScale
		}
	}
}

// decideAsking is decide for a pod that is the business of extenders.
func (x *search) decideAsking(d *Decision) {
	feasible := slices.Clone(x.feasible())
	feasible, err := x.ask(feasible)
	d.refused = x.refused
	switch {
	case err != nil:
		d.Failed = err.Error()
	case len(feasible) == 0:
		x.explainFailure(d)
	default:
		if len(feasible) > 1 {
			x.heard = x.opinions(feasible)
		}
		best, score := x.best(feasible)
		d.Node, d.Score, d.Feasible = x.s.nodes[best].Name, score, len(feasible)
	}
}

// askVictims lets the extenders that take part in preemption choose among the
// candidates, and returns what is left, with the victims they name.
func (x *search) askVictims(list map[int32]*cost) (map[int32]*cost, error) {
	for _, e := range x.asked {
		if e.Preempt == "" || len(list) == 0 {
			continue
		}
		left, err := x.askVictimsOf(e, list)
		switch {
		case err != nil && e.Ignorable:
		case err != nil:
			return nil, err
		default:
			list = left
		}
	}
	return list, nil
}

func (x *search) askVictimsOf(e *Extender, list map[int32]*cost) (map[int32]*cost, error) {
	q := &extenderv1.ExtenderPreemptionArgs{Pod: x.pod}
	if e.NodeCacheable {
		q.NodeNameToMetaVictims = map[string]*extenderv1.MetaVictims{}
	} else {
		q.NodeNameToVictims = map[string]*extenderv1.Victims{}
	}
	for _, i := range slices.Sorted(maps.Keys(list)) {
		c, name := list[i], x.s.nodes[i].Name
		if !e.NodeCacheable {
			q.NodeNameToVictims[name] = &extenderv1.Victims{Pods: podsOf(c.victims), NumPDBViolations: c.breaking}
			continue
		}
		m := &extenderv1.MetaVictims{Pods: []*extenderv1.MetaPod{}, NumPDBViolations: c.breaking}
		for _, r := range c.victims {
			m.Pods = append(m.Pods, &extenderv1.MetaPod{UID: string(r.pod.UID)})
		}
		q.NodeNameToMetaVictims[name] = m
	}
	var answer extenderv1.ExtenderPreemptionResult
	if err := x.p.asker.Ask(e, e.Preempt, q, &answer); err != nil {
		return nil, err
	}
	out := map[int32]*cost{}
	for _, name := range slices.Sorted(maps.Keys(answer.NodeNameToMetaVictims)) {
		c, err := x.victimsNamed(e, name, answer.NodeNameToMetaVictims[name])
		switch {
		case err != nil:
			return nil, err
		case len(c.victims) > 0:
			out[x.s.byName[name]] = c
		case !e.Ignorable:
			return nil, fmt.Errorf("expected at least one victim pod on node %q", name)
		}
	}
	return out, nil
}

// victimsNamed finds the pods that an extender names.
func (x *search) victimsNamed(e *Extender, node string, m *extenderv1.MetaVictims) (*cost, error) {
	i, ok := x.s.byName[node]
	if !ok {
		return nil, fmt.Errorf("extender: %s claims to preempt on node %q, which does not exist", e.URLPrefix, node)
	}
	c := &cost{state: costKnown}
	if m == nil {
		return c, nil
	}
	c.breaking = m.NumPDBViolations
	for _, p := range m.Pods {
		at := slices.IndexFunc(x.s.on[i], func(r *resident) bool { return p != nil && string(r.pod.UID) == p.UID })
		if at < 0 {
			uid := ""
			if p != nil {
				uid = p.UID
			}
			return nil, fmt.Errorf("extender: %s claims to preempt pod (UID: %s) on node: %s, but the pod is not found on that node", e.URLPrefix, uid, node)
		}
		if r := x.s.on[i][at]; !slices.Contains(c.victims, r) {
			c.victims = append(c.victims, r)
		}
	}
	slices.SortFunc(c.victims, moreImportant)
	c.rate()
	return c, nil
}

// bindByExtender tells the extender that binds pods of a new one. The scheduler binds
// it after that all the same: where the extender has done so, the API refuses the
// second bind and nothing is lost; where it cannot reach the API, as in a simulation
// that stands still while it is asked, the bind is made for it.
func (s *Scheduler) bindByExtender(pod *corev1.Pod, node string) error {
	p := s.profiles[pod.Spec.SchedulerName]
	for _, e := range p.concerned(pod) {
		if e.Bind == "" {
			continue
		}
		key := kinds.KeyOf(pod)
		q := &extenderv1.ExtenderBindingArgs{PodName: key.Name, PodNamespace: key.Namespace, PodUID: pod.UID, Node: node}
		var answer extenderv1.ExtenderBindingResult
		err := p.asker.Ask(e, e.Bind, q, &answer)
		if err == nil && answer.Error != "" {
			err = errors.New(answer.Error)
		}
		if err != nil && e.Ignorable {
			continue
		}
		return err
	}
	return nil
}

// victimsAsked says whether an extender has a say in who has to go.
func (x *search) victimsAsked() bool {
	return slices.ContainsFunc(x.asked, func(e *Extender) bool { return e.Preempt != "" })
}

// cheapest is the best of the candidates that extenders have left; none where they
// have left none.
func (x *search) cheapest(list map[int32]*cost, listed func(i int32, c *cost)) (best int32, of cost) {
	best = none
	for _, i := range slices.Sorted(maps.Keys(list)) {
		c := list[i]
		if listed != nil {
			listed(i, c)
		}
		if best == none || c.cheaper(&of) || !of.cheaper(c) && x.before(i, best) {
			best, of = i, *c
		}
	}
	return best, of
}
