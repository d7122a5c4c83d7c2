// Package view holds what one process of the system knows of the cluster: an
// indexed copy of the store, fed by a watch and therefore possibly behind it.
//
// Every decider (a controller, the scheduler, a node agent) reads from a View
// and from nothing else. There is one View per process of the real system, so
// all controllers of one controller manager see the same, possibly stale, state.
// The objects are the store's own, shared and immutable; a View keeps only
// pointers and indexes.
//
// All walks are in the order of keys. A View is not safe for concurrent use, and
// must not change during a walk: feed it between decisions.
//
// Indexes: objects by the UID of any owner, pods by node and by controller
// (with running counts, so that a controller of ten thousand pods need not walk
// them to learn that nothing is to be done), controllerless pods by namespace;
// ReplicaSets and ControllerRevisions without controller by namespace; services
// and disruption budgets by what they select, and the pods that they select;
// PersistentVolumes by the claim they name, and those that name none by class;
// EndpointSlices by their service.
package view
