package playback

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/sched"
)

// Options say how a run is made.
type Options struct {
	Seed uint64 // of the pods' UIDs, by which equal nodes are told apart
	// Explain keeps the explanation of every decision.
	Explain bool
	// Until ends the run; 0 is when the last pod has come and gone.
	Until time.Duration
	// Stuck ends the run when so many pods wait that have been refused; 0 is never.
	Stuck int
}

// Fate is what became of a pod.
type Fate struct {
	Pod    *corev1.Pod   // as it was asked for
	Came   time.Duration // since the start
	Bound  time.Duration // Stays: it never was
	Gone   time.Duration // Stays: it was there at the end
	Node   string        // the last one
	Victim bool          // preempted
}

// Outcome is a run's.
type Outcome struct {
	Fates      []Fate // in the order of arrival
	Decisions  int
	Pending    int    // pods without a node at the end, or that went without having had one
	Preempted  int    // victims
	FirstStuck string // the first pod that found no node, and why
	Stopped    bool   // by Options.Stuck
	// Explanations of the decisions, in order; nil if they were not asked for.
	Explanations []*sched.Brief
	End          time.Duration // virtual
	Wall         time.Duration // of the whole run
	Nodes        []*corev1.Node
}

// run is a run under way.
type run struct {
	*cluster
	w     *Workload
	opts  Options
	out   *Outcome
	fates map[kinds.Key]*Fate
	stuck map[kinds.Key]bool // pods that have been refused and still wait
}

// Run plays a workload with a scheduler of a valid configuration.
func Run(ctx context.Context, w *Workload, cfg sched.Config, opts Options) (*Outcome, error) {
	start := time.Now()
	c, err := newCluster(cfg, opts.Seed)
	if err != nil {
		return nil, err
	}
	r := &run{cluster: c, w: w, opts: opts, out: &Outcome{Fates: make([]Fate, len(w.Arrivals)), Nodes: w.Nodes}, fates: make(map[kinds.Key]*Fate, len(w.Arrivals)), stuck: map[kinds.Key]bool{}}
	c.watch, c.after = r.saw, r.decided
	if opts.Explain {
		c.before = func(pod *corev1.Pod) { r.out.Explanations = append(r.out.Explanations, c.sched.Brief(pod)) }
	}
	if err := r.furnish(); err != nil {
		return nil, err
	}
	if err := r.play(ctx); err != nil {
		return nil, err
	}
	r.out.End = c.now.Sub(epoch)
	for i := range r.out.Fates {
		if r.out.Fates[i].Bound == Stays {
			r.out.Pending++
		}
	}
	r.out.Wall = time.Since(start)
	return r.out, nil
}

// furnish makes the nodes and what else is there from the start.
func (r *run) furnish() error {
	for _, n := range r.w.Nodes {
		if err := r.do(api.Create(kinds.Clone(n))); err != nil {
			return err
		}
	}
	for _, o := range r.w.Objects {
		if err := r.do(api.Create(kinds.Clone(o))); err != nil {
			return err
		}
	}
	return nil
}

// departure is a pod that is to go.
type departure struct {
	at  time.Duration
	seq int
	key kinds.Key
}

func (r *run) play(ctx context.Context) error {
	var leaving departures
	for i := 0; i < len(r.w.Arrivals) || len(leaving) > 0; {
		arrives := i < len(r.w.Arrivals) && (len(leaving) == 0 || r.w.Arrivals[i].At < leaving[0].at)
		var at time.Duration
		if arrives {
			at = r.w.Arrivals[i].At
		} else {
			at = leaving[0].at
		}
		if r.opts.Until > 0 && at > r.opts.Until {
			break
		}
		if r.out.Stopped = r.opts.Stuck > 0 && len(r.stuck) >= r.opts.Stuck; r.out.Stopped {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.advance(epoch.Add(at)); err != nil {
			return err
		}
		if arrives {
			a := &r.w.Arrivals[i]
			pod := kinds.Clone(a.Pod)
			f := &r.out.Fates[i]
			*f = Fate{Pod: a.Pod, Came: at, Bound: Stays, Gone: Stays}
			r.fates[kinds.KeyOf(pod)] = f
			if err := r.do(api.Create(pod)); err != nil {
				return err
			}
			if a.Gone != Stays {
				leaving.push(departure{max(a.Gone, a.At), i, kinds.KeyOf(pod)})
			}
			i++
		} else {
			d := leaving.pop()
			if r.store.Get(kinds.Ref{Kind: kinds.Pod, Key: d.key}) != nil {
				q := api.Delete(kinds.Ref{Kind: kinds.Pod, Key: d.key}, "")
				q.Grace = 0
				if err := r.do(q); err != nil {
					return err
				}
			}
		}
		if _, err := r.settle(); err != nil {
			return err
		}
	}
	if r.opts.Until > 0 {
		return r.advance(epoch.Add(r.opts.Until))
	}
	return nil
}

// saw takes a pod's change.
func (r *run) saw(e store.Event) {
	pod := e.Object.(*corev1.Pod)
	f := r.fates[e.Ref.Key]
	if f == nil {
		return
	}
	old, _ := e.Old.(*corev1.Pod)
	at := r.now.Sub(epoch)
	switch {
	case e.Type == store.Deleted:
		f.Gone = at
		delete(r.stuck, e.Ref.Key)
	case pod.Spec.NodeName != "" && (old == nil || old.Spec.NodeName == ""):
		f.Bound, f.Node = at, pod.Spec.NodeName
		delete(r.stuck, e.Ref.Key)
	}
}

func (r *run) decided(pod *corev1.Pod, d *sched.Decision) error {
	r.out.Decisions++
	for _, v := range d.Victims {
		if f := r.fates[kinds.KeyOf(v)]; f != nil && !f.Victim {
			f.Victim = true
			r.out.Preempted++
		}
	}
	if d.Node == "" && d.Nodes > 0 && d.Preempted == "" {
		r.stuck[kinds.KeyOf(pod)] = true
		if r.out.FirstStuck == "" {
			r.out.FirstStuck = fmt.Sprintf("%s: %s", kinds.KeyOf(pod), d.Message())
		}
	}
	return nil
}
