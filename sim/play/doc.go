// Package play runs one scenario once in the simulated world and says how it
// went: the step between a scenario file and a verdict that the command line, the
// test runner, the benchmarks and the question why all share.
//
// A run that panics is a failed run with its seed, its virtual time and the
// command that replays it; other runs go on.
package play
