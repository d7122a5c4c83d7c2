package ctrl

import (
	"sort"
	"strings"
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

// Listener is a Controller that wants to hear of its refused writes, to tell
// people (an event) and programs (a condition) why its object stands still.
type Listener interface {
	// Refused is asked after a write of key's plan failed with err, before the
	// key goes into its back-off. What it plans is applied as far as it goes:
	// nobody is told of a failure in it.
	Refused(now time.Time, v *view.View, key kinds.Ref, write api.Request, err error) Plan
}

// Plan is what a controller wants done.
type Plan struct {
	Writes []api.Request
	// Notes are recorded whatever becomes of the writes; those that speak of a
	// write's success are bound to it by WriteNoted.
	Notes []api.Note
	bound []boundNote // in the order of writes
	// Again asks for the key once more after this long, even if nothing changes;
	// 0 asks for nothing.
	Again time.Duration
	// Failed says why the key could not be brought nearer to its spec for a cause
	// that no event will announce; the key comes back after its back-off.
	Failed error
}

// Write appends writes to the plan.
func (p *Plan) Write(r ...api.Request) { p.Writes = append(p.Writes, r...) }

// NameOfWritten in the message of a bound note stands for the name of the object
// written, which the API mints when the request has only a generateName.
const NameOfWritten = "{name}"

type boundNote struct {
	write int
	note  api.Note
}

// WriteNoted appends a write and notes that are recorded once it has succeeded.
func (p *Plan) WriteNoted(r api.Request, notes ...api.Note) {
	for _, n := range notes {
		p.bound = append(p.bound, boundNote{len(p.Writes), n})
	}
	p.Writes = append(p.Writes, r)
}

// NotesOf are the notes to record when Writes[i] has succeeded and the API has
// answered with written (nil when it answered with no object).
func (p *Plan) NotesOf(i int, written kinds.Object) []api.Note {
	var out []api.Note
	for _, b := range p.bound[p.firstBound(i):] {
		if b.write != i {
			break
		}
		if written != nil {
			b.note.Message = strings.ReplaceAll(b.note.Message, NameOfWritten, written.GetName())
		}
		out = append(out, b.note)
	}
	return out
}

func (p *Plan) firstBound(i int) int {
	return sort.Search(len(p.bound), func(j int) bool { return p.bound[j].write >= i })
}

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
