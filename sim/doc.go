// Package sim is the discrete-event engine: virtual clock, event heap, random
// streams, trace and running hash. It knows nothing of clusters; sim/world builds
// one on it.
//
// An event is a small value addressed to an Actor, handled at its virtual time.
// Events at the same time are handled in the order in which they were scheduled
// (their sequence numbers). Everything is on one goroutine, and scheduling and
// handling allocate nothing in steady state.
//
// Each event knows its cause: the event during whose handling it was scheduled.
// The engine folds every handled event into a running hash, so two runs are
// equal exactly when their hashes are. A trace is written only when a Recorder is
// set; recording changes neither the order of events nor the hash.
//
// Vocabulary: Time is virtual time since the start of the run; Epoch is the
// calendar time at which a run starts, unless it is told another.
package sim
