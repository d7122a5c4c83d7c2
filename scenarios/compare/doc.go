// Package compare sets two runs of one scenario side by side: how long pods and faults
// took to reach each milestone, and what the clusters were like at the end. The runs may
// be of two worlds; so what a world gives names or addresses to by chance is left out,
// and pods are told apart only by the workload that they belong to.
//
// A Milestones follows one run from outside, as a report does; State reads a store. Both
// see objects alone.
//
// # Milestones
//
// Of a pod: scheduled (since it was created), pulled (since then: the event Pulled, or
// that the image was there), started (its first container, since then) and ready (since
// then). Of a fault that takes a node away (crash, freeze, cut): noticed (the node's
// condition Ready is no longer True) and recovered (all Deployments, ReplicaSets,
// StatefulSets and ReplicationControllers that were whole before it have their
// replicas ready again), since the fault.
package compare
