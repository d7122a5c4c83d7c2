package world

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/netsim"
	"seatrial.dev/seatrial/sim"
)

// server is the API server: it carries out calls and feeds the watches.
type server struct {
	w       *World
	api     *api.API
	id      sim.ActorID
	party   netsim.Party
	sent    uint64 // resourceVersion up to which watches have been fed
	streams []*stream
	spare   []*call // calls to be used again
}

// The messages that the server handles.
const (
	msgCall uint16 = iota + 1 // Ref is a *call
	msgNote                   // Ref is an *api.Note
	msgStart
	msgLastBeat // Ref is a *host whose heartbeats have stopped
)

// call is one API request on its way, and then its answer.
type call struct {
	req  api.Request
	from netsim.Party
	to   sim.ActorID // who gets the answer, as a message of kind with a and b
	kind uint16
	a, b uint64
	sent time.Duration

	object kinds.Object
	err    error
}

func newServer(w *World, a *api.API, party netsim.Party) *server {
	s := &server{w: w, api: a, party: party}
	s.id = w.eng.Register("api-server", s)
	w.eng.At(0, s.id, sim.Msg{Kind: msgStart})
	return s
}

// Handle implements sim.Actor.
func (s *server) Handle(m sim.Msg) {
	switch m.Kind {
	case msgStart:
		s.start()
	case msgCall:
		s.serve(m.Ref.(*call))
	case msgNote:
		s.record(m.Ref.(*api.Note))
	case msgLastBeat:
		s.lastBeat(m.Ref.(*host))
	}
	s.feed()
}

// start makes what an API server makes at its first start: the system namespaces
// and the service of the API itself.
func (s *server) start() {
	s.w.eng.Describe("started", "", "")
	for _, name := range []string{metav1.NamespaceDefault, view.NodeLeaseNamespace, metav1.NamespacePublic, metav1.NamespaceSystem} {
		s.must(api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	s.must(api.Create(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "kubernetes",
			Labels: map[string]string{"component": "apiserver", "provider": "kubernetes"}},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}},
	}))
}

func (s *server) must(r api.Request) {
	if _, err := s.api.Do(s.w.eng.Date(), r); err != nil {
		panic(fmt.Sprintf("world: %s: %v", r, err))
	}
}

// errUnreachable is what a caller gets for a lost request or answer.
var errUnreachable = apierrors.NewTimeoutError("the API server did not answer: i/o timeout", 0)

// call sends a request. The answer comes to the actor as a message of the kind
// given, whose Ref is the *call and which must be given back with done.
func (s *server) call(c call) {
	eng := s.w.eng
	c.sent = eng.Now()
	p := s.newCall(c)
	if !s.w.net.Connected(c.from, s.party) {
		s.lose(p)
		return
	}
	eng.After(s.w.net.Delay(c.from, s.party)+s.w.timing.APIRequest, s.id, sim.Msg{Kind: msgCall, Ref: p})
}

func (s *server) newCall(c call) *call {
	var p *call
	if n := len(s.spare); n > 0 {
		p, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		p = new(call)
	}
	*p = c
	return p
}

// done gives a call back once its answer has been read.
func (s *server) done(c *call) {
	*c = call{}
	s.spare = append(s.spare, c)
}

// lose lets the caller notice, after its time-out, that there is no answer.
func (s *server) lose(c *call) {
	c.err = errUnreachable
	s.w.eng.At(max(c.sent+s.w.timing.CallTimeout, s.w.eng.Now()), c.to, sim.Msg{Kind: c.kind, A: c.a, B: c.b, Ref: c})
}

func (s *server) serve(c *call) {
	eng := s.w.eng
	if !s.w.net.Connected(c.from, s.party) {
		eng.Describe("lost", c.req.String(), "")
		s.lose(c)
		return
	}
	c.object, c.err = s.api.Do(eng.Date(), c.req)
	eng.Fold(s.Store().RV())
	if eng.Recording() {
		s.describe(c)
	}
	eng.After(s.w.net.Delay(s.party, c.from), c.to, sim.Msg{Kind: c.kind, A: c.a, B: c.b, Ref: c})
}

// Store is what the server keeps.
func (s *server) Store() *store.Store { return s.api.Store() }

func (s *server) describe(c *call) {
	what := c.req.Verb.String()
	if c.req.Subresource != "" {
		what += " " + c.req.Subresource
	}
	ref, detail := c.req.Ref, ""
	if c.object != nil {
		ref.Key = kinds.KeyOf(c.object)
		detail = "version " + c.object.GetResourceVersion()
	}
	if c.err != nil {
		detail = "refused: " + c.err.Error()
	}
	if c.req.Node != "" {
		detail = "to " + c.req.Node + ", " + detail
	}
	s.w.eng.Describe(what, ref.String(), detail)
}

func (s *server) record(n *api.Note) {
	eng := s.w.eng
	if eng.Recording() {
		eng.Describe("event", kinds.RefOf(n.About).String(), n.Reason+": "+n.Message)
	}
	err := s.api.Record(eng.Date(), *n)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) { // its namespace may have gone
		panic(fmt.Sprintf("world: record %+v: %v", n, err))
	}
}

// note sends an event for people; nobody waits for an answer.
func (s *server) note(from netsim.Party, n api.Note) {
	if s.w.net.Connected(from, s.party) {
		s.w.eng.After(s.w.net.Delay(from, s.party), s.id, sim.Msg{Kind: msgNote, Ref: &n})
	}
}

