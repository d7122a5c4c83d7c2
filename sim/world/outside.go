package world

import (
	"time"

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

// The messages of outside.
const (
	msgAsked   uint16 = iota + 1 // Ref: func(time.Time, *api.API)
	msgRequest                   // Ref: *api.Request of a recorded run
)

// Handle implements sim.Actor.
func (o *outside) Handle(m sim.Msg) {
	s := o.w.server
	switch m.Kind {
	case msgAsked:
		m.Ref.(func(time.Time, *api.API))(o.w.eng.Date(), s.api)
	case msgRequest:
		r := *m.Ref.(*api.Request)
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

// Outside lets f write to the API at the present time. It must be called between
// two calls of Advance. Reads belong into Peek, which leaves no mark on the run.
func (w *World) Outside(f func(now time.Time, a *api.API)) {
	n := w.outside.count
	w.outside.count++
	w.eng.AtOrder(w.eng.Now(), sim.RequestOrder+n, w.outside.id, sim.Msg{Kind: msgAsked, Ref: f})
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
