package schedperf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/sched"
)

// Limits of Local.
const (
	stepDecisions = 64   // decisions of one step, so that the caller's timers are not late
	roundsMax     = 1000 // times that one decision's writes may bring forth further writes
)

// stuckSkip is how far the clock jumps when the scheduler says that something is due
// and then has nothing.
const stuckSkip = time.Millisecond

// Local is a Cluster in the caller's own goroutine: the API and the store in memory,
// and Seatrial's scheduler. Its clock is the time that its methods take, and what
// Step skips; so it stands still while the caller is busy with something else.
type Local struct {
	api   *api.API
	store *store.Store
	sched *sched.Scheduler
	wants [kinds.Count]bool
	seen  uint64 // resourceVersion of the last write that was handed on

	epoch   time.Time
	worked  time.Duration // in the calls before this one
	skipped time.Duration
	began   time.Time // of this call

	progress Progress
	told     []PodChange // by the last Step; the slice is used again by the next
	writes   []sched.Write
}

// NewLocal returns an empty cluster whose scheduler goes by a valid configuration.
func NewLocal(cfg sched.Config) (*Local, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	st := store.New(store.WindowDefault)
	a, err := api.New(st, rand.New(rand.NewPCG(1, 1)), api.DefaultConfig())
	if err != nil {
		return nil, err
	}
	l := &Local{api: a, store: st, sched: sched.New(cfg), epoch: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, k := range sched.Watches() {
		l.wants[k] = true
	}
	for _, ns := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		if _, err := l.Do(api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *Local) begin() { l.began = time.Now() }
func (l *Local) end()   { l.worked += time.Since(l.began); l.began = time.Time{} }

// Worked is the time that calls have taken so far, with the one at work.
func (l *Local) Worked() time.Duration {
	if l.began.IsZero() {
		return l.worked
	}
	return l.worked + time.Since(l.began)
}

// Now is the cluster's clock.
func (l *Local) Now() time.Time { return l.epoch.Add(l.Worked() + l.skipped) }

// Close ends nothing: all there is goes with its last reader.
func (l *Local) Close() error { return nil }

// List returns the objects of a kind.
func (l *Local) List(k kinds.Kind, namespace string) ([]kinds.Object, error) {
	return slices.Collect(l.store.List(k, namespace)), nil
}

// Do carries out one write and hands what came of it to the scheduler.
func (l *Local) Do(r api.Request) (kinds.Object, error) {
	l.begin()
	defer l.end()
	return l.do(r)
}

// DoAll carries out many writes in order.
func (l *Local) DoAll(lists [][]api.Request) error {
	l.begin()
	defer l.end()
	for _, list := range lists {
		for _, r := range list {
			if _, err := l.do(r); err != nil {
				return fmt.Errorf("%s: %w", r, err)
			}
		}
	}
	return nil
}

func (l *Local) do(r api.Request) (kinds.Object, error) {
	if pod, ok := r.Object.(*corev1.Pod); ok {
		if err := l.prepare(r, pod); err != nil {
			return nil, err
		}
	}
	o, err := l.api.Do(l.Now(), r)
	if err != nil {
		return nil, err
	}
	return o, l.drain()
}

// prepare makes up for the admission plug-ins that upstream's benchmark switches off
// and this API has: a priority is given a class of its own, and an update need not
// repeat what admission had filled in.
func (l *Local) prepare(r api.Request, pod *corev1.Pod) error {
	switch {
	case r.Verb == api.VerbCreate && r.Subresource == "":
		p := pod.Spec.Priority
		if p == nil || *p == 0 || pod.Spec.PriorityClassName != "" {
			return nil
		}
		pod.Spec.PriorityClassName = fmt.Sprintf("value-%d", *p)
		if *p < 0 {
			pod.Spec.PriorityClassName = fmt.Sprintf("value-minus-%d", -int64(*p))
		}
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: pod.Spec.PriorityClassName}, Value: *p}
		if l.store.Get(kinds.RefOf(class)) != nil {
			return nil
		}
		if _, err := l.do(api.Create(class)); err != nil {
			return fmt.Errorf("priority %d: %w", *p, err)
		}
	case r.Verb == api.VerbUpdate && r.Subresource == "":
		live, ok := l.store.Get(r.Ref).(*corev1.Pod)
		if !ok {
			return nil
		}
		to, from := &pod.Spec, &live.Spec
		if to.PriorityClassName == "" {
			to.PriorityClassName, to.Priority = from.PriorityClassName, from.Priority
		}
		if to.PreemptionPolicy == nil {
			to.PreemptionPolicy = from.PreemptionPolicy
		}
		if to.ServiceAccountName == "" {
			to.ServiceAccountName, to.DeprecatedServiceAccount = from.ServiceAccountName, from.DeprecatedServiceAccount
		}
		for i := range from.Tolerations {
			if !slices.ContainsFunc(to.Tolerations, func(t corev1.Toleration) bool { return t.MatchToleration(&from.Tolerations[i]) }) {
				to.Tolerations = append(to.Tolerations, from.Tolerations[i])
			}
		}
	}
	return nil
}

