package ctrl

import (
	"time"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
)

// Controller decides what to change to bring one object nearer to its spec.
type Controller interface {
	// Name is how Kubernetes calls it in events and logs: "replicaset-controller".
	Name() string

	// Kinds are the kinds whose events Keys wants to see.
	Kinds() []kinds.Kind

	// Keys calls add for each key that the event may concern. The view already
	// contains the event; e.Old is the state before it.
	Keys(v *view.View, e store.Event, add func(kinds.Ref))

	// Reconcile looks at the view and plans. It must be idempotent: with a view
	// that already is as it should be, the plan is empty.
	Reconcile(now time.Time, v *view.View, key kinds.Ref) Plan
}

// Plan is what a controller wants done.
type Plan struct {
	Writes []api.Request
	Notes  []api.Note
	// Again asks for the key once more after this long, even if nothing changes;
	// 0 asks for nothing.
	Again time.Duration
	// Failed says why the key could not be brought nearer to its spec for a cause
	// that no event will announce; the key comes back after its back-off.
	Failed error
}

// Write appends writes to the plan.
func (p *Plan) Write(r ...api.Request) { p.Writes = append(p.Writes, r...) }

// Note appends a note to the plan.
func (p *Plan) Note(n api.Note) { p.Notes = append(p.Notes, n) }

// LookAgain asks for the key after d at the latest; the soonest wish wins.
func (p *Plan) LookAgain(d time.Duration) {
	if d > 0 && (p.Again == 0 || d < p.Again) {
		p.Again = d
	}
}

// Empty says whether nothing is to be written.
func (p *Plan) Empty() bool { return len(p.Writes) == 0 }
