package view

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/btree"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// selections index both sides of the selectors by equal labels of services and
// disruption budgets: by one label of the selector, the least by name. A pod's
// selectors are found by its labels, and a selector's pods without walking the
// namespace. Only labels that some selector asks for cost anything.
type selections map[labelIn]*selection

type labelIn struct{ namespace, label, value string }

type selection struct {
	by   *btree.BTreeG[*entry] // the services and budgets
	pods *btree.BTreeG[*entry] // every pod with the label
}

func (x selections) index(v *View, e *entry, old, now kinds.Object) {
	switch e.ref.Kind {
	case kinds.Service, kinds.PodDisruptionBudget:
		was, wasOK := markOfObject(old)
		is, isOK := markOfObject(now)
		was.namespace, is.namespace = e.ref.Namespace, e.ref.Namespace
		if was == is && wasOK == isOK {
			return
		}
		if wasOK {
			x.drop(was, e)
		}
		if isOK {
			x.add(v, is, e)
		}
	case kinds.Pod:
		if len(x) > 0 {
			x.indexPod(e, labelsOf(old), labelsOf(now))
		}
	}
}

func (x selections) indexPod(e *entry, old, now map[string]string) {
	if maps.Equal(old, now) {
		return
	}
	for label, value := range old { //det:ok each label is indexed on its own
		if s := x[labelIn{e.ref.Namespace, label, value}]; s != nil {
			s.pods.Delete(e)
		}
	}
	for label, value := range now { //det:ok each label is indexed on its own
		if s := x[labelIn{e.ref.Namespace, label, value}]; s != nil {
			s.pods.Set(e)
		}
	}
}

func (x selections) add(v *View, at labelIn, e *entry) {
	s := x[at]
	if s == nil {
		s = &selection{by: newTree(), pods: newTree()}
		x[at] = s
		v.eachIn(kinds.Pod, at.namespace, func(pod *entry) {
			if value, ok := pod.obj.GetLabels()[at.label]; ok && value == at.value {
				s.pods.Set(pod)
			}
		})
	}
	s.by.Set(e)
}

func (x selections) drop(at labelIn, e *entry) {
	s := x[at]
	if s.by.Delete(e); s.by.Len() == 0 {
		delete(x, at)
	}
}

func (v *View) eachIn(k kinds.Kind, namespace string, f func(*entry)) {
	if v.tables[k] == nil {
		return
	}
	from := &entry{ref: kinds.Ref{Kind: k, Key: kinds.Key{Namespace: namespace}}}
	v.tables[k].ordered.Ascend(from, func(e *entry) bool {
		if e.ref.Namespace != namespace {
			return false
		}
		f(e)
		return true
	})
}

func labelsOf(o kinds.Object) map[string]string {
	if o == nil {
		return nil
	}
	return o.GetLabels()
}

// equalLabels are the labels that a selector asks for by value.
func equalLabels(o kinds.Object) map[string]string {
	switch o := o.(type) {
	case *corev1.Service:
		return o.Spec.Selector
	case *policyv1.PodDisruptionBudget:
		if o.Spec.Selector != nil {
			return o.Spec.Selector.MatchLabels
		}
	}
	return nil
}

// markOfObject is markOf the object's selector. A budget that selects by
// expressions alone, or everything, has the mark of no label.
func markOfObject(o kinds.Object) (labelIn, bool) {
	if b, ok := o.(*policyv1.PodDisruptionBudget); ok && b.Spec.Selector != nil && len(b.Spec.Selector.MatchLabels) == 0 {
		return labelIn{}, true
	}
	return markOf(equalLabels(o))
}

func markOf(selector map[string]string) (labelIn, bool) {
	if len(selector) == 0 {
		return labelIn{}, false
	}
	least := slices.Min(slices.Collect(maps.Keys(selector))) //det:ok the least is the same in any order
	return labelIn{label: least, value: selector[least]}, true
}

// ServicesOf returns the services of a namespace whose selector selects the
// labels, in the order of their names. A service without a selector selects none.
func (v *View) ServicesOf(namespace string, labels map[string]string) []*corev1.Service {
	return selectors[*corev1.Service](v, namespace, labels)
}

// BudgetsOf returns the disruption budgets of a namespace whose matchLabels select
// the labels, in the order of their names. Their matchExpressions are the caller's to
// check.
func (v *View) BudgetsOf(namespace string, labels map[string]string) []*policyv1.PodDisruptionBudget {
	return selectors[*policyv1.PodDisruptionBudget](v, namespace, labels)
}

func selectors[T kinds.Object](v *View, namespace string, labels map[string]string) (out []T) {
	if len(v.selections) == 0 {
		return nil
	}
	look := func(at labelIn) {
		s := v.selections[at]
		if s == nil {
			return
		}
		s.by.Scan(func(e *entry) bool {
			if o, ok := e.obj.(T); ok && selects(equalLabels(o), labels) {
				out = append(out, o)
			}
			return true
		})
	}
	look(labelIn{namespace: namespace})
	for label, value := range labels { //det:ok sorted by name below
		look(labelIn{namespace, label, value})
	}
	slices.SortFunc(out, func(a, b T) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// PodsSelected walks the pods of a namespace that have all these labels, in the
// order of their keys. It is quick for the selector of a service or of a
// disruption budget, and walks the namespace for any other.
func (v *View) PodsSelected(namespace string, selector map[string]string) iter.Seq[*corev1.Pod] {
	pods := In[*corev1.Pod](v, kinds.Pod, namespace)
	if at, ok := markOf(selector); ok {
		at.namespace = namespace
		if s := v.selections[at]; s != nil {
			pods = walk[*corev1.Pod](s.pods)
		}
	}
	return func(yield func(*corev1.Pod) bool) {
		for p := range pods {
			if selects(selector, p.Labels) && !yield(p) {
				return
			}
		}
	}
}

func selects(selector, labels map[string]string) bool {
	for k, want := range selector {
		if have, ok := labels[k]; !ok || have != want {
			return false
		}
	}
	return true
}
