// Package endpoint keeps the Endpoints object of every service that has a
// selector: the addresses of the pods behind it, ready and not ready, by the ports
// that they serve on.
//
// A key is a Service; its Endpoints bears the same name and goes with it. More
// than 1000 addresses are cut, with the annotation
// endpoints.kubernetes.io/over-capacity, ready ones kept first. Subsets are
// sorted by their ports, addresses by IP.
//
// Left out: the annotation endpoints.kubernetes.io/last-change-trigger-time, which
// measures the latency of a real control plane.
package endpoint
