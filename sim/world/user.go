package world

import (
	"errors"
	"fmt"
	"time"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/netsim"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim"
)

// user is who acts on the cluster from outside: it applies the manifests and
// carries out the time line, with kubectl's manners where it talks to the API.
type user struct {
	w     *World
	id    sim.ActorID
	party netsim.Party
	steps []scenarios.Step
	tasks map[uint64]*task
}

// task is a step that needs several requests, one after the other.
type task struct {
	step scenarios.Step
	todo []scenarios.Ask
	sent scenarios.Ask
}

// The messages of the user.
const (
	msgStep  uint16 = iota + 1 // A: number of the step
	msgReply                   // A: number of the step; Ref: *call
	msgTry                     // A: number of the step: try the last request again
)

// conflictRetry is how soon a write that met a conflict is made again.
const conflictRetry = 50 * time.Millisecond

func newUser(w *World, party netsim.Party) *user {
	u := &user{w: w, party: party, tasks: map[uint64]*task{}}
	u.id = w.eng.Register("scenario", u)
	return u
}

// schedule puts the manifests and the time line into the event heap. Steps at the
// very start come after the manifests.
func (u *user) schedule() {
	if len(u.w.scn.Objects) > 0 {
		u.steps = append(u.steps, scenarios.Step{Action: scenarios.Apply{Objects: u.w.scn.Objects}})
	}
	for _, s := range u.w.scn.Steps {
		if _, recorded := s.Action.(scenarios.Request); !recorded { // see outside
			u.steps = append(u.steps, s)
		}
	}
	for i, s := range u.steps {
		if s.At <= u.w.scn.Duration {
			u.w.eng.AtOrder(max(s.At, u.w.timing.Apply), sim.StepOrder+uint64(i), u.id, sim.Msg{Kind: msgStep, A: uint64(i)})
		}
	}
}

// Handle implements sim.Actor.
func (u *user) Handle(m sim.Msg) {
	switch m.Kind {
	case msgStep:
		u.begin(m.A, u.steps[m.A])
	case msgReply:
		u.reply(m.A, m.Ref.(*call))
	case msgTry:
		u.w.eng.Describe("tries again", "", "")
		u.send(m.A)
	}
}

func (u *user) begin(n uint64, s scenarios.Step) {
	if u.w.eng.Recording() {
		u.w.eng.Describe(s.Action.String(), aim(s.Action), "")
	}
	if todo := scenarios.Asks(s.Action); len(todo) > 0 {
		u.tasks[n] = &task{step: s, todo: todo}
		u.next(n)
		return
	}
	if a, apply := s.Action.(scenarios.Apply); apply && len(a.Objects) == 0 {
		return
	}
	if err := u.harm(s.Action); err != nil {
		u.w.judge.Failed(u.w.eng.Now(), s, err)
	}
}

// aim is the object that a step is about, for the trace.
func aim(a scenarios.Action) string {
	node := func(name string) string { return ref(kinds.Node, name).String() }
	switch a := a.(type) {
	case scenarios.Crash:
		return node(a.Node)
	case scenarios.Restart:
		return node(a.Node)
	case scenarios.Freeze:
		return node(a.Node)
	case scenarios.Thaw:
		return node(a.Node)
	case scenarios.Cordon:
		return node(a.Node)
	case scenarios.Drain:
		return node(a.Node)
	case scenarios.Delete:
		return a.Ref.String()
	case scenarios.Patch:
		return a.Ref.String()
	case scenarios.Scale:
		return a.Ref.String()
	case scenarios.SetImage:
		return a.Ref.String()
	case scenarios.Cut:
		if len(a.From) == 1 {
			return node(a.From[0])
		}
	}
	return ""
}

// next sends the first request that a task still has to make.
func (u *user) next(n uint64) {
	t := u.tasks[n]
	if len(t.todo) == 0 {
		delete(u.tasks, n)
		return
	}
	t.sent, t.todo = t.todo[0], t.todo[1:]
	u.send(n)
}

