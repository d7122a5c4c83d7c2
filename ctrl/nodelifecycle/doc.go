// Package nodelifecycle watches over the nodes' heartbeats.
//
// A node that has been silent for 40 seconds (60 after it was created, if it was
// never heard of) gets its conditions set to Unknown, its pods set not ready, and
// the taint node.kubernetes.io/unreachable; one that says itself that it is not
// ready gets node.kubernetes.io/not-ready. Either taint has the effects
// NoSchedule and NoExecute; evicting pods because of it is package tainteviction's
// part. Pressure, a missing network and spec.unschedulable become NoSchedule
// taints (https://kubernetes.io/docs/concepts/architecture/nodes/).
//
// A key is a Node. A heartbeat is the renewal of the node's Lease or the
// heartbeat time of its Ready condition, whichever is later; of a node whose
// heartbeats the view vouches for (view.Pulse) nothing is asked until the view
// announces that they stopped. A node whose Lease says that the other hosts have given
// it up for dead (view.UnheardAfter) is silent at once.
//
// Upstream's zones are left out: every node is tainted at once, however many of
// its zone are unhealthy (there: one in ten seconds, fewer when more than 55 % of
// a zone is down, none when all zones are).
//
// The first plan about a silent node writes its status, then the pods'; taints
// follow in the next, when the view has the new conditions.
package nodelifecycle
