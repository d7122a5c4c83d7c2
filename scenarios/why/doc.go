// Package why explains an object's present state: the chain of causes, from the
// step of the scenario or the first manifest that began it to the last write that
// changed the object, in plain sentences with their times.
//
// A History is filled while a run is repeated with recording on; every event of
// the trace knows the event that led to it, so a chain is walked backwards from
// the object's last write. Messages that only carry a fact from one process to
// another are left out of the telling.
package why
