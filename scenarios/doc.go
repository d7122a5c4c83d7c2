// Package scenarios reads scenario files and says what a world must be able to do
// to run one.
//
// A Scenario is a cluster, the objects to put into it, how its images behave, a
// time line of steps and the checks that judge the run. Reading one finds every
// error that can be found beforehand and names file, line and field; nothing has
// been run by then. The files are described in the repository's README; the
// examples stand beside this package.
//
// Target is a world that can run a scenario. The checks themselves are judged in
// scenarios/check, outside the code under test.
package scenarios
