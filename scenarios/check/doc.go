// Package check judges a run by the checks of its scenario: CEL expressions over
// the cluster's state.
//
// New compiles and type-checks every expression before anything runs: an unknown
// field or kind is an input error with a line and a suggestion, not a check that
// never holds. A Judge then follows the run from outside the code under test. It
// is told of every write (Observe) and of every settled moment (Settle), and says
// which moments it must see even if nothing changes (Next).
//
// It is not an assertion library and knows nothing of the world that runs: it
// reads objects from the store, nothing else, and never changes one. docs/CHECKS.md
// describes the expressions to those who write them.
//
// # Vocabulary
//
// A check is open while its window lasts: from From to To, for atEnd the end of
// the run. It is decided once its outcome cannot change any more, and is not
// looked at again. A source is what an expression reads besides its constants: all
// objects of a kind, one object, the ready addresses of a service, or the time. A
// check is evaluated at a settled moment only if one of its sources has changed.
//
// An aggregate is a part of an expression that asks how many objects of a kind
// satisfy a condition on one object alone; a tally is the counts that answer it.
//
// # What a change costs
//
// rewrite.go replaces aggregates by variables; tally.go keeps their counts. A write
// costs one evaluation of each distinct condition on the object written, whatever
// the size of the cluster, and a check is evaluated again only if a count that it
// reads came out different. What cannot be rewritten is evaluated as it was written
// (scope.go), over all objects, whenever one of its kinds has changed. Both give
// the same value, errors included: a property test holds one against the other.
//
// Tallies are counted afresh when a window opens and dropped when the last check
// that needs them is decided.
//
// # Objects in CEL
//
// Types are those of k8s.io/api by their JSON names (types.go). Values are
// pointers into the store's immutable objects, wrapped only where CEL needs a
// value of its own; nothing is converted beforehand (values.go). Lists keep the
// store's order by key, maps the order of their keys, so that an expression has
// one result.
//
// A Judge belongs to one run and is not safe for concurrent use.
package check
