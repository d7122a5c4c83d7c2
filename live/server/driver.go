package server

import (
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/sched"
)

// driver runs one controller: it hands out keys and applies plans write by write. The
// API is in the same goroutine, so a plan's writes are answered at once and the view has
// caught up when the key comes again.
type driver struct {
	p     *Plane
	c     ctrl.Controller
	queue *ctrl.Queue
	add   func(kinds.Ref)
}

func newDriver(p *Plane, c ctrl.Controller) *driver {
	d := &driver{p: p, c: c, queue: ctrl.NewQueue()}
	d.add = func(r kinds.Ref) { d.queue.Add(r, 0) }
	return d
}

// step works on one key; false when there is none.
func (d *driver) step() bool {
	now := time.Now()
	key, _, ok := d.queue.Pop(now, d.p.view.RV())
	if !ok {
		return false
	}
	plan := d.c.Reconcile(now, d.p.view, key)
	for _, n := range plan.Notes {
		d.p.note(now, n)
	}
	wrote, err := d.apply(now, key, &plan)
	d.p.feed(now)
	if err == nil {
		err = plan.Failed
	}
	if err != nil {
		d.queue.Retry(now, key, wrote, 0)
		return true
	}
	d.queue.Done(key, wrote)
	if plan.Again > 0 {
		d.queue.AddAt(now.Add(plan.Again), key, 0)
	}
	return true
}

// apply carries out a plan's writes up to the first that fails.
func (d *driver) apply(now time.Time, key kinds.Ref, plan *ctrl.Plan) (wrote uint64, err error) {
	for i, w := range plan.Writes {
		object, err := d.p.api.Do(now, w)
		if err != nil && !(w.Verb == api.VerbDelete && apierrors.IsNotFound(err)) {
			d.refused(now, key, w, err)
			return wrote, err
		}
		if object != nil {
			wrote = max(wrote, version(object))
		}
		for _, n := range plan.NotesOf(i, object) {
			d.p.note(now, n)
		}
	}
	return wrote, nil
}

// refused lets a controller that listens tell people why it stands still.
func (d *driver) refused(now time.Time, key kinds.Ref, w api.Request, err error) {
	l, listens := d.c.(ctrl.Listener)
	if !listens {
		return
	}
	d.p.feed(now)
	plan := l.Refused(now, d.p.view, key, w, err)
	for _, n := range plan.Notes {
		d.p.note(now, n)
	}
	for i, w := range plan.Writes {
		object, err := d.p.api.Do(now, w)
		if err != nil {
			return
		}
		for _, n := range plan.NotesOf(i, object) {
			d.p.note(now, n)
		}
	}
}

// version is an object's resourceVersion as a number.
func version(o kinds.Object) uint64 {
	n, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		panic("server: the API answered with the version " + strconv.Quote(o.GetResourceVersion()))
	}
	return n
}

// schedule makes one decision and carries out what follows; false when there is none to
// make and nothing to write.
func (p *Plane) schedule() bool {
	now := time.Now()
	pod, _, ok := p.sched.Next(now)
	if ok {
		p.sched.Decide(now, pod)
	}
	wrote := false
	for writes := p.sched.Take(); len(writes) > 0; writes = p.sched.Take() {
		wrote = true
		for _, w := range append([]sched.Write(nil), writes...) {
			p.carryOut(now, w)
		}
	}
	return ok || wrote
}

func (p *Plane) carryOut(now time.Time, w sched.Write) {
	var err error
	if w.Req.Verb != 0 {
		_, err = p.api.Do(now, w.Req)
	}
	if err == nil {
		for _, n := range w.Notes {
			p.note(now, n)
		}
	}
	if w.ID != 0 {
		p.sched.Answered(now, w.ID, err)
	}
	p.feed(now)
}
