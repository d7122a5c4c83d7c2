package fidelity

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/bench/upstream/draw"
	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// Options are what a run looks at and how it tells.
type Options struct {
	Seed            uint64
	Decisions       int            // to compare
	Only            []draw.Feature // the clusters have these; nil for some of all
	Without         []draw.Feature // and not these
	FirstDifference bool           // stop at the first
	DifferencesMax  int            // stop after so many; 0 for no end
	Dump            string         // directory for the cases that differ; "" for none
	Out             io.Writer      // reports
	Trace           bool           // tell of all that happens
}

// podsPerCluster is how many pods arrive in one cluster, at most.
const podsPerCluster = 12

// Summary is what a run came to.
type Summary struct {
	Decisions   int
	Clusters    int
	Placed      int            // decisions that found a node
	Preempted   int            // decisions that found victims
	Refused     map[string]int // decisions that found nothing, by the plugin that refuses a node
	Differences map[string]int // decisions with a difference, by its sort
	Differ      int            // decisions with any
	Stale       int            // decisions where upstream, grown with the cluster, says other than when it is new
	Elapsed     time.Duration
}

// errEnough ends a run.
var errEnough = errors.New("enough")

// run is a run under way.
type run struct {
	Options
	sum   Summary
	shown map[string]int // reports by sort of difference
}

// reportsPerSort is how many cases with a difference of one sort are made smaller and
// reported in full; the others are counted.
const reportsPerSort = 3

// Run compares until it has compared enough. An error is a failure of the comparison
// itself; differences are in the summary.
func Run(o Options) (*Summary, error) {
	r := &run{Options: o, shown: map[string]int{}}
	r.sum.Refused, r.sum.Differences = map[string]int{}, map[string]int{}
	began := time.Now()
	for seed := o.Seed; r.sum.Decisions < o.Decisions; seed++ {
		r.sum.Clusters++
		if err := r.cluster(seed); err != nil {
			if errors.Is(err, errEnough) {
				break
			}
			return &r.sum, fmt.Errorf("cluster of seed %d: %w", seed, err)
		}
	}
	r.sum.Elapsed = time.Since(began)
	return &r.sum, nil
}

// life is one cluster through which pods pass.
type life struct {
	*run
	*pair
	draw  *draw.Cluster
	world world
	seed  uint64
	count int // decisions in this cluster
}

