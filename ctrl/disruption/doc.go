// Package disruption keeps the status of PodDisruptionBudgets: how many pods are
// healthy, how many must be, and how many may be evicted now
// (https://kubernetes.io/docs/tasks/run-application/configure-pdb/).
//
// A key is a PodDisruptionBudget. How many pods are expected is what their
// controllers ask for, or, for a minAvailable that is a number, how many there are.
//
// Evictions are decided in the API, which spends disruptionsAllowed and notes the pod
// in disruptedPods; a pod noted there counts as unhealthy until it is gone, or for
// two minutes.
package disruption
