package sched

import (
	"bytes"
	"encoding/json"
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

// Policies holds the scores beyond kube-scheduler's own: each is a method, in a file
// of its own, whose name is the plugin's name in a configuration. A method takes its
// arguments as JSON (nil for none) and answers a Policy, or says what is wrong with
// them. To add a policy, write such a file and name the method among a profile's
// scores.
type Policies struct{}

// Policy is a score of nodes, or a filter, or both. At most one of Node and Pod is set.
type Policy struct {
	// Node scores a node for all pods that ask for the same, from 0 to 100; it is
	// worked out anew when the node changes. It must go by nothing else.
	Node func(n NodeView, want Wish) int64
	// Pod scores a node for one pod, given by the hash of its UID, from 0 to 100.
	Pod func(n NodeView, want Wish, hash uint64) int64
	// Filter, where set, says why a node cannot take the pods; "" if it can.
	Filter func(n NodeView, want Wish) string
	// Room says that the filter refuses a node for want of room: another pod that comes
	// never makes it think otherwise, so those that wait need not be looked at again.
	Room bool
}

// NodeView is a node as a policy sees it.
type NodeView struct {
	s *Snapshot
	i int32
}

// Name is the node's name.
func (v NodeView) Name() string { return v.s.nodes[v.i].Name }

// Hash is a hash of the node's name.
func (v NodeView) Hash() uint64 { return v.s.hashes[v.i] }

// Object is the node itself; read only.
func (v NodeView) Object() *corev1.Node { return v.s.nodes[v.i] }

// Allocatable is what the node has of a resource: millicores of cpu, otherwise the
// resource's unit.
func (v NodeView) Allocatable(name corev1.ResourceName) int64 { return v.s.get(&v.s.alloc[v.i], name) }

// Used is what the pods there ask for.
func (v NodeView) Used(name corev1.ResourceName) int64 { return v.s.get(&v.s.used[v.i], name) }

// Pods calls f for each pod on the node, in no order that means anything.
func (v NodeView) Pods(f func(*corev1.Pod)) {
	for _, r := range v.s.on[v.i] {
		if !r.lifted {
			f(r.pod)
		}
	}
}

// Wish is what the pods that are to be placed ask for.
type Wish struct {
	s  *Snapshot
	sh *shape
}

// Request is what a pod asks for of a resource.
func (w Wish) Request(name corev1.ResourceName) int64 { return w.s.get(&w.sh.req, name) }

// Annotation is one of the pods' annotations, of those that tell policies of a wish:
// all that begin with WishPrefix.
func (w Wish) Annotation(name string) string { return w.sh.annotations[name] }

// WishPrefix begins the annotations by which pods ask for what resources cannot say,
// as a part of a GPU.
const WishPrefix = "alibabacloud.com/"

// policyNamed makes the policy of a name. ok is false when there is none.
func policyNamed(name string, args []byte) (p Policy, ok bool, err error) {
	m := reflect.ValueOf(Policies{}).MethodByName(name)
	if !m.IsValid() {
		return p, false, nil
	}
	make, ok := m.Interface().(func([]byte) (Policy, error))
	if !ok {
		return p, false, nil
	}
	p, err = make(args)
	return p, true, err
}

// CheckPolicy says whether a policy of the name exists, and whether it takes the
// arguments.
func CheckPolicy(name string, args []byte) (exists bool, err error) {
	_, exists, err = policyNamed(name, args)
	return exists, err
}

// PolicyNames lists the policies there are, sorted.
func PolicyNames() []string {
	t := reflect.TypeFor[Policies]()
	var list []string
	for i := range t.NumMethod() {
		list = append(list, t.Method(i).Name)
	}
	return list
}

// boundPolicy is a policy that looks at pods one by one, and its weight.
type boundPolicy struct {
	plugin string
	weight int64
	policy Policy
}

func (b *boundPolicy) score(x *search, i int32) int64 {
	return clamp(b.policy.Pod(NodeView{x.s, i}, Wish{s: x.s, sh: x.class.shape}, x.hash))
}

func clamp(score int64) int64 { return min(max(score, 0), scoreMax) }

// addPolicy takes a policy into a profile that is being made ready.
func (p *profile) addPolicy(name string, weight int64) {
	policy, ok, err := policyNamed(name, p.PolicyArgs[name])
	if !ok || err != nil {
		panic("sched: a profile with a score that is unknown or has bad arguments: " + name)
	}
	if policy.Filter != nil {
		p.room[name] = policy.Room
		p.order = append(p.order, name)
		p.local = append(p.local, localFilter{name, func(s *Snapshot, _ *profile, i int32, sh *shape) int32 {
			if why := policy.Filter(NodeView{s, i}, Wish{s: s, sh: sh}); why != "" {
				return s.reasons.number(name, false, why)
			}
			return accepted
		}})
	}
	if policy.Pod != nil {
		p.policies = append(p.policies, boundPolicy{name, weight, policy})
		return
	}
	if policy.Node == nil {
		return // a filter alone
	}
	p.scores = append(p.scores, localScore{plugin: name, weight: weight, score: func(s *Snapshot, _ *profile, i int32, sh *shape) int64 {
		return clamp(policy.Node(NodeView{s, i}, Wish{s: s, sh: sh}))
	}})
	p.scoreTop += weight * scoreMax
}

// noArguments is for policies that take none.
func noArguments(args []byte) error {
	return arguments(args, &struct{}{})
}

// arguments reads a policy's arguments; fields that it has not are an error.
func arguments(args []byte, into any) error {
	if len(args) == 0 || string(args) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(args))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
