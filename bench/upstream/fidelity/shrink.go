package fidelity

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// looksMax is how many cases are tried to make one smaller.
const looksMax = 2000

// shrink makes a case smaller for as long as a difference of the sort stays: it takes
// objects away, many at first, and then parts of those that are left.
func (c *Case) shrink(sort string) (*Case, *Result, error) {
	s := &shrinking{sort: sort, best: c}
	r, err := c.again()
	if err != nil {
		return nil, nil, err
	}
	s.result = r
	for s.looks < looksMax {
		before := s.shrunk
		s.objects()
		s.parts()
		if s.shrunk == before {
			break
		}
	}
	return s.best, s.result, nil
}

type shrinking struct {
	sort   string
	best   *Case
	result *Result
	looks  int
	shrunk int // how often it became smaller
}

// try keeps a case if the difference is there still. One on which the comparison
// itself fails, or panics, is no case.
func (s *shrinking) try(objects []kinds.Object) (ok bool) {
	if s.looks >= looksMax {
		return false
	}
	s.looks++
	c := &Case{Objects: objects, Pod: s.best.Pod}
	if c.pod() == nil {
		return false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	r, err := c.again()
	if err != nil || !r.has(s.sort) {
		return false
	}
	s.best, s.result = c, r
	s.shrunk++
	return true
}

func (s *shrinking) objects() {
	for size := len(s.best.Objects) / 2; size >= 1; size /= 2 {
		for at := 0; at < len(s.best.Objects); {
			end := min(at+size, len(s.best.Objects))
			if !s.try(slices.Delete(slices.Clone(s.best.Objects), at, end)) {
				at = end
			}
		}
	}
}

func (s *shrinking) parts() {
	for i := range s.best.Objects {
		for _, cut := range cuts(s.best.Objects[i]) {
			o := kinds.Clone(s.best.Objects[i])
			if !cut(o) {
				continue
			}
			objects := slices.Clone(s.best.Objects)
			objects[i] = o
			s.try(objects)
		}
	}
}

// cuts are the parts that may be taken off an object; each says whether it was there.
func cuts(o kinds.Object) []func(kinds.Object) bool {
	labels := func(o kinds.Object) bool {
		had := len(o.GetLabels()) > 0
		o.SetLabels(nil)
		return had
	}
	out := []func(kinds.Object) bool{labels}
	for key := range o.GetLabels() {
		out = append(out, func(o kinds.Object) bool { delete(o.GetLabels(), key); return true })
	}
	out = append(out, func(o kinds.Object) bool { had := o.GetOwnerReferences() != nil; o.SetOwnerReferences(nil); return had })
	switch o := o.(type) {
	case *corev1.Pod:
		out = append(out, podCuts(o)...)
	case *corev1.Node:
		out = append(out, nodeCuts()...)
	}
	return out
}

func nodeCuts() []func(kinds.Object) bool {
	cut := func(f func(*corev1.Node) bool) func(kinds.Object) bool {
		return func(o kinds.Object) bool { return f(o.(*corev1.Node)) }
	}
	return []func(kinds.Object) bool{
		cut(func(n *corev1.Node) bool { had := n.Spec.Taints != nil; n.Spec.Taints = nil; return had }),
		cut(func(n *corev1.Node) bool { had := n.Status.Images != nil; n.Status.Images = nil; return had }),
		cut(func(n *corev1.Node) bool { had := n.Spec.Unschedulable; n.Spec.Unschedulable = false; return had }),
	}
}

// off sets a field to its zero value, and says whether it was anything else.
func off[T any](field *T, was bool) bool {
	var zero T
	*field = zero
	return was
}

func podCuts(p *corev1.Pod) (out []func(kinds.Object) bool) {
	cut := func(f func(*corev1.Pod) bool) {
		out = append(out, func(o kinds.Object) bool { return f(o.(*corev1.Pod)) })
	}
	cut(func(p *corev1.Pod) bool { return off(&p.Spec.Affinity, p.Spec.Affinity != nil) })
	if p.Spec.Affinity != nil {
		cut(func(p *corev1.Pod) bool {
			a := p.Spec.Affinity
			return a != nil && off(&a.NodeAffinity, a.NodeAffinity != nil)
		})
		cut(func(p *corev1.Pod) bool {
			a := p.Spec.Affinity
			return a != nil && off(&a.PodAffinity, a.PodAffinity != nil)
		})
		cut(func(p *corev1.Pod) bool {
			a := p.Spec.Affinity
			return a != nil && off(&a.PodAntiAffinity, a.PodAntiAffinity != nil)
		})
		affinityCuts(cut)
	}
	cut(func(p *corev1.Pod) bool { return off(&p.Spec.NodeSelector, p.Spec.NodeSelector != nil) })
	cut(func(p *corev1.Pod) bool { return off(&p.Spec.Tolerations, p.Spec.Tolerations != nil) })
	cut(func(p *corev1.Pod) bool { return off(&p.Spec.InitContainers, p.Spec.InitContainers != nil) })
	cut(func(p *corev1.Pod) bool { return off(&p.Spec.Overhead, p.Spec.Overhead != nil) })
	cut(func(p *corev1.Pod) bool { return off(&p.Spec.Resources, p.Spec.Resources != nil) })
	cut(func(p *corev1.Pod) bool { return off(&p.Status.ContainerStatuses, p.Status.ContainerStatuses != nil) })
	cut(func(p *corev1.Pod) bool { return off(&p.Status.Conditions, p.Status.Conditions != nil) })
	cut(func(p *corev1.Pod) bool { return off(&p.DeletionTimestamp, p.DeletionTimestamp != nil) })
	cut(func(p *corev1.Pod) bool {
		had := len(p.Spec.Containers) > 1
		p.Spec.Containers = p.Spec.Containers[:1]
		return had
	})
	cut(func(p *corev1.Pod) bool {
		had := p.Spec.Containers[0].Resources.Requests != nil
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
		return had
	})
	cut(func(p *corev1.Pod) bool { return off(&p.Spec.Containers[0].Ports, p.Spec.Containers[0].Ports != nil) })
	for i := range p.Spec.TopologySpreadConstraints {
		cut(func(p *corev1.Pod) bool {
			s := &p.Spec.TopologySpreadConstraints
			if i >= len(*s) {
				return false
			}
			*s = slices.Delete(*s, i, i+1)
			return true
		})
	}
	for i := range p.Spec.Volumes {
		cut(func(p *corev1.Pod) bool {
			if i >= len(p.Spec.Volumes) {
				return false
			}
			p.Spec.Volumes = slices.Delete(p.Spec.Volumes, i, i+1)
			return true
		})
	}
	return out
}

// affinityCuts shorten the lists of terms, from the front.
func affinityCuts(cut func(func(*corev1.Pod) bool)) {
	for _, anti := range []bool{false, true} {
		lists := func(p *corev1.Pod) (*[]corev1.PodAffinityTerm, *[]corev1.WeightedPodAffinityTerm) {
			a := p.Spec.Affinity
			if a != nil && !anti && a.PodAffinity != nil {
				return &a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, &a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution
			}
			if a != nil && anti && a.PodAntiAffinity != nil {
				return &a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, &a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
			}
			return new([]corev1.PodAffinityTerm), new([]corev1.WeightedPodAffinityTerm)
		}
		cut(func(p *corev1.Pod) bool { must, _ := lists(p); had := len(*must) > 0; *must = nil; return had })
		cut(func(p *corev1.Pod) bool { _, should := lists(p); had := len(*should) > 0; *should = nil; return had })
		for range 2 {
			cut(func(p *corev1.Pod) bool {
				must, _ := lists(p)
				had := len(*must) > 1
				*must = (*must)[min(1, len(*must)):]
				return had
			})
			cut(func(p *corev1.Pod) bool {
				_, should := lists(p)
				had := len(*should) > 1
				*should = (*should)[min(1, len(*should)):]
				return had
			})
		}
	}
}