func (u *user) send(n uint64) {
	t := u.tasks[n]
	r, more, err := t.sent(u.w.Store())
	t.todo = append(more, t.todo...)
	switch {
	case err != nil:
		u.fail(n, err)
	case r.Verb == 0:
		u.next(n)
	default:
		u.w.server.call(call{req: r, from: u.party, to: u.id, kind: msgReply, a: n})
	}
}

func (u *user) reply(n uint64, c *call) {
	outcome, err := scenarios.Answered(c.req, c.err), c.err
	u.w.eng.Describe("answered", "", answered(err))
	u.w.server.done(c)
	switch outcome {
	case scenarios.Done:
		u.next(n)
	case scenarios.Wait:
		u.w.eng.After(u.w.timing.EvictRetry, u.id, sim.Msg{Kind: msgTry, A: n})
	case scenarios.Again:
		u.w.eng.After(conflictRetry, u.id, sim.Msg{Kind: msgTry, A: n})
	default:
		u.fail(n, err)
	}
}

// fail tells the judge and goes on with what is left of the task.
func (u *user) fail(n uint64, err error) {
	u.w.judge.Failed(u.w.eng.Now(), u.tasks[n].step, err)
	u.next(n)
}

var (
	errIsDown = errors.New("the node is down")
)

// harm carries out what is done to hosts and links.
func (u *user) harm(a scenarios.Action) error {
	switch a := a.(type) {
	case scenarios.Crash:
		return u.crash(u.w.byNode[a.Node])
	case scenarios.Restart:
		u.w.restart(u.w.byNode[a.Node])
		return nil
	case scenarios.Freeze, scenarios.Thaw:
		return u.freeze(a)
	case scenarios.Cut:
		if len(a.To) == 0 {
			for _, name := range a.From {
				u.w.net.Isolate(u.w.find(name))
			}
		} else {
			u.w.net.Cut(u.w.findAll(a.From), u.w.findAll(a.To), a.OneWay)
		}
	case scenarios.Heal:
		u.heal(a)
	default:
		return fmt.Errorf("the simulated world cannot %s", a)
	}
	u.w.linksChanged()
	return nil
}

func (u *user) crash(h *host) error {
	if !h.up {
		return errIsDown
	}
	h.powerOff()
	return nil
}

// restart boots a host; a running one is rebooted.
func (w *World) restart(h *host) {
	if h.up {
		h.powerOff()
	}
	w.eng.After(w.timing.Boot, h.id, sim.Msg{Kind: msgPowerOn})
}

func (u *user) freeze(a scenarios.Action) error {
	name, freeze := "", false
	switch a := a.(type) {
	case scenarios.Freeze:
		name, freeze = a.Node, true
	case scenarios.Thaw:
		name = a.Node
	}
	h := u.w.byNode[name]
	switch {
	case !h.up:
		return errIsDown
	case h.frozen == freeze && freeze:
		return errors.New("the node is frozen already")
	case h.frozen == freeze:
		return errors.New("the node is not frozen")
	case freeze:
		h.freeze()
	default:
		h.thaw()
	}
	return nil
}

func (u *user) heal(a scenarios.Heal) {
	switch {
	case len(a.From) == 0:
		u.w.net.HealAll()
	case len(a.To) == 0:
		for _, name := range a.From {
			u.w.net.Rejoin(u.w.find(name))
		}
	default:
		u.w.net.Heal(u.w.findAll(a.From), u.w.findAll(a.To), a.OneWay)
	}
}

func (w *World) find(name string) netsim.Party {
	p, ok := w.net.Find(name)
	if !ok {
		panic("world: no party " + name + "; the reader of scenarios lets none pass")
	}
	return p
}

func (w *World) findAll(names []string) []netsim.Party {
	out := make([]netsim.Party, len(names))
	for i, n := range names {
		out[i] = w.find(n)
	}
	return out
}

// linksChanged lets everyone notice that links were cut or healed.
func (w *World) linksChanged() {
	for _, h := range w.hosts {
		h.connectionChanged()
	}
	for _, s := range w.server.streams {
		s.heal()
	}
}
