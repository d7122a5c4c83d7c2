package world

import (
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/netsim"
	"seatrial.dev/seatrial/sim"
)

// manager is the controller manager: one view, and a driver for each controller.
type manager struct {
	w       *World
	id      sim.ActorID
	stream  *stream
	view    *view.View
	drivers []*driver
	byKind  [kinds.Count][]*driver
}

// The messages of the manager and of its drivers.
const (
	msgWatch     uint16 = iota + 1 // A: version
	msgResume                      // a broken watch is resumed
	msgReconcile                   // A: number of the turn
	msgAnswer                      // A: number of the turn; Ref: *call
	msgDue                         // a timed key is due
)

func newManager(w *World, party netsim.Party, controllers []ctrl.Controller) *manager {
	m := &manager{w: w, view: view.New()}
	m.view.SetPulse(pulse{w})
	m.id = w.eng.Register("controller-manager", m)
	m.stream = &stream{w: w, party: party, to: m.id, kind: msgWatch, resume: msgResume}
	for _, i := range kinds.All() {
		m.stream.wants[i.Kind] = i.Kind != kinds.Event
	}
	w.server.streams = append(w.server.streams, m.stream)
	for _, c := range controllers {
		d := newDriver(m, c)
		m.drivers = append(m.drivers, d)
		for _, k := range c.Kinds() {
			m.byKind[k] = append(m.byKind[k], d)
		}
	}
	return m
}

// Handle implements sim.Actor.
func (m *manager) Handle(msg sim.Msg) {
	switch msg.Kind {
	case msgWatch:
		if !m.stream.arrives(msg.B) {
			return
		}
		e := m.w.server.event(msg.A)
		if m.w.eng.Recording() {
			m.w.eng.Describe("sees", e.Ref.String(), e.Type.String())
		}
		m.view.Apply(e)
		m.dispatch(e)
	case msgResume:
		if m.stream.resumed(msg.B) {
			for _, e := range m.w.server.follow(m.view) {
				m.dispatch(e)
			}
		}
	}
	for _, d := range m.drivers {
		d.kick()
	}
}

func (m *manager) dispatch(e store.Event) {
	for _, d := range m.byKind[e.Ref.Kind] {
		d.c.Keys(m.view, e, d.add)
	}
}

// driver runs one controller: it hands out keys, applies plans write by write, and
// holds a key back until the view has caught up with what was written for it.
type driver struct {
	m      *manager
	c      ctrl.Controller
	id     sim.ActorID
	queue  *ctrl.Queue
	turns  [reconcilers]turn
	busy   int
	add    func(kinds.Ref)
	timer  sim.Timer
	timeAt time.Time
}

// turn is one reconciler's work on one key.
type turn struct {
	active  bool
	key     kinds.Ref
	plan    ctrl.Plan
	next    int    // the write to be sent next
	wroteRV uint64 // version of the last write
	refused bool   // the plan is what the controller planned after a refusal
	err     error
}

func newDriver(m *manager, c ctrl.Controller) *driver {
	d := &driver{m: m, c: c, queue: ctrl.NewQueue()}
	d.id = m.w.eng.Register(c.Name(), d)
	d.add = func(r kinds.Ref) { d.queue.Add(r, m.w.eng.Cause()) }
	return d
}

// kick gives keys to idle reconcilers and sets the alarm for timed ones.
func (d *driver) kick() {
	eng := d.m.w.eng
	for i := 0; d.busy < reconcilers && i < reconcilers; i++ {
		t := &d.turns[i]
		if t.active {
			continue
		}
		key, cause, ok := d.queue.Pop(eng.Date(), d.m.view.RV())
		if !ok {
			break
		}
		*t = turn{active: true, key: key}
		d.busy++
		eng.AtBecause(eng.Now()+d.m.w.timing.Reconcile, d.id, sim.Msg{Kind: msgReconcile, A: uint64(i)}, cause)
	}
	at, ok := d.queue.Next()
	if ok && d.busy < reconcilers && !at.Equal(d.timeAt) { // the end of a turn comes here again
		eng.Cancel(d.timer)
		d.timer = eng.At(max(eng.SinceStart(at), eng.Now()), d.id, sim.Msg{Kind: msgDue})
		d.timeAt = at
	}
}

