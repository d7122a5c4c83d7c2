package fidelity

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/bench/upstream/draw"
	"seatrial.dev/seatrial/bench/upstream/reference"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/sched"
)

// step is how far the time goes with each event and each decision.
const step = time.Second

// handedOutMax is how many pods are asked for before the one that is wanted.
const handedOutMax = 1000

// pair is the two schedulers, which have seen the same events.
type pair struct {
	theirs  *reference.Reference
	ours    *sched.Scheduler
	watches map[kinds.Kind]bool
	now     time.Time
}

func newPair() (*pair, error) {
	theirs, err := reference.New()
	if err != nil {
		return nil, err
	}
	p := &pair{theirs: theirs, ours: sched.New(sched.DefaultConfig()), watches: map[kinds.Kind]bool{}, now: draw.Epoch().Add(24 * time.Hour)}
	for _, k := range sched.Watches() {
		p.watches[k] = true
	}
	return p, nil
}

func (p *pair) close() { p.theirs.Close() }

func (p *pair) apply(e store.Event) error {
	p.now = p.now.Add(step)
	if p.watches[e.Ref.Kind] {
		p.ours.See(p.now, e, 0)
	}
	return p.theirs.Apply(e)
}

// fresh is a pair that has seen nothing but the objects of a case, once.
func (c *Case) fresh() (*pair, error) {
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	var w world
	for _, o := range c.Objects {
		if err := p.apply(w.put(o)); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// Case is a world and the pod to look at, which is one of its objects.
type Case struct {
	Objects []kinds.Object
	Pod     kinds.Key
}

func (c *Case) pod() *corev1.Pod { return (&world{objects: c.Objects}).pod(c.Pod) }

// next hands out the pod that our scheduler takes up, nil for none.
func (p *pair) next() *corev1.Pod {
	p.now = p.now.Add(step)
	pod, _, ok := p.ours.Next(p.now)
	if !ok {
		return nil
	}
	return pod
}

// look compares what the two say of a pod. It changes neither.
func (p *pair) look(pod *corev1.Pod) (*Result, error) {
	p.now = p.now.Add(step)
	theirs, err := p.theirs.Explain(pod)
	if err != nil {
		return nil, err
	}
	r := &Result{Theirs: theirs, Ours: p.ours.Explain(p.now, pod)}
	r.Differences = compare(r.Theirs, r.Ours)
	return r, nil
}

// decide has our scheduler decide on a pod that next handed out, and adds to the
// result what is then otherwise than it was explained.
func (p *pair) decide(pod *corev1.Pod, r *Result) {
	p.now = p.now.Add(step)
	d := p.ours.Decide(p.now, pod)
	if r.decided = d.Node == r.Ours.Chosen; !r.decided {
		r.Differences = append(r.Differences, Difference{What: "decision", Theirs: r.Ours.Chosen + " (explained)", Ours: d.Node + " (decided)"})
	}
}

// again looks at a case with a pair of its own.
func (c *Case) again() (*Result, error) {
	p, err := c.fresh()
	if err != nil {
		return nil, err
	}
	defer p.close()
	pod := c.pod()
	r, err := p.look(pod)
	if err != nil {
		return nil, err
	}
	for range handedOutMax {
		handed := p.next()
		if handed == nil {
			break
		}
		if kinds.KeyOf(handed) == c.Pod {
			p.decide(handed, r)
			break
		}
	}
	return r, nil
}
