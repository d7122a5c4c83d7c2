// Package nodeipam gives every node its range of pod addresses.
//
// Each node gets the lowest free subnet of the cluster's range, in
// spec.podCIDR and spec.podCIDRs, and keeps it until it is deleted
// (Kubernetes' range allocator). A node for which none is free waits, with the
// event CIDRNotAvailable, until another node goes.
//
// A key is a Node. The controller remembers which subnets are taken, so that a
// node costs the same however many there are; it reads them from the view when
// it first acts, and follows the events that Keys sees.
package nodeipam
