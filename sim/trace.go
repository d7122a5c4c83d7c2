package sim

// Line is one line of the trace: an event that was handled.
type Line struct {
	Time      Time
	Seq       uint64
	Cause     uint64 // Seq of the event that led to this one; 0 for the scenario itself
	Component string // the actor's name
	What      string // "create", "bind", "container started", …
	Object    string // "pod/default/web-0"; may be empty
	Detail    string // free text; may be empty
}

// Recorder receives the trace. Begin is called for every event before it is
// handled; Describe, at most a few times during the handling, says what it was.
type Recorder interface {
	Begin(l Line)
	Describe(what, object, detail string)
}

// Record sets the recorder of the trace; nil stops recording.
func (e *Engine) Record(r Recorder) { e.rec = r }

// Recording says whether a trace is kept, so that its text need not be made
// otherwise.
func (e *Engine) Recording() bool { return e.rec != nil }

// Describe adds to the trace what the event being handled is. Guard it with
// Recording where its arguments cost anything.
func (e *Engine) Describe(what, object, detail string) {
	if e.rec != nil {
		e.rec.Describe(what, object, detail)
	}
}
