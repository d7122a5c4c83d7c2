package check

import (
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
	corev1 "k8s.io/api/core/v1"

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

	services   map[kinds.Key]addresses // those asked about
	tallies    []*tally                // of all checks
	trackers   [kinds.Count]tracker
	aggregates map[string]aggregate // by the variable that stands for each
}

func newScope() *scope {
	return &scope{services: map[kinds.Key]addresses{}, aggregates: map[string]aggregate{}}
}

// flush brings the counts up to date with what was observed.
func (s *scope) flush() {
	for k := range s.trackers {
		if t := &s.trackers[k]; len(t.pending) > 0 {
			t.flush()
		}
	}
}

// Parent implements interpreter.Activation.
func (s *scope) Parent() interpreter.Activation { return nil }

// ResolveName implements interpreter.Activation: the time, the objects of a kind,
// or what an aggregate comes to.
func (s *scope) ResolveName(name string) (any, bool) {
	if name == timeVar {
		return types.Double(s.now.Seconds()), true
	}
	if k, ok := s.lang.lists[name]; ok {
		return s.list(k), true
	}
	if a, ok := s.aggregates[name]; ok {
		if a.tally == nil {
			return types.Int(s.store.Len(a.kind)), true
		}
		return a.tally.value(a.what), true
	}
	return nil, false
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