// Handle implements sim.Actor.
func (d *driver) Handle(m sim.Msg) {
	switch m.Kind {
	case msgReconcile:
		d.reconcile(int(m.A))
	case msgAnswer:
		d.answer(int(m.A), m.Ref.(*call))
	case msgDue:
		d.m.w.eng.Describe("timer", "", "")
		d.timeAt = time.Time{}
	}
	d.kick()
}

func (d *driver) reconcile(i int) {
	t, eng := &d.turns[i], d.m.w.eng
	t.plan = d.c.Reconcile(eng.Date(), d.m.view, t.key)
	if eng.Recording() {
		eng.Describe("reconcile", t.key.String(), planned(&t.plan))
	}
	for _, n := range t.plan.Notes {
		d.m.w.server.note(d.m.stream.party, n)
	}
	d.step(i)
}

func planned(p *ctrl.Plan) string {
	switch {
	case p.Failed != nil:
		return "failed: " + p.Failed.Error()
	case len(p.Writes) == 0:
		return "nothing to do"
	case len(p.Writes) == 1:
		return p.Writes[0].String()
	}
	return fmt.Sprintf("%s and %d more", p.Writes[0], len(p.Writes)-1)
}

// step sends the turn's next write, or ends the turn.
func (d *driver) step(i int) {
	t := &d.turns[i]
	if t.next < len(t.plan.Writes) {
		d.m.w.server.call(call{req: t.plan.Writes[t.next], from: d.m.stream.party, to: d.id, kind: msgAnswer, a: uint64(i)})
		return
	}
	eng := d.m.w.eng
	if t.err == nil {
		t.err = t.plan.Failed
	}
	if t.err != nil {
		d.queue.Retry(eng.Date(), t.key, t.wroteRV, eng.Cause())
	} else {
		d.queue.Done(t.key, t.wroteRV)
		if t.plan.Again > 0 {
			d.queue.AddAt(eng.Date().Add(t.plan.Again), t.key, eng.Cause())
		}
	}
	*t = turn{}
	d.busy--
}

func (d *driver) answer(i int, c *call) {
	t, w := &d.turns[i], d.m.w
	object, err := c.object, c.err
	w.server.done(c)
	write := t.plan.Writes[t.next]
	if w.eng.Recording() {
		w.eng.Describe("answered", t.key.String(), answered(err))
	}
	if err != nil && !(write.Verb == api.VerbDelete && apierrors.IsNotFound(err)) {
		d.refuse(i, write, err)
		return
	}
	if object != nil {
		t.wroteRV = max(t.wroteRV, version(object))
	}
	for _, n := range t.plan.NotesOf(t.next, object) {
		w.server.note(d.m.stream.party, n)
	}
	t.next++
	d.step(i)
}

func answered(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// refuse ends a plan at a write that failed. A controller that listens may tell
// people why.
func (d *driver) refuse(i int, write api.Request, err error) {
	t := &d.turns[i]
	l, listens := d.c.(ctrl.Listener)
	if !listens || t.refused {
		t.err = firstError(t.err, err)
		t.plan, t.next = ctrl.Plan{}, 0
		d.step(i)
		return
	}
	t.plan, t.next = l.Refused(d.m.w.eng.Date(), d.m.view, t.key, write, err), 0
	t.plan.Again, t.plan.Failed = 0, nil
	t.refused, t.err = true, err
	for _, n := range t.plan.Notes {
		d.m.w.server.note(d.m.stream.party, n)
	}
	d.step(i)
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// version is an object's resourceVersion as a number.
func version(o kinds.Object) uint64 {
	var n uint64
	for _, c := range []byte(o.GetResourceVersion()) {
		n = n*10 + uint64(c-'0')
	}
	return n
}
