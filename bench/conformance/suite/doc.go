// Package suite is Kubernetes' own end-to-end tests, compiled with the packages that
// its conformance list draws from. It has nothing of its own: command conformance
// compiles it and runs it.
package suite
