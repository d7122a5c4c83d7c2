package playback

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/bench/schedperf"
	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// SchedPerf makes a workload of one of kube-scheduler's benchmark files, by running it
// once and writing down what it makes: the nodes and other objects are there from the
// start, the pods come, one a millisecond, in the order in which they were made. A pod
// that was deleted goes as many pods later.
func SchedPerf(ctx context.Context, from *schedperf.Workload) (*Workload, error) {
	local, err := schedperf.NewLocal(sched.DefaultConfig())
	if err != nil {
		return nil, err
	}
	s := &scribe{Cluster: local, w: &Workload{Name: from.Name}, index: map[kinds.Key]int{}, nodes: map[string]int{}, have: map[kinds.Ref]bool{}}
	if _, err := schedperf.Run(ctx, from, s, nil); err != nil {
		return nil, err
	}
	if len(s.w.Nodes) == 0 || len(s.w.Arrivals) == 0 {
		return nil, fmt.Errorf("%s makes %d nodes and %d pods: want some of both", from.Name, len(s.w.Nodes), len(s.w.Arrivals))
	}
	return s.w, nil
}

// scribe is a cluster that writes down what is made in it.
type scribe struct {
	schedperf.Cluster
	w     *Workload
	index map[kinds.Key]int // of arrivals
	nodes map[string]int
	have  map[kinds.Ref]bool
}

// Do implements schedperf.Cluster.
func (s *scribe) Do(r api.Request) (kinds.Object, error) {
	o, err := s.Cluster.Do(r)
	if err == nil {
		s.note(r, o)
	}
	return o, err
}

// DoAll implements schedperf.Cluster.
func (s *scribe) DoAll(lists [][]api.Request) error {
	for _, list := range lists {
		for _, r := range list {
			if _, err := s.Do(r); err != nil {
				return fmt.Errorf("%s: %w", r, err)
			}
		}
	}
	return nil
}

func (s *scribe) note(r api.Request, made kinds.Object) {
	const gap = time.Millisecond
	if r.Verb == api.VerbDelete {
		if i, ok := s.index[r.Ref.Key]; ok && r.Ref.Kind == kinds.Pod {
			s.w.Arrivals[i].Gone = time.Duration(len(s.w.Arrivals)) * gap
		}
		return
	}
	if r.Verb != api.VerbCreate && r.Verb != api.VerbUpdate || made == nil {
		return
	}
	switch o := blank(made).(type) {
	case *corev1.Pod:
		if r.Subresource != "" || r.Verb != api.VerbCreate || o.Spec.NodeName != "" {
			return
		}
		if name := o.Spec.PriorityClassName; name != "" && o.Spec.Priority != nil {
			s.add(&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: *o.Spec.Priority})
		}
		s.index[kinds.KeyOf(o)] = len(s.w.Arrivals)
		s.w.Arrivals = append(s.w.Arrivals, Arrival{Pod: o, At: time.Duration(len(s.w.Arrivals)) * gap, Gone: Stays})
	case *corev1.Node:
		if i, ok := s.nodes[o.Name]; ok {
			s.w.Nodes[i] = o
			return
		}
		s.nodes[o.Name] = len(s.w.Nodes)
		s.w.Nodes = append(s.w.Nodes, o)
	default:
		if r.Subresource == "" && r.Verb == api.VerbCreate {
			s.add(o)
		}
	}
}

func (s *scribe) add(o kinds.Object) {
	ref := kinds.RefOf(o)
	if !s.have[ref] {
		s.have[ref] = true
		s.w.Objects = append(s.w.Objects, o)
	}
}

// blank is a copy of an object as it could have been asked for.
func blank(o kinds.Object) kinds.Object {
	o = kinds.Clone(o)
	o.SetUID("")
	o.SetResourceVersion("")
	o.SetCreationTimestamp(metav1.Time{})
	o.SetGeneration(0)
	o.SetManagedFields(nil)
	o.SetName(cmp.Or(o.GetName(), o.GetGenerateName()))
	return o
}
