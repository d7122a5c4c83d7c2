// Package dns serves the names of a cluster over UDP and TCP on one node. What a name
// means is decided by nodeagent/dns; this package has the sockets, and asks the
// resolvers of the host for names outside the cluster.
//
// # How pods reach it
//
// Each node's agent serves its own pods, at the address of the cluster's DNS service
// (10.96.0.10): Bind puts that address as a /32 on the loopback device of the host's
// network, as NodeLocal DNSCache does. A packet of a pod for it goes to the pod's
// gateway, which is this host, and there it is at its destination: no rule of iptables
// and no other node takes part, and names resolve while the API server is away. The
// other ways were a DNAT rule, which needs an exception from the proxy's own rules and
// conntrack entries for UDP, and the bridge's address, which differs by node, so that a
// pod's resolv.conf would.
//
// The price: the Service that reserves the address must not be served by the proxy,
// which would reject it for want of endpoints. It carries the label
// service.kubernetes.io/service-proxy-name, with which nodeagent/proxy leaves it alone.
//
// # What it does with names of others
//
// They go to the resolvers of resolv.conf in their order, over the transport the client
// used. Addresses that are this server's own are left out. A resolver that sends the
// questions back, as a stub on the host that was told to ask the cluster would, is found
// by asking it once for a name nobody else knows; it is not asked again. The host's
// resolvers are read once, by Upstreams: whoever wants changes makes a new server.
//
// A client that does not want recursion is refused. Nothing is cached: the cluster's own
// names need none, and pods' resolvers ask for others rarely enough.
//
// A Server is safe for concurrent use. SetZone may be called at every change.
package dns
