package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
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
	todo []request
	sent request
}

// request makes one write from the state of the cluster at the time it is sent. An
// empty one (Verb 0) means that nothing is to be done.
type request func() (api.Request, error)

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
	todo, err := u.requests(n, s.Action)
	if err != nil {
		u.w.judge.Failed(u.w.eng.Now(), s, err)
		return
	}
	if len(todo) > 0 {
		u.tasks[n] = &task{step: s, todo: todo}
		u.next(n)
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

// requests carries out what needs no API, and says what to ask of it.
func (u *user) requests(n uint64, a scenarios.Action) ([]request, error) {
	switch a := a.(type) {
	case scenarios.Apply:
		todo := make([]request, len(a.Objects))
		for i, o := range a.Objects {
			todo[i] = func() (api.Request, error) { return api.Apply(u.w.Store().Get(kinds.RefOf(o)), o) }
		}
		return todo, nil
	case scenarios.Delete:
		r := api.Delete(a.Ref, "")
		r.Propagation, r.Grace = a.Propagation, a.Grace
		return fixed(r), nil
	case scenarios.Patch:
		return fixed(api.Patch(a.Ref, a.Type, a.Body)), nil
	case scenarios.Scale:
		return fixed(api.Scale(a.Ref, a.Replicas)), nil
	case scenarios.SetImage:
		return []request{func() (api.Request, error) {
			return api.SetImage(u.w.Store().Get(a.Ref), a.Ref, a.Container, a.Image)
		}}, nil
	case scenarios.Cordon:
		return fixed(cordon(a.Node, !a.Undo)), nil
	case scenarios.Drain:
		return append(fixed(cordon(a.Node, true)), func() (api.Request, error) { return u.drain(n, a) }), nil
	}
	return nil, u.harm(a)
}

func fixed(r api.Request) []request {
	return []request{func() (api.Request, error) { return r, nil }}
}

func cordon(node string, unschedulable bool) api.Request {
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"unschedulable": unschedulable}})
	if err != nil {
		panic(err) // a map of booleans
	}
	return api.Patch(ref(kinds.Node, node), types.StrategicMergePatchType, body)
}

// drain adds an eviction for each pod of the node; pods of DaemonSets stay.
func (u *user) drain(n uint64, a scenarios.Drain) (api.Request, error) {
	t := u.tasks[n]
	for o := range u.w.Store().List(kinds.Pod, "") {
		pod := o.(*corev1.Pod)
		if pod.Spec.NodeName != a.Node || pod.Annotations[corev1.MirrorPodAnnotationKey] != "" {
			continue
		}
		if c := metav1.GetControllerOfNoCopy(pod); c != nil && c.Kind == kinds.DaemonSet.String() {
			if !a.IgnoreDaemonSets {
				return api.Request{}, fmt.Errorf("cannot delete DaemonSet-managed Pods (use ignoreDaemonSets: true): %s", kinds.KeyOf(pod))
			}
			if !view.Finished(pod) {
				continue
			}
		}
		r := api.Evict(kinds.KeyOf(pod), pod.UID)
		r.Grace = a.Grace
		t.todo = append(t.todo, func() (api.Request, error) { return r, nil })
	}
	return api.Request{}, nil
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
	r, err := t.sent()
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
	err, evicting := c.err, c.req.Subresource == api.SubEviction
	u.w.eng.Describe("answered", "", answered(err))
	u.w.server.done(c)
	switch {
	case err == nil, evicting && (apierrors.IsNotFound(err) || apierrors.IsConflict(err)):
		u.next(n)
	case evicting && apierrors.IsTooManyRequests(err):
		u.w.eng.After(u.w.timing.EvictRetry, u.id, sim.Msg{Kind: msgTry, A: n})
	case apierrors.IsConflict(err):
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
