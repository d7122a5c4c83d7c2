// Package report writes down how a run went, for people and for other programs: the
// trace as JSON lines and for Perfetto, the final state as YAML, JUnit XML, and a
// page with a time line that opens without a network.
//
// A Report gathers what it needs while the run goes on and writes when it ends.
// The run itself knows nothing of it.
package report
