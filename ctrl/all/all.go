// Package all lists the controllers of a controller manager.
//
// The order is fixed and part of a run's identity: drivers hand each event to
// the controllers in it, and give them their turns in it.
package all

import (
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/daemonset"
	"seatrial.dev/seatrial/ctrl/deployment"
	"seatrial.dev/seatrial/ctrl/disruption"
	"seatrial.dev/seatrial/ctrl/endpoint"
	"seatrial.dev/seatrial/ctrl/endpointslice"
	"seatrial.dev/seatrial/ctrl/endpointslicemirroring"
	"seatrial.dev/seatrial/ctrl/garbagecollector"
	"seatrial.dev/seatrial/ctrl/job"
	"seatrial.dev/seatrial/ctrl/namespace"
	"seatrial.dev/seatrial/ctrl/nodeipam"
	"seatrial.dev/seatrial/ctrl/nodelifecycle"
	"seatrial.dev/seatrial/ctrl/persistentvolume"
	"seatrial.dev/seatrial/ctrl/podgc"
	"seatrial.dev/seatrial/ctrl/replicaset"
	"seatrial.dev/seatrial/ctrl/serviceaccount"
	"seatrial.dev/seatrial/ctrl/statefulset"
	"seatrial.dev/seatrial/ctrl/tainteviction"
	"seatrial.dev/seatrial/ctrl/ttlafterfinished"
)

// Config says what the controllers must know about the cluster.
type Config struct {
	// PodCIDR is the range from which each node gets its /24; "" allocates none.
	PodCIDR string
	// RootCA is the API server's CA certificate in PEM, which every namespace
	// gets as the ConfigMap kube-root-ca.crt; "" publishes none.
	RootCA string
	// Provisions says that the world has no provisioners of its own: volumes are made
	// and deleted as those of the classes would.
	Provisions bool
}

// New returns the controllers, in their order. It panics on a PodCIDR that is no
// range: nodeipam.New tells what is wrong with one.
func New(cfg Config) []ctrl.Controller {
	list := []ctrl.Controller{
		namespace.New(),
		serviceaccount.New(cfg.RootCA),
		nodelifecycle.New(),
		tainteviction.New(),
		deployment.New(),
		replicaset.New(),
		replicaset.NewReplicationController(),
		daemonset.New(),
		statefulset.New(),
		job.New(),
		ttlafterfinished.New(),
		disruption.New(),
		endpoint.New(),
		endpointslice.New(),
		endpointslicemirroring.New(),
		garbagecollector.New(),
		podgc.New(),
		persistentvolume.New(),
	}
	if cfg.Provisions {
		list = append(list, persistentvolume.NewProvisioner())
	}
	if cfg.PodCIDR != "" {
		ranges, err := nodeipam.New(cfg.PodCIDR)
		if err != nil {
			panic("ctrl/all: " + err.Error()) // whoever reads the configuration refuses it first
		}
		list = append(list, ranges)
	}
	return list
}
