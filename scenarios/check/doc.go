// Package check judges a run by the checks of its scenario: CEL expressions over
// the cluster's state.
package check
