package ctrltest

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// Vouch makes the view vouch for every node's heartbeats.
func (w *World) Vouch() {
	w.Vouched = true
	w.View.SetPulse(steady{})
}

type steady struct{}

// Heartbeat implements view.Pulse.
func (steady) Heartbeat(string) (time.Time, bool) { return Start, true }

// Settle lets the controllers work until nothing is left to do at this time, or for
// turnsMax turns; it says which.
func (w *World) Settle() bool {
	for turns := 0; ; {
		before := turns
		for i := range w.Controllers {
			for w.Turn(i) {
				if turns++; turns > turnsMax {
					return false
				}
			}
		}
		if turns == before {
			return true
		}
	}
}

// Agents plays the node agents: pods that are being deleted end, those of a Job that
// are ready succeed, and every other comes to be ready.
func (w *World) Agents() {
	var pods []*corev1.Pod
	for p := range view.All[*corev1.Pod](w.View, kinds.Pod) {
		pods = append(pods, p)
	}
	for _, p := range pods {
		switch {
		case p.DeletionTimestamp != nil:
			if _, err := w.leave(p); err != nil {
				panic(err)
			}
		case view.Active(p) && view.Ready(p) && p.Labels[batchv1.JobNameLabel] != "":
			if err := w.end(p, corev1.PodSucceeded, 0); err != nil {
				panic(err)
			}
		case view.Active(p) && !view.Ready(p):
			if err := w.makeReady(p); err != nil {
				panic(err)
			}
		}
	}
}

// Load puts an object into the store as it stands, with defaults, and feeds it to the
// view.
func (w *World) Load(o kinds.Object) { w.feed(w.Put(o)) }

// Write is a write by somebody else.
func (w *World) Write(r api.Request) {
	if _, err := w.API.Do(w.Now, r); err != nil {
		panic(err)
	}
	w.catchUp()
}
