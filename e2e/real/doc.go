// Package real proves that the real world does what it should: by the programs that
// people run (seatrial, seatrial-runtime, kubectl) on hosts of labs, as root. It is tests
// only; nobody calls it.
//
// TestMain builds the programs and the images, and installs what the machine lacks where
// it can. On a machine that cannot run a lab no test runs, and each says why.
//
// A lab has a name, a folder and a subnet of its own (newLab), so that tests may run side
// by side. Tests that break hosts have their lab alone; those of TestCluster share one and
// have a namespace each. The programs are asked by their command lines; what these have
// no verb for (to kill a server, to write a thousand objects) goes through live/testbed.
// Nothing sleeps: what must come is waited for, with a deadline.
//
// The benchmarks are the figures of bench/FIGURES.md, "The real world".
package real