// feed sends what was written since the last time to the watches, and shows it to
// the judge.
func (s *server) feed() {
	for s.sent < s.Store().RV() {
		s.sent++
		e := s.event(s.sent)
		s.w.eng.Fold(e.RV<<8 ^ uint64(e.Type) ^ sim.HashString(e.Ref.Name))
		s.w.judge.Observe(e)
		s.w.observed = true
		for _, st := range s.streams {
			if st.wants[e.Ref.Kind] {
				st.send(e.RV)
			}
		}
		s.feedHost(e.RV, e.Object)
	}
}

// feedHost sends an event to the host whose agent watches the object.
func (s *server) feedHost(rv uint64, o kinds.Object) {
	switch o := o.(type) {
	case *corev1.Pod:
		if o.Spec.NodeName != "" {
			if h := s.w.byNode[o.Spec.NodeName]; h != nil {
				h.stream.send(rv)
			}
		}
	case *corev1.Node:
		if h := s.w.byNode[o.Name]; h != nil {
			h.stream.send(rv)
		}
	}
}

// lastBeat writes down when a node was last heard of, now that its heartbeats
// are no longer vouched for.
func (s *server) lastBeat(h *host) {
	s.w.eng.Describe("heartbeats stop", "node/"+h.name, "at "+h.lastBeat.Round(time.Millisecond).String())
	if err := s.renew(h.name, h.lastBeat); err != nil {
		panic(fmt.Sprintf("world: lease of %s: %v", h.name, err))
	}
}

// renew sets the renew time of a node's lease.
func (s *server) renew(node string, at time.Duration) error {
	_, err := s.api.Do(s.w.eng.Date(), s.leaseWrite(node, at))
	return err
}

func (s *server) leaseWrite(node string, at time.Duration) api.Request {
	key := kinds.Key{Namespace: view.NodeLeaseNamespace, Name: node}
	old, _ := s.Store().Get(kinds.Ref{Kind: kinds.Lease, Key: key}).(*coordinationv1.Lease)
	seconds := int32(4 * s.w.timing.LeaseRenew / time.Second)
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &node, LeaseDurationSeconds: &seconds, RenewTime: &metav1.MicroTime{Time: s.w.eng.DateOf(at)}}}
	if old == nil {
		return api.Create(l)
	}
	l.ObjectMeta = old.ObjectMeta
	l.ResourceVersion = ""
	return api.Update(l)
}

// renewLeases brings the leases of nodes whose heartbeats are vouched for up to
// date, for whoever reads the state at the end of a run.
func (s *server) renewLeases() {
	for _, h := range s.w.hosts {
		if h.steady {
			if err := s.renew(h.name, h.latestBeat()); err != nil {
				panic(fmt.Sprintf("world: lease of %s: %v", h.name, err))
			}
		}
	}
	s.sent = s.Store().RV()
}

// stream is one watch: events of the store on their way to one process.
type stream struct {
	w      *World
	party  netsim.Party
	to     sim.ActorID
	kind   uint16 // of the message that brings an event; A is its resourceVersion
	resume uint16 // of the message that a broken watch sends itself to be resumed
	wants  [kinds.Count]bool
	broken bool
	down   bool // the process does not run
	epoch  uint64
	coming bool          // a message that resumes the watch is on its way
	last   time.Duration // when the event that was sent last arrives
}

// send puts the event of version rv on its way. B is the stream's epoch, so that
// an event sent before a break is not taken for one sent after it.
func (st *stream) send(rv uint64) {
	if st.broken || st.down {
		return
	}
	if !st.w.net.Connected(st.w.server.party, st.party) {
		st.broken = true
		return
	}
	st.last = max(st.last, st.w.eng.Now()+st.w.net.Delay(st.w.server.party, st.party)) // TCP keeps the order
	st.w.eng.At(st.last, st.to, sim.Msg{Kind: st.kind, A: rv, B: st.epoch})
}

// arrives says whether an event that was sent in epoch gets through.
func (st *stream) arrives(epoch uint64) bool {
	if st.broken || st.down || epoch != st.epoch {
		return false
	}
	if !st.w.net.Connected(st.w.server.party, st.party) {
		st.broken = true
		return false
	}
	return true
}

// heal asks for a broken watch to be resumed, if the link is up.
func (st *stream) heal() {
	if st.broken && !st.down && !st.coming && st.w.net.Connected(st.w.server.party, st.party) {
		st.resumeAfter(st.w.timing.Reconnect + 2*st.w.net.Latency(st.w.server.party, st.party))
	}
}

// resumeAfter resumes the watch after d, from what the process has seen.
func (st *stream) resumeAfter(d time.Duration) {
	st.epoch++
	st.broken, st.coming = true, true
	st.w.eng.After(d, st.to, sim.Msg{Kind: st.resume, B: st.epoch})
}

// resumed says whether the watch works again; false if the link broke meanwhile.
func (st *stream) resumed(epoch uint64) bool {
	if epoch != st.epoch {
		return false
	}
	st.coming = false
	if st.down || !st.w.net.Connected(st.w.server.party, st.party) {
		return false
	}
	st.broken = false
	return true
}

// follow applies to a view what a resumed watch has missed, and returns it.
func (s *server) follow(v *view.View) []store.Event {
	events, err := s.Store().Since(v.RV())
	if errors.Is(err, store.ErrTooOld) {
		return v.Replace(s.Store().RV(), s.everything)
	}
	for _, e := range events {
		v.Apply(e)
	}
	return events
}

func (s *server) everything(yield func(kinds.Object) bool) {
	for _, i := range kinds.All() {
		for o := range s.Store().List(i.Kind, "") {
			if !yield(o) {
				return
			}
		}
	}
}

func (s *server) event(rv uint64) store.Event {
	e, err := s.Store().At(rv)
	if err != nil {
		panic(fmt.Sprintf("world: a watch is %s versions behind: %v", strconv.FormatUint(s.Store().RV()-rv, 10), err))
	}
	return e
}
