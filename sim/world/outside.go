package world

import (
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/sim"
)

// outside carries what people ask of a cluster whose API is served. Each request is
// an event of its own at the present virtual time; nothing else moves.
type outside struct {
	w     *World
	id    sim.ActorID
	count uint64
}

func newOutside(w *World) *outside {
	o := &outside{w: w}
	o.id = w.eng.Register("outside", o)
	return o
}

// msgRequest is a request from outside. Ref is the *api.Request to be made again, or
// nil for one that has just been made.
const msgRequest uint16 = 1

// Handle implements sim.Actor.
func (o *outside) Handle(m sim.Msg) {
	s := o.w.server
	if recorded, ok := m.Ref.(*api.Request); ok {
		r := *recorded
		if o.w.eng.Recording() {
			o.w.eng.Describe(r.String(), r.Ref.String(), "")
		}
		if r.Object != nil {
			r.Object = kinds.Clone(r.Object)
		}
		_, _ = s.api.Do(o.w.eng.Date(), r) // its refusal was part of the recorded run
	}
	o.w.eng.Fold(s.Store().RV())
	s.feed()
}

// Outside makes the request that was just made of API an event of the run, and lets
// the cluster see what it wrote. It must be called after each request, between two
// calls of Advance, so that a recording can repeat the run.
func (w *World) Outside() {
	n := w.outside.count
	w.outside.count++
	w.eng.AtOrder(w.eng.Now(), sim.RequestOrder+n, w.outside.id, sim.Msg{Kind: msgRequest})
	w.instant(w.eng.Now())
}

// replayRequests schedules the requests of a recorded run.
func (w *World) replayRequests() {
	for _, s := range w.scn.Steps {
		if r, ok := s.Action.(scenarios.Request); ok {
			n := w.outside.count
			w.outside.count++
			req := r.Request
			w.eng.AtOrder(s.At, sim.RequestOrder+n, w.outside.id, sim.Msg{Kind: msgRequest, Ref: &req})
		}
	}
}

// API is the cluster's API. Whoever uses it must do so between two calls of Advance.
func (w *World) API() *api.API { return w.server.api }

// Logs returns what a container has written so far, or, with previous, what its run
// before the present one wrote; ok is false if there was no such run.
func (w *World) Logs(pod *corev1.Pod, container string, previous bool) (lines []LogLine, ok bool) {
	h := w.byNode[pod.Spec.NodeName]
	if h == nil {
		return nil, false
	}
	return h.runtime.logs(pod.UID, container, previous, w.eng.Now())
}
