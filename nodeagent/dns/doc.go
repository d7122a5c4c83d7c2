// Package dns says what the names of a cluster mean: the answers of cluster DNS as a
// value, compiled from Services and EndpointSlices.
//
// A Zone never changes. Zone.Update makes the next one out of it and compiles only the
// services that are named (those of proxy.Concerned); the two share all else. So a world
// may hand a Zone to the goroutines that answer, while its own goes on. live/dns serves
// it over UDP and TCP; whoever has no sockets asks Zone.Answer.
//
// It is not a resolver: of a name outside the cluster it says just that (Answer.Ours),
// and of an alias that leads outside it names the target (Answer.Outside).
//
// # Names
//
// By the specification of Kubernetes DNS-based service discovery, version 1.1.0
// (https://github.com/kubernetes/dns/blob/master/docs/specification.md):
//
//	SERVICE.NS.svc.DOMAIN                A, AAAA: cluster IPs, or the ready endpoints if headless; CNAME if external
//	HOST.SERVICE.NS.svc.DOMAIN           A, AAAA of a headless service's ready endpoint
//	_PORT._PROTO.SERVICE.NS.svc.DOMAIN   SRV, with the addresses beside it
//	1-2-3-4.NS.pod.DOMAIN                A of that very address, whoever has it
//	4.3.2.1.in-addr.arpa, ip6.arpa       PTR of a cluster IP, or of a headless service's endpoint
//	dns-version.DOMAIN                   TXT
//
// HOST is the endpoint's hostname, or its address with dashes for dots and colons. A
// headless service publishes endpoints that are not ready if it says so. Letters of any
// case are the same.
//
// A name that has other records, or is above one that has, is no error with no records
// (NODATA); one that is not there does not exist (NXDOMAIN), a headless service without
// ready endpoints included. Both carry the SOA that bounds how long they are believed.
// Reverse names are the cluster's in the networks of Config.Networks; of others it knows
// nothing.
//
// # Order and cost
//
// Records are in the order of addresses and names; a world may turn them around.
// Compiling a service with e endpoints costs O(e log e), an update among n services
// O(log n) more for each address of a headless one, an answer O(log n) and its records.
package dns
