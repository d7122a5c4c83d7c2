package sched

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// budget is a PodDisruptionBudget.
type budget struct {
	key       kinds.Key
	selector  labels.Selector
	allowed   int32
	disrupted map[string]bool // pods whose disruption is counted already
}

// budgets are the disruption budgets there are.
type budgets struct {
	byKey   map[kinds.Key]*budget
	list    []*budget // by key
	version uint64    // changes with any of them
}

// see takes a budget as it is now.
func (b *budgets) see(e store.Event) {
	k := e.Ref.Key
	if b.byKey[k] == nil && e.Type == store.Deleted {
		return
	}
	b.version++
	b.list = slices.DeleteFunc(b.list, func(x *budget) bool { return x.key == k })
	delete(b.byKey, k)
	if e.Type == store.Deleted {
		return
	}
	o := e.Object.(*policyv1.PodDisruptionBudget)
	x := &budget{key: k, selector: selectorOf(o.Spec.Selector), allowed: o.Status.DisruptionsAllowed, disrupted: map[string]bool{}}
	for name := range o.Status.DisruptedPods {
		x.disrupted[name] = true
	}
	b.byKey[k] = x
	at, _ := slices.BinarySearchFunc(b.list, k, func(a *budget, k kinds.Key) int { return a.key.Compare(k) })
	b.list = slices.Insert(b.list, at, x)
}

// violated parts potential victims, in order, into those whose going would break a
// budget and the others.
func (b *budgets) violated(list []*resident) (breaking, other []*resident) {
	if len(b.list) == 0 {
		return nil, list
	}
	left := make([]int32, len(b.list))
	for i, x := range b.list {
		left[i] = x.allowed
	}
	for _, r := range list {
		if b.breaks(r.pod, left) {
			breaking = append(breaking, r)
		} else {
			other = append(other, r)
		}
	}
	return breaking, other
}

// breaks takes a pod from the budgets that mean it and says whether one is exceeded;
// it stops at the first that is, as kube-scheduler does.
func (b *budgets) breaks(pod *corev1.Pod, left []int32) bool {
	if len(pod.Labels) == 0 {
		return false
	}
	for i, x := range b.list {
		if x.key.Namespace != pod.Namespace || x.selector.Empty() || !x.selector.Matches(labels.Set(pod.Labels)) || x.disrupted[pod.Name] {
			continue
		}
		if left[i]--; left[i] < 0 {
			return true
		}
	}
	return false
}
