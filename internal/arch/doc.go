// Package arch holds the test that keeps the module's house rules: who may import
// whom, what the core may use of the standard library, which names packages may
// have, how long a file may be. There is no code in it besides the test.
//
// A rule is a line in a table of arch_test.go and says what to do instead. A new
// rule, or a hole in one, is a decision about the architecture: give it a page in
// docs/adr.
package arch
