// Package testbed is a whole cluster in a lab: one host with a server and one for each
// node with an agent, of the very programs that real machines run, and a kubeconfig for
// this machine. What is done to its hosts goes by the names of the nodes, and
// scenarios.ControlPlane for the server's.
//
// It decides nothing: the lab makes hosts, the server and the agents are those of
// seatrial server and seatrial agent, and whatever is asked of the cluster goes over its
// API.
package testbed
