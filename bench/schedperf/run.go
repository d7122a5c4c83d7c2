package schedperf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Status is how far a run is.
type Status struct {
	Workload  string
	Op, Ops   int    // the number of the operation, from 1, and how many there are
	What      string // its opcode
	Scheduled int    // pods so far
}

// Run plays a workload on an empty cluster and returns the figures of each phase that
// it measures. report, where it is not nil, is told how far the run is, often. The end
// of the context ends the run.
func Run(ctx context.Context, w *Workload, c Cluster, report func(Status)) ([]Result, error) {
	if len(w.Missing) > 0 {
		return nil, fmt.Errorf("%s needs what is not there: %s", w.Name, strings.Join(w.Missing, "; "))
	}
	x := &run{ctx: ctx, w: w, c: c, report: report, rand: rand.New(rand.NewPCG(1, nameStream)), tally: newTally(w.ops),
		created: map[string]bool{}, waiting: map[string]int{}, names: map[string]bool{}}
	defer x.stopProfile()
	for i, op := range w.ops {
		x.op, x.what = i, strings.TrimPrefix(fmt.Sprintf("%T", op), "*schedperf.")
		x.tell()
		if err := op.run(x); err != nil {
			return x.results, fmt.Errorf("%s: operation %d (%s): %w", w.Name, i, x.what, err)
		}
	}
	if x.phase != nil {
		return x.results, fmt.Errorf("%s: the phase %s is never stopped; end it with stopCollectingMetrics", w.Name, x.phase.name)
	}
	return x.results, nil
}

// nameStream is the random stream that nodes' names come from.
const nameStream = 0x6e616d6573

// run is a workload under way.
type run struct {
	ctx    context.Context
	w      *Workload
	c      Cluster
	report func(Status)
	rand   *rand.Rand

	op        int
	what      string
	scheduled int

	tally   *tally
	created map[string]bool // namespaces
	waiting map[string]int  // pods by namespace that a barrier is to wait for
	names   map[string]bool // of nodes
	nodes   int
	timers  []*timer
	bound   func(pod *corev1.Pod) // is told of each pod that gets a node; may be nil
	phase   *phase                // nil while nothing is measured
	results []Result
	churned int       // objects made or deleted by churn
	profile io.Closer // nil while none is taken
}

// timer calls fire now and then until it says that it is done.
type timer struct {
	at    time.Time
	every time.Duration
	fire  func() (done bool, err error)
}

func (x *run) tell() {
	if x.report != nil {
		x.report(Status{Workload: x.w.Name, Op: x.op + 1, Ops: len(x.w.ops), What: x.what, Scheduled: x.scheduled})
	}
}

// every starts a timer; what it does first happens after one interval.
func (x *run) every(d time.Duration, fire func() (bool, error)) *timer {
	t := &timer{at: x.c.Now().Add(d), every: max(d, 1), fire: fire}
	x.timers = append(x.timers, t)
	return t
}

// pump lets the cluster go on, at most until a time, and calls the timers that are due.
func (x *run) pump(until time.Time) (idle bool, err error) {
	if err := x.ctx.Err(); err != nil {
		return false, err
	}
	fired, err := x.fire()
	if err != nil {
		return false, err
	}
	if fired { // it may be what the caller waits for
		until = x.c.Now()
	}
	for _, t := range x.timers {
		if t.at.Before(until) {
			until = t.at
		}
	}
	p, err := x.c.Step(until)
	if err != nil {
		return false, err
	}
	for i := range p.Pods {
		x.change(&p.Pods[i])
	}
	if x.phase != nil {
		x.phase.attempts(p.Attempts)
	}
	x.tell()
	return p.Idle, nil
}

// fire calls the timers that are due, and says whether there was one. One that is late
// by several intervals is called once, as a ticker drops what nobody took.
func (x *run) fire() (fired bool, err error) {
	now := x.c.Now()
	for _, t := range slices.Clone(x.timers) {
		if t.at.After(now) {
			continue
		}
		done, err := t.fire()
		if err != nil {
			return true, err
		}
		fired = true
		if done {
			x.timers = slices.DeleteFunc(x.timers, func(o *timer) bool { return o == t })
			continue
		}
		late := now.Sub(t.at)
		t.at = t.at.Add(late.Truncate(t.every) + t.every)
	}
	return fired, nil
}

