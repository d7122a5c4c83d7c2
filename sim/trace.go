package sim

import "seatrial.dev/seatrial/internal/trace"

// Record sets the recorder of the trace; nil stops recording.
func (e *Engine) Record(r trace.Recorder) { e.rec = r }

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
