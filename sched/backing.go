package sched

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// backing is the services and the sets of pods from which the default spread takes
// its selector.
type backing struct {
	services  map[string]map[string]map[string]string // selectors by namespace and name
	selectors map[kinds.Ref]labels.Selector           // of the sets
	versions  map[string]uint64                       // by namespace
}

func (b *backing) init() {
	b.services = map[string]map[string]map[string]string{}
	b.selectors = map[kinds.Ref]labels.Selector{}
	b.versions = map[string]uint64{}
}

// version changes when a selector of the namespace does.
func (b *backing) version(namespace string) uint64 { return b.versions[namespace] }

// seeBacking takes a service or a set as it is now.
func (s *Snapshot) seeBacking(e store.Event) {
	if s.backing.see(e, &s.relevant) {
		s.reclass()
	}
}

// see takes a service or a set, and says whether its selector reads a key that none
// has read before.
func (b *backing) see(e store.Event, r *relevant) (reads bool) {
	gone := e.Type == store.Deleted
	switch o := e.Object.(type) {
	case *corev1.Service:
		reads = r.reads(labels.SelectorFromSet(o.Spec.Selector))
		b.setService(e.Ref.Key, o.Spec.Selector, gone)
	case *corev1.ReplicationController:
		reads = b.setSelector(e.Ref, labels.SelectorFromSet(o.Spec.Selector), gone, r)
	case *appsv1.ReplicaSet:
		reads = b.setSelector(e.Ref, selectorOf(o.Spec.Selector), gone, r)
	case *appsv1.StatefulSet:
		reads = b.setSelector(e.Ref, selectorOf(o.Spec.Selector), gone, r)
	}
	return reads
}

func (b *backing) setService(k kinds.Key, selector map[string]string, gone bool) {
	list := b.services[k.Namespace]
	old, had := list[k.Name]
	if gone || selector == nil {
		if had {
			delete(list, k.Name)
			b.versions[k.Namespace]++
		}
		return
	}
	if had && maps.Equal(old, selector) {
		return
	}
	if list == nil {
		list = map[string]map[string]string{}
		b.services[k.Namespace] = list
	}
	list[k.Name] = selector
	b.versions[k.Namespace]++
}

func (b *backing) setSelector(ref kinds.Ref, selector labels.Selector, gone bool, r *relevant) (reads bool) {
	old, had := b.selectors[ref]
	switch {
	case gone && had:
		delete(b.selectors, ref)
	case gone || had && old.String() == selector.String():
		return false
	default:
		b.selectors[ref] = selector
	}
	b.versions[ref.Namespace]++
	return r.reads(selector)
}

// selector is what the services that select a class's pods, and the set that owns
// them, select; empty for none.
func (b *backing) selector(c *class) labels.Selector {
	merged := labels.Set{}
	list := b.services[c.namespace]
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if labels.SelectorFromSet(list[name]).Matches(labels.Set(c.labels)) {
			maps.Copy(merged, list[name])
		}
	}
	selector := merged.AsSelector()
	o := c.owner
	if o == nil {
		return selector
	}
	for _, k := range [3]kinds.Kind{kinds.ReplicationController, kinds.ReplicaSet, kinds.StatefulSet} {
		gvk := k.Info().GVK
		if schema.FromAPIVersionAndKind(o.APIVersion, o.Kind) != gvk {
			continue
		}
		own := b.selectors[kinds.Ref{Kind: k, Key: kinds.Key{Namespace: c.namespace, Name: o.Name}}]
		if own == nil {
			return selector
		}
		if requirements, ok := own.Requirements(); ok {
			return selector.Add(requirements...)
		}
	}
	return selector
}