func (x *run) change(c *PodChange) {
	x.tally.change(c)
	if c.New == nil || c.New.Spec.NodeName == "" || c.Old != nil && c.Old.Spec.NodeName != "" {
		return
	}
	x.scheduled++
	if x.phase != nil {
		x.phase.bound(c)
	}
	if x.bound != nil {
		x.bound(c.New)
	}
}

// wait pumps until done says so, for a limited time. what names what is waited for, in
// an error.
func (x *run) wait(limit time.Duration, what func() string, done func() bool) error {
	end := x.c.Now().Add(limit)
	for !done() {
		if !x.c.Now().Before(end) {
			return fmt.Errorf("not there after %v: %s", limit, what())
		}
		if _, err := x.pump(end); err != nil {
			return err
		}
	}
	return nil
}

// waitPods waits until so many pods of a namespace are at a stage.
func (x *run) waitPods(namespace string, set map[string]string, stage string, want int) error {
	c := x.tally.of(namespace, set)
	have := func() int {
		if stage == stageAttempted {
			return c.scheduled + c.attempted
		}
		return c.scheduled
	}
	what := func() string {
		return fmt.Sprintf("%d pods in the namespace %s at the stage %s; there are %d%s", want, namespace, stage, have(), x.pending(namespace))
	}
	return x.wait(waitMax, what, func() bool { return have() >= want })
}

// pending names one of a namespace's pods that has no node, with the reason.
func (x *run) pending(namespace string) string {
	list, err := x.c.List(kinds.Pod, namespace)
	if err != nil {
		return ""
	}
	for _, o := range list {
		pod, ok := o.(*corev1.Pod)
		if !ok || pod.Spec.NodeName != "" {
			continue
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled {
				return fmt.Sprintf(", and %s has no node: %s", pod.Name, c.Message)
			}
		}
		return fmt.Sprintf(", and %s has not been tried", pod.Name)
	}
	return ""
}

// makeNamespace makes a namespace unless this run has.
func (x *run) makeNamespace(ns *corev1.Namespace) error {
	if x.created[ns.Name] {
		return nil
	}
	if _, err := x.c.Do(api.Create(ns)); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s: %w", ns.Name, err)
	}
	x.created[ns.Name] = true
	return nil
}

func (x *run) namespace(name string) error {
	return x.makeNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// makeAll carries out lists of writes, some at a time, and lets the scheduler work in
// between: about as many decisions as there were writes, so that one that is never idle
// does not keep the rest from being written.
func (x *run) makeAll(lists [][]api.Request) error {
	for part := range slices.Chunk(lists, writtenAtOnce) {
		if err := x.c.DoAll(part); err != nil {
			return err
		}
		for range stepsBetween {
			idle, err := x.pump(x.c.Now())
			if err != nil {
				return err
			}
			if idle {
				break
			}
		}
	}
	return nil
}

// start begins a phase that is measured.
func (x *run) start(name string, namespaces []string, set map[string]string) error {
	if x.phase != nil {
		return fmt.Errorf("the phase %s is being measured already", x.phase.name)
	}
	// What happened before is not of this phase.
	if _, err := x.pump(x.c.Now()); err != nil {
		return err
	}
	x.phase = newPhase(name, namespaces, set, x.c)
	x.phase.churned = x.churned
	return nil
}

func (x *run) stop() error {
	if x.phase == nil {
		return errors.New("nothing is being measured; begin with startCollectingMetrics")
	}
	r := x.phase.result(x.c)
	r.Workload, r.Nodes, r.Churned = x.w.Name, x.nodes, x.churned-x.phase.churned
	r.Threshold, r.ThresholdOf = x.w.Threshold, x.w.Metric+" "+x.w.Bucket
	if x.w.Threshold == 0 {
		r.ThresholdOf = ""
	}
	x.results = append(x.results, r)
	x.phase = nil
	return nil
}

func (o *startProfile) run(x *run) error {
	if x.profile != nil {
		return errors.New("a profile is being taken already")
	}
	f, err := os.Create(o.FilePath)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return err
	}
	x.profile = f
	return nil
}

func (o *stopProfile) run(x *run) error {
	if x.profile == nil {
		return errors.New("no profile is being taken; begin with startCollectingProfile")
	}
	return x.stopProfile()
}

func (x *run) stopProfile() error {
	if x.profile == nil {
		return nil
	}
	pprof.StopCPUProfile()
	err := x.profile.Close()
	x.profile = nil
	return err
}
