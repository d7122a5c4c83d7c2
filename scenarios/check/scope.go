package check

import (
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// scope is what expressions see of the run at one moment. It is CEL's activation
// and the state behind its functions.
type scope struct {
	lang  *language
	store *store.Store
	now   time.Duration
	lists [kinds.Count]*list // those made since the kind last changed
}

// changed forgets what was kept of a kind.
func (s *scope) changed(k kinds.Kind) { s.lists[k] = nil }

// Parent implements interpreter.Activation.
func (s *scope) Parent() interpreter.Activation { return nil }

// ResolveName implements interpreter.Activation: the time, or the objects of a kind.
func (s *scope) ResolveName(name string) (any, bool) {
	if name == timeVar {
		return types.Double(s.now.Seconds()), true
	}
	k, ok := s.lang.lists[name]
	if !ok {
		return nil, false
	}
	return s.list(k), true
}

// binding is a scope with one more variable.
type binding struct {
	*scope
	name  string
	value any
}

// ResolveName implements interpreter.Activation.
func (b *binding) ResolveName(name string) (any, bool) {
	if name == b.name {
		return b.value, true
	}
	return b.scope.ResolveName(name)
}

// list is all objects of a kind in the order of their keys.
func (s *scope) list(k kinds.Kind) *list {
	if s.lists[k] == nil {
		all := make([]kinds.Object, 0, s.store.Len(k))
		for o := range s.store.List(k, "") {
			all = append(all, o)
		}
		s.lists[k] = &list{x: s.lang.x, n: len(all), at: func(i int) native { return all[i] }}
	}
	return s.lists[k]
}

func (s *scope) get(r kinds.Ref) kinds.Object { return s.store.Get(r) }

// restarts is the sum over a pod's containers; 0 for a pod that does not exist.
func (s *scope) restarts(pod kinds.Key) int {
	p, ok := s.store.Get(kinds.Ref{Kind: kinds.Pod, Key: pod}).(*corev1.Pod)
	if !ok {
		return 0
	}
	n := 0
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range list {
			n += int(list[i].RestartCount)
		}
	}
	return n
}

// ready is the number of distinct addresses that are ready to serve a service.
func (s *scope) ready(service kinds.Key) int {
	seen := map[string]bool{}
	for o := range s.store.List(kinds.EndpointSlice, service.Namespace) {
		slice := o.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != service.Name {
			continue
		}
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, a := range e.Addresses {
				seen[a] = true
			}
		}
	}
	return len(seen)
}
