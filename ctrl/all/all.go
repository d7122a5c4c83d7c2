// Package all lists the controllers of a controller manager.
//
// The order is fixed and part of a run's identity: drivers hand each event to
// the controllers in it, and give them their turns in it.
package all

import (
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/replicaset"
)

// Config says what the controllers must know about the cluster.
type Config struct {
	// PodCIDR is the range from which each node gets its /24; "" allocates none.
	PodCIDR string
}

// New returns the controllers, in their order.
func New(cfg Config) []ctrl.Controller {
	_ = cfg
	return []ctrl.Controller{
		replicaset.New(),
		replicaset.NewReplicationController(),
	}
}
