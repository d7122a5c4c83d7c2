// Package netsim models the network between the parties of a simulated cluster:
// hosts of the control plane, nodes, the image registry.
//
// First form: zones, one-way latency between any two parties, and cuts. A
// message crosses the network when the link is up in its direction; a connection
// (an API call, a watch, an image pull: all TCP) needs both directions, since
// acknowledgements travel back.
//
// It moves no messages itself: whoever sends asks for the latency and whether
// the link is up, and schedules the arrival with the engine.
package netsim
