package playback

import (
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/sched"
)

// Limits of a cluster.
const (
	roundsMax = 1000    // times that one decision's writes may bring forth further writes
	idleMax   = 100_000 // times in a row that the scheduler may wake for nothing
)

// cluster is the API, the store and the scheduler.
type cluster struct {
	api    *api.API
	store  *store.Store
	sched  *sched.Scheduler
	wants  [kinds.Count]bool
	seen   uint64 // resourceVersion of the last write that was handed on
	now    time.Time
	writes []sched.Write
	ending []*corev1.Pod // that were asked to end, and have a node

	watch  func(e store.Event)                            // of pods
	before func(pod *corev1.Pod)                          // a decision
	after  func(pod *corev1.Pod, d *sched.Decision) error // it
}

// epoch is when runs start.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newCluster(cfg sched.Config, seed uint64) (*cluster, error) {
	st := store.New(store.WindowDefault)
	a, err := api.New(st, rand.New(rand.NewPCG(seed, 0)), api.DefaultConfig())
	if err != nil {
		return nil, err
	}
	c := &cluster{api: a, store: st, sched: sched.New(cfg), now: epoch}
	for _, k := range sched.Watches() {
		c.wants[k] = true
	}
	for _, ns := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		if err := c.do(api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// do carries out one write and hands on what came of it.
func (c *cluster) do(r api.Request) error {
	if _, err := c.api.Do(c.now, r); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	return c.drain()
}

// drain hands on the events of the store, as a watch does, and ends the pods that were
// asked to.
func (c *cluster) drain() error {
	for {
		for c.seen < c.store.RV() {
			e, err := c.store.At(c.seen + 1)
			if err != nil {
				return fmt.Errorf("watch: %w", err)
			}
			c.seen++
			if c.wants[e.Ref.Kind] {
				c.sched.See(c.now, e, 0)
			}
			pod, ok := e.Object.(*corev1.Pod)
			if !ok {
				continue
			}
			c.watch(e)
			if e.Type != store.Deleted && pod.DeletionTimestamp != nil {
				c.ending = append(c.ending, pod)
			}
		}
		if len(c.ending) == 0 {
			return nil
		}
		pod := c.ending[len(c.ending)-1]
		c.ending = c.ending[:len(c.ending)-1]
		if c.store.Get(kinds.RefOf(pod)) == nil {
			continue
		}
		r := api.Delete(kinds.RefOf(pod), pod.UID)
		r.Grace = 0
		if _, err := c.api.Do(c.now, r); err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
	}
}

// settle makes decisions while there are pods to decide on.
func (c *cluster) settle() (decided int, err error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	for {
		pod, _, ok := c.sched.Next(c.now)
		if !ok {
			return decided, nil
		}
		decided++
		if c.before != nil {
			c.before(pod)
		}
		d := c.sched.Decide(c.now, pod)
		if d.Members == nil {
			d.Members = []sched.Member{{Pod: pod, Decision: d}}
		}
		for i := range d.Members {
			if err := c.after(d.Members[i].Pod, &d.Members[i].Decision); err != nil {
				return decided, err
			}
		}
		if err := c.flush(); err != nil {
			return decided, err
		}
	}
}

// advance lets time pass, with all that falls due on the way.
func (c *cluster) advance(to time.Time) error {
	idle := 0
	for {
		n, err := c.settle()
		if err != nil {
			return err
		}
		due, ok := c.sched.Due()
		if !ok || due.After(to) {
			c.now = to
			return nil
		}
		if idle++; n > 0 {
			idle = 0
		}
		if idle > idleMax {
			return fmt.Errorf("the scheduler has woken %d times in a row for nothing", idleMax)
		}
		if !due.After(c.now) {
			due = c.now.Add(time.Millisecond)
		}
		c.now = due
	}
}

// flush carries out what the scheduler wants written, and tells it the outcome.
func (c *cluster) flush() error {
	for range roundsMax {
		c.writes = append(c.writes[:0], c.sched.Take()...)
		if len(c.writes) == 0 {
			return nil
		}
		for i := range c.writes {
			w := &c.writes[i]
			var err error
			if w.Req.Verb != 0 {
				_, err = c.api.Do(c.now, w.Req)
			}
			for k := 0; err == nil && k < len(w.Notes); k++ {
				if err := c.api.Record(c.now, w.Notes[k]); err != nil {
					return err
				}
			}
			if w.ID != 0 { // a note alone has none
				c.sched.Answered(c.now, w.ID, err)
			}
			if err := c.drain(); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("the scheduler has made %d rounds of writes without an end", roundsMax)
}