// drain hands on the events of the store, as a watch does.
func (l *Local) drain() error {
	for l.seen < l.store.RV() {
		e, err := l.store.At(l.seen + 1)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		l.seen++
		if l.wants[e.Ref.Kind] {
			l.sched.See(l.Now(), e, 0)
		}
		switch o := e.Object.(type) {
		case *corev1.Pod:
			c := PodChange{New: o, Worked: l.Worked()}
			c.Old, _ = e.Old.(*corev1.Pod)
			if e.Type == store.Deleted {
				c.New = nil
			}
			l.progress.Pods = append(l.progress.Pods, c)
		case *corev1.PersistentVolume:
			if err := l.bindClaim(o, e.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindClaim is upstream's stand-in for the controller of volumes: a claim that a volume
// names gets the volume's name.
func (l *Local) bindClaim(pv *corev1.PersistentVolume, t store.Type) error {
	ref := pv.Spec.ClaimRef
	if ref == nil || t == store.Deleted {
		return nil
	}
	claim, ok := l.store.Get(kinds.Ref{Kind: kinds.PersistentVolumeClaim, Key: kinds.Key{Namespace: ref.Namespace, Name: ref.Name}}).(*corev1.PersistentVolumeClaim)
	if !ok || claim.Spec.VolumeName != "" {
		return nil
	}
	claim = claim.DeepCopy()
	claim.Spec.VolumeName = pv.Name
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, "pv.kubernetes.io/bind-completed", "yes")
	_, err := l.api.Do(l.Now(), api.Update(claim)) // its event comes after this one
	return err
}

// Step makes decisions while there are pods to decide on, and else skips to when there
// may be one.
func (l *Local) Step(until time.Time) (Progress, error) {
	l.begin()
	defer l.end()
	l.progress.Attempts = l.progress.Attempts[:0]
	patient := until.After(l.Now())
	for n := 0; n < stepDecisions; n++ {
		more, err := l.decide()
		if err != nil {
			return Progress{}, err
		}
		if !more {
			l.progress.Idle = n == 0
			break
		}
		l.progress.Idle = false
		if patient && !until.After(l.Now()) {
			break
		}
	}
	p := l.progress
	l.progress.Pods, l.told = l.told[:0], p.Pods
	if p.Idle && len(p.Pods) == 0 {
		l.skip(until)
	}
	return p, nil
}

// skip moves the clock to when the scheduler may have something to do.
func (l *Local) skip(until time.Time) {
	now := l.Now()
	if due, ok := l.sched.Due(); ok && due.Before(until) {
		until = due
		if !due.After(now) {
			until = now.Add(stuckSkip)
		}
	}
	if until.After(now) {
		l.skipped += until.Sub(now)
	}
}

// decide takes one pod through the scheduler; false when there is none.
func (l *Local) decide() (bool, error) {
	start := l.Worked()
	now := l.Now()
	pod, _, ok := l.sched.Next(now)
	if !ok {
		return false, l.flush() // what events alone brought forth
	}
	taken := l.Worked()
	d := l.sched.Decide(now, pod)
	decided := l.Worked()
	if err := l.flush(); err != nil {
		return false, err
	}
	if d.Members == nil {
		d.Members = []sched.Member{{Pod: pod, Decision: d}}
	}
	n := time.Duration(len(d.Members)) // what was done for a gang is each of its pods' in equal parts
	for i := range d.Members {
		l.progress.Attempts = append(l.progress.Attempts,
			Attempt{Bound: d.Members[i].Node != "", Queue: (taken - start) / n, Decide: (decided - taken) / n, Bind: (l.Worked() - decided) / n})
	}
	return true, nil
}

// flush carries out what the scheduler wants written, and tells it the outcome.
func (l *Local) flush() error {
	for range roundsMax {
		l.writes = append(l.writes[:0], l.sched.Take()...)
		if len(l.writes) == 0 {
			return nil
		}
		for i := range l.writes {
			w := &l.writes[i]
			var err error
			if w.Req.Verb != 0 {
				_, err = l.api.Do(l.Now(), w.Req)
			}
			if err == nil {
				for _, n := range w.Notes {
					if err := l.api.Record(l.Now(), n); err != nil {
						return err
					}
				}
			}
			if w.ID != 0 { // a note alone has none
				l.sched.Answered(l.Now(), w.ID, err)
			}
			if err := l.drain(); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("the scheduler has made %d rounds of writes without an end", roundsMax)
}

// StartLocal is NewLocal for a workload, with the scheduler configuration it names.
func StartLocal(w *Workload) (Cluster, error) { return NewLocal(w.Scheduler) }
