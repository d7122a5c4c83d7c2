// Package trace is the form of a run's trace, the same in every world: which event
// happened when, to what, and which event led to it.
package trace

import "time"

// Line is one line of the trace: an event that was handled.
type Line struct {
	Time      time.Duration // since the start of the run
	Seq       uint64
	Cause     uint64 // Seq of the event that led to this one; 0 for the scenario itself
	Component string // who handled it: "api-server", "deployment-controller", a node's name
	What      string // "create", "reconcile", "container started", …
	Object    string // "pod/default/web-0"; may be empty
	Detail    string // free text; may be empty
}

// Recorder receives the trace. Begin is called for every event before it is
// handled; Describe, at most a few times during the handling, says what it was.
type Recorder interface {
	Begin(l Line)
	Describe(what, object, detail string)
}
