// Package world is the simulated cluster: the core (API, controllers, scheduler,
// node agents) with a modelled network, runtime and registry under it, driven by
// the engine of package sim.
//
// Each process of a real cluster is an actor: the API server, the controller
// manager with its controllers, the scheduler, and one host per node that carries
// out its agent's effects. They meet only through messages that cross netsim: an
// API call or a watch delivery takes its latency, and is lost when the link is
// cut. The user of the scenario, who applies manifests and does harm to nodes, is
// an actor too.
//
// Heartbeats of a healthy node and probes whose answer cannot change are vouched
// for and not played (see Pulse in cluster/view and ProbeAnswered in nodeagent), so
// a quiet cluster costs nothing.
//
// World implements the scenarios' Target. It is made for one run.
package world
