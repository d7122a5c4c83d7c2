package playback

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// DefaultPolicy names kube-scheduler's default profile.
const DefaultPolicy = "Default"

// Policy is a way to choose nodes, and its configuration for a workload and a seed.
type Policy struct {
	Name   string
	Config func(w *Workload, seed uint64) (sched.Config, error)
}

// Named is the policy of a name, if there is one. A name that ends in .yaml, .yml or .json
// is a configuration file's, see fromFile; warnings tell what in it has no effect.
func Named(name string) (p Policy, warnings []string, err error) {
	if isFile(name) {
		return fromFile(name)
	}
	if !slices.Contains(Policies(), name) {
		return Policy{}, nil, unknownPolicy(name)
	}
	return Policy{name, func(w *Workload, seed uint64) (sched.Config, error) { return configOf(name, w, seed) }}, nil, nil
}

// AllNamed is Named for many, none of which may go by the name of another.
func AllNamed(names []string) (list []Policy, warnings []string, err error) {
	for _, name := range names {
		p, more, err := Named(name)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(list, func(x Policy) bool { return x.Name == p.Name }) {
			return nil, nil, fmt.Errorf("%q: there is a policy %s in the list already: want another name, so that they can be told apart", name, p.Name)
		}
		list, warnings = append(list, p), append(warnings, more...)
	}
	return list, warnings, nil
}

// Policies lists the names that Named knows.
func Policies() []string {
	return append([]string{DefaultPolicy, sched.LeastAllocated, sched.MostAllocated}, sched.PolicyNames()...)
}

// configOf is the configuration in which a policy alone ranks the nodes: the default
// profile's filters, GPUShare's where the workload has GPUs, and the policy as the only
// score. DefaultPolicy, LeastAllocated and MostAllocated are kube-scheduler's own.
// seed goes to Random, and the pods of the workload to FragmentationAware.
func configOf(name string, w *Workload, seed uint64) (sched.Config, error) {
	cfg := sched.DefaultConfig()
	p := &cfg.Profiles[0]
	switch name {
	case DefaultPolicy:
	case sched.LeastAllocated, sched.MostAllocated:
		p.Scores = []sched.Weighted{{Plugin: sched.NodeResourcesFit, Weight: 1}}
		p.Fit.Strategy = name
	default:
		p.Scores = []sched.Weighted{{Plugin: name, Weight: 1}}
	}
	if w.gpus() && name != gpuShare {
		p.Scores = append(p.Scores, sched.Weighted{Plugin: gpuShare, Weight: 1})
	}
	p.PolicyArgs = map[string][]byte{}
	switch name {
	case "Random":
		p.PolicyArgs[name] = fmt.Appendf(nil, `{"seed": %d}`, seed)
	case "FragmentationAware":
		args, err := json.Marshal(map[string]any{"pods": w.Mix()})
		if err != nil {
			return cfg, err
		}
		p.PolicyArgs[name] = args
	}
	return cfg, nil
}

const gpuShare = "GPUShare"

func unknownPolicy(name string) error {
	hint := ""
	if near := kinds.Nearest(name, Policies()); near != "" {
		hint = fmt.Sprintf(", did you mean %s?", near)
	}
	return fmt.Errorf("there is no policy %q%s (there are %s, and configuration files by names that end in .yaml, .yml or .json)", name, hint, strings.Join(Policies(), ", "))
}

// gpus says whether a node has GPUs.
func (w *Workload) gpus() bool {
	return slices.ContainsFunc(w.Nodes, func(n *corev1.Node) bool {
		_, ok := n.Status.Allocatable[sched.ResourceGPU]
		return ok
	})
}

// mixMax is how many kinds of pods a mix has at most: the most frequent.
const mixMax = 256

// mixStep is how finely a mix tells apart what pods ask of a GPU, in thousandths.
const mixStep = 50

// Mix is the workload's pods by what they ask of GPUs, with the average of what they ask
// for beside; the most frequent first. FragmentationAware is told it.
func (w *Workload) Mix() []sched.TypicalPod {
	index := map[[2]int64]int{}
	var list []sched.TypicalPod
	for i := range w.Arrivals {
		pod := w.Arrivals[i].Pod
		milli, count := sched.GPUsOf(pod)
		if count == 0 {
			milli = 0
		}
		milli = (milli + mixStep - 1) / mixStep * mixStep
		k, ok := index[[2]int64{milli, count}]
		if !ok {
			k = len(list)
			index[[2]int64{milli, count}] = k
			list = append(list, sched.TypicalPod{GPUMilli: milli, GPUs: count})
		}
		t := &list[k]
		t.CPUMilli += Requested(pod, corev1.ResourceCPU)
		t.MemoryMiB += Requested(pod, corev1.ResourceMemory) >> 20
		t.Weight++
	}
	for k := range list {
		list[k].CPUMilli /= list[k].Weight
		list[k].MemoryMiB /= list[k].Weight
	}
	slices.SortStableFunc(list, func(a, b sched.TypicalPod) int { return cmp.Compare(b.Weight, a.Weight) })
	return list[:min(len(list), mixMax)]
}

// Requested is what a pod's containers ask for of a resource: millicores of cpu,
// otherwise the resource's unit.
func Requested(pod *corev1.Pod, name corev1.ResourceName) int64 {
	var sum int64
	for i := range pod.Spec.Containers {
		sum += amount(pod.Spec.Containers[i].Resources.Requests, name)
	}
	return sum
}

// Allocatable is what a node has of a resource, in the same units.
func Allocatable(n *corev1.Node, name corev1.ResourceName) int64 {
	if n.Status.Allocatable == nil {
		return amount(n.Status.Capacity, name)
	}
	return amount(n.Status.Allocatable, name)
}

func amount(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q := list[name]
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}
