// Package ctrl is the contract between controllers and whoever runs them.
//
// A controller is a function from a view of the cluster and a key to a Plan:
// writes in order, notes for people, and when to look again. It does nothing
// itself, reads no clock and keeps nothing that it could not compute again: a
// driver may drop it at any moment and build a new one (a crash).
//
// The driver applies a plan's writes one by one. Each may fail, conflict, be
// delayed, or be the last before a crash. A failed write ends the plan and brings
// the key back after its back-off; a delete that finds nothing has succeeded. The
// driver holds the key back until its view contains the plan's own writes, so a
// controller never sees a view older than what it did itself and needs no
// "expectations" (the problem is described with Kubernetes' ReplicaSet
// controller).
//
// After each write that succeeded the driver records the notes bound to it
// (Plan.NotesOf); the others (Plan.Notes) it records in any case. After a write
// that failed it asks a controller that is a Listener what to tell.
//
// Beside the controllers stand the packages that several of them share:
// ownership (who controls whom), podset (pods from a template, and which go first),
// revision (the history of a template), backend (the pods behind a service). all
// lists the controllers; ctrltest plays transcripts of them.
//
// Queue is the state machine of keys that both worlds' drivers use. One package
// per controller stands below this one; they never import each other and meet
// only through objects.
package ctrl
