// Package serve keeps a simulated cluster alive for people: its API can be asked at
// any moment, and its clock is under their control: paused, stepped, as fast as the
// wall's times a factor, or as fast as it can.
//
// A Cluster owns the world's one goroutine. Whoever wants something of the world,
// the HTTP front or the clock, hands it a function and waits; between two events of
// the run the goroutine looks for such functions. Writes that come in are events of
// the run and are recorded with their virtual times, so the run can be repeated as a
// scenario.
package serve
