// Package detlint is a go/analysis analyzer that keeps the module deterministic:
// the same scenario and seed must give the same run, to the last event, on every
// machine. It forbids what makes two runs differ: wall clocks, shared random
// generators, goroutines and channels, walks over maps in Go's random order,
// package variables that are written, and, where decisions are made, floating
// point. Each message names what to use instead.
//
// It covers every package of the module except those that scope.go lists with the
// reason for each, and except _test.go files.
//
// # The way out
//
// A comment //det:ok on the line of the message, followed by a reason of at least
// three words, silences it:
//
//	for _, v := range limits { //det:ok only a sum of integers
//
// An escape without a reason, and one that silences nothing, are errors
// themselves, so that the count of escapes that `make lint` prints is honest.
//
// # Walks over maps
//
// A range over a map is accepted without an escape where it cannot matter in which
// order the keys come, in these shapes and combinations of them: no variable is
// taken; deletions by the key; assignments to another map by the key; sums and
// counts in integers; assignments of one constant; an append of keys to a slice
// that the next statement sorts; a return of constants, all the same, when the
// loop writes nothing. Conditions and values in them may call nothing but a few
// functions that are known to be pure, and may not look at what the loop writes.
// maps.Keys, maps.Values and maps.All are accepted as the argument of slices.Sorted,
// or of slices.SortedFunc with a function named Compare, or of maps.Collect.
//
// # Package variables
//
// A variable is taken for a table if nothing in its package writes to it, or takes
// its address, outside of init functions and its declaration, and if it is no
// pointer. What is done to a table through another name of it is not seen.
//
// The command in cmd/detlint is run by go vet:
//
//	go build -o bin/detlint ./internal/detlint/cmd/detlint
//	go vet -vettool=bin/detlint ./...
//	bin/detlint escapes
package detlint
