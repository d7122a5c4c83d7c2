// Package proxy compiles Services and EndpointSlices into the rules by which one node
// sends packets for a service to its endpoints: the work of Kubernetes' kube-proxy as
// a value.
//
// A RuleSet never changes. RuleSet.Update makes the next one out of it and compiles
// only the services that are named; the two share all other parts, and Diff finds the
// ones that differ by their pointers. So a world may hand a RuleSet to another
// goroutine, keep the one it has applied, and apply the difference.
//
// live/iptables renders a RuleSet for iptables-restore; the simulator looks packets up
// in the same value by Pick. Neither reads services: what both are to agree on is
// decided here.
//
// It is not a network: whether a packet reaches the node, and the endpoint from there,
// is the world's. It opens no health check port and keeps no flow: Pick is asked for
// the first packet of a connection, and the world remembers the answer for the others.
//
// # Vocabulary
//
// A Service is the compiled part of one service; it has Ports. A Port is reached at
// Fronts (cluster IP, external and load-balancer addresses, a port of every node) and
// sends to the endpoints of a pool: the Cluster pool, or the Local pool of endpoints on
// this node, as the traffic policy says. A headless service, one of type ExternalName
// and one that names another proxy (label service.kubernetes.io/service-proxy-name)
// have no part.
//
// # What it decides
//
// An endpoint is used when it is ready; if a pool has no ready endpoint, those that
// are terminating and still serving are. Hints of zone or node narrow the cluster pool
// when every ready endpoint has one and one names this node. A port without endpoints
// anywhere is rejected; one whose policy is Local and that has none here is dropped,
// except that this node and its pods reach external addresses as if policy were
// Cluster. Traffic that must come back this way is masqueraded: from outside the
// node's pod network to a cluster IP, from anywhere to an external address under
// policy Cluster, from an endpoint to itself (hairpin), and from a pod to what is
// outside of the cluster.
//
// Sources: https://kubernetes.io/docs/reference/networking/virtual-ips/ and the
// behaviour of kube-proxy's iptables mode. Left out: node ports on the loopback
// address, health check node ports, and a choice of the node's addresses that node
// ports are served on.
//
// # Order and cost
//
// Services are in the order of their keys, ports in that of the spec, endpoints in that
// of address and port. Where two services claim one address and port, the first by key
// has it. Compiling a service with e endpoints costs O(e log e); an update among n
// services O(log n) more for each front; a lookup O(log n).
package proxy
