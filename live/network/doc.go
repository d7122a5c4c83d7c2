// Package network is the pod network of one host: a bridge with the gateway's address,
// for each pod a network namespace with a veth pair to the bridge and an address of the
// host's range, and routes to the other hosts' ranges, direct or through VXLAN. All is
// done by netlink.
//
// The host's own network namespace is that of the thread that calls Setup; from then on
// the methods may be called from any thread. A process that is to be one of several
// hosts is started in its namespace.
//
// Rules (masquerading, services) are not made here: Masquerade says what is wanted of
// whoever makes them. hosts.go has what a pod finds in /etc/hosts and /etc/resolv.conf,
// as pure functions.
//
// State is in the kernel, and in a folder of one file per address in use (addresses.go),
// so a process that starts anew goes on with what is there; Sweep removes what no pod
// needs any longer. Addresses are IPv4.
package network
