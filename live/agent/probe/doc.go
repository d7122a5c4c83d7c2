// Package probe asks a container how it is, and runs the hooks that are requests: by
// HTTP, by a TCP connection, or by gRPC's health protocol, from the host to the pod's
// address. Programs run in a container are the caller's: it hands them in.
//
// A probe's answer is whether it succeeded and what to say if not, in the kubelet's
// words.
package probe
