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
