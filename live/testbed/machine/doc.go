// Package machine is what tests of the real world have to do with the machine that they
// run on: what they need of it, the runtime program and the root file system that their
// containers take, and what they have left on it. No program uses it.
package machine
