package fidelity

import (
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/bench/upstream/draw"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Options are what a run looks at and how it tells.
type Options struct {
	Seed            uint64
	Decisions       int            // to compare
	Only            []draw.Feature // nil for all
	FirstDifference bool           // stop at the first
	DifferencesMax  int            // stop after so many; 0 for no end
	Dump            string         // directory for the cases that differ; "" for none
	Out             io.Writer      // reports
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
	l := &life{run: r, pair: p, draw: draw.New(seed, r.Only), seed: seed}
	defer func() {
		if e := recover(); e != nil {
			fmt.Fprintf(r.Out, "panic at seed %d, decision %d\nagain: go run . fidelity --seed %d --decisions %d\n", seed, l.count, seed, l.count)
			panic(e)
		}
	}()
	for _, o := range l.draw.Objects() {
		if err := p.apply(l.world.put(o)); err != nil {
			return err
		}
	}
	for range podsPerCluster {
		for _, o := range l.draw.Pod() {
			if err := p.apply(l.world.put(o)); err != nil {
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
	// A pod with claims binds them first, which takes a volume controller: its writes fail here.
	var answer error
	if withClaims(pod) {
		answer = errNoController
	}
	l.decide(pod, r, answer)
	if err := l.outcome(pod, r, answer); err != nil {
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

func withClaims(pod *corev1.Pod) bool {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			return true
		}
	}
	return false
}

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

// outcome makes the world follow a decision: the pod runs on its node, or the victims
// go and the pod waits for their node, or the pod is taken away.
func (l *life) outcome(pod *corev1.Pod, r *Result, failed error) error {
	key := kinds.KeyOf(pod)
	if node := r.Ours.Chosen; node != "" && failed == nil {
		bound := kinds.Clone(pod)
		bound.Spec.NodeName = node
		draw.Run(bound)
		return l.apply(l.world.put(bound))
	}
	p := r.Ours.Preemption
	if p == nil || p.Node == "" || failed != nil || pod.Status.NominatedNodeName != "" {
		return l.takeAway(key)
	}
	nominated := kinds.Clone(pod)
	nominated.Status.NominatedNodeName = p.Node
	if err := l.apply(l.world.put(nominated)); err != nil {
		return err
	}
	for _, c := range p.Candidates {
		if c.Node != p.Node {
			continue
		}
		for _, v := range c.Victims {
			if err := l.takeAway(parseKey(v)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *life) takeAway(key kinds.Key) error {
	if e, ok := l.world.remove(kinds.Ref{Kind: kinds.Pod, Key: key}); ok {
		return l.apply(e)
	}
	return nil
}