func (r *run) cluster(seed uint64) (err error) {
	p, err := newPair()
	if err != nil {
		return err
	}
	defer p.close()
	l := &life{run: r, pair: p, draw: draw.New(seed, r.Only, r.Without), seed: seed}
	defer func() {
		if e := recover(); e != nil {
			fmt.Fprintf(r.Out, "panic at seed %d, decision %d\nagain: go run . fidelity --seed %d --decisions %d\n", seed, l.count, seed, l.count)
			panic(e)
		}
	}()
	for _, o := range l.draw.Objects() {
		if err := l.apply(l.world.put(o)); err != nil {
			return err
		}
	}
	for range podsPerCluster {
		for _, o := range l.draw.Pod() {
			if err := l.apply(l.world.put(o)); err != nil {
				return err
			}
		}
		if err := l.drain(); err != nil {
			return err
		}
		for _, c := range l.draw.Change(l.world.objects) {
			if err := l.change(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply hands an event to both, and traces it.
func (l *life) apply(e store.Event) error {
	if l.Trace {
		where, gone := "", ""
		if pod, ok := e.Object.(*corev1.Pod); ok {
			where = fmt.Sprintf(" on %q, phase %s, nominated to %q", pod.Spec.NodeName, pod.Status.Phase, pod.Status.NominatedNodeName)
			if pod.DeletionTimestamp != nil {
				gone = ", terminating"
			}
		}
		fmt.Fprintf(l.Out, "  %v %v%s%s\n", e.Type, e.Ref, where, gone)
	}
	return l.pair.apply(e)
}

func (l *life) change(c draw.Change) error {
	if c.Gone {
		if e, ok := l.world.remove(kinds.RefOf(c.Object)); ok {
			return l.apply(e)
		}
		return nil
	}
	return l.apply(l.world.put(c.Object))
}

// drain decides on every pod that our scheduler has ready.
func (l *life) drain() error {
	for range podsPerCluster {
		handed := l.next()
		if handed == nil {
			return nil
		}
		pod := l.world.pod(kinds.KeyOf(handed))
		if pod == nil {
			return fmt.Errorf("it hands out %s, which is gone", kinds.KeyOf(handed))
		}
		if err := l.decision(pod); err != nil {
			return err
		}
		if l.sum.Decisions >= l.Decisions {
			return errEnough
		}
	}
	return nil
}

func (l *life) decision(pod *corev1.Pod) error {
	l.sum.Decisions++
	l.count++
	r, err := l.look(pod)
	if err != nil {
		return err
	}
	objects := append([]kinds.Object(nil), l.world.objects...)
	l.tally(r)
	if l.Trace {
		fmt.Fprintf(l.Out, "  decision %d, pod %s: %q, victims on %v\n", l.count, kinds.KeyOf(pod), r.Ours.Chosen, r.Ours.Preemption)
	}
	l.decide(pod, r)
	if err := l.outcome(pod); err != nil {
		return err
	}
	if len(r.Differences) == 0 {
		return nil
	}
	c := &Case{Objects: objects, Pod: kinds.KeyOf(pod)}
	again, err := c.again()
	if err != nil {
		return err
	}
	if len(compare(again.Theirs, &r.Theirs.Explanation)) > 0 {
		// Upstream remembers what is no more: it is judged by what it says of the objects.
		l.sum.Stale++
		decided := r.Differences[len(r.Differences)-1]
		r.Theirs, r.Differences = again.Theirs, compare(again.Theirs, r.Ours)
		if !r.decided {
			r.Differences = append(r.Differences, decided)
		}
	}
	if len(r.Differences) == 0 {
		return nil
	}
	return l.report(c, r, again)
}

var errNoController = errors.New("there is no volume controller")

func (l *life) tally(r *Result) {
	switch {
	case r.Theirs.Chosen != "":
		l.sum.Placed++
	case r.Theirs.Preemption != nil:
		l.sum.Preempted++
	case r.Theirs.Refused != "":
		l.sum.Refused[r.Theirs.Plugin]++
	default:
		seen := map[string]bool{}
		for _, n := range r.Theirs.Nodes {
			if !seen[n.RejectedBy] {
				seen[n.RejectedBy] = true
				l.sum.Refused[n.RejectedBy]++
			}
		}
	}
}

// writesMax is how many rounds of writes may follow from one decision.
const writesMax = 100

// outcome makes the world follow a decision: what our scheduler wants written is
// written, for both to see. Claims and volumes cannot be: a pod that waits for its claims
// to be bound, and any other that comes to nothing, is taken away.
func (l *life) outcome(pod *corev1.Pod) error {
	key := kinds.KeyOf(pod)
	for range writesMax {
		writes := slices.Clone(l.ours.Take())
		if len(writes) == 0 {
			if p := l.world.pod(key); p != nil && p.Spec.NodeName == "" && (p.Status.NominatedNodeName == "" || p.Status.NominatedNodeName == pod.Status.NominatedNodeName) {
				return l.takeAway(key)
			}
			return nil
		}
		for _, w := range writes {
			answer, err := l.write(&w.Req)
			if err != nil {
				return err
			}
			l.ours.Answered(l.now, w.ID, answer)
		}
	}
	return fmt.Errorf("more than %d rounds of writes follow from the decision on %s", writesMax, key)
}

// write carries out one write of our scheduler's: answer is what an API would say.
func (l *life) write(q *api.Request) (answer, err error) {
	if q.Verb == 0 {
		return nil, nil
	}
	i := l.world.find(q.Ref)
	if i < 0 {
		return apierrors.NewNotFound(q.Ref.Kind.Info().GVR().GroupResource(), q.Ref.Name), nil
	}
	if q.Ref.Kind != kinds.Pod {
		return errNoController, nil
	}
	pod := kinds.Clone(l.world.objects[i]).(*corev1.Pod)
	switch {
	case q.Verb == api.VerbDelete && (pod.DeletionTimestamp != nil || l.draw.Lingers()):
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &metav1.Time{Time: l.now}, new(int64)
	case q.Verb == api.VerbDelete:
		return nil, l.takeAway(q.Ref.Key)
	case q.Verb == api.VerbUpdate && q.Subresource == "status":
		pod.Status = q.Object.(*corev1.Pod).Status
	case q.Subresource == "binding":
		pod.Spec.NodeName = q.Node
		draw.Run(pod)
	default:
		return nil, fmt.Errorf("it writes %v, which a scheduler has no business to", q)
	}
	return nil, l.apply(l.world.put(pod))
}

func (l *life) takeAway(key kinds.Key) error {
	if e, ok := l.world.remove(kinds.Ref{Kind: kinds.Pod, Key: key}); ok {
		return l.apply(e)
	}
	return nil
}
