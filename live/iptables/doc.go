// Package iptables carries a node's proxy.RuleSet into the kernel with
// iptables-restore, preferably on the nf_tables backend.
//
// It decides nothing about services: nodeagent/proxy has. It is no firewall of its own
// either, and touches only chains with its own names and the jumps to them. Forwarding
// between interfaces (the sysctl ip_forward) and bridges whose packets pass iptables
// (bridge-nf-call-iptables) are for whoever sets the network up.
//
// # Chains
//
// Their names and shape are kube-proxy's, so that what people know of the one helps
// with the other. In nat: KUBE-SERVICES (by cluster IP, external and load-balancer
// address) and from its last rule KUBE-NODEPORTS; KUBE-SVC-x and KUBE-SVL-x choose an
// endpoint of the cluster and of the local pool of a port, KUBE-EXT-x and KUBE-FW-x
// stand before them for external addresses; KUBE-SEP-x is one endpoint;
// KUBE-MARK-MASQ and KUBE-POSTROUTING masquerade; KUBE-EGRESS masquerades what pods
// send out of the cluster. In filter: KUBE-SERVICES and KUBE-EXTERNAL-SERVICES reject
// or drop what has no endpoint, KUBE-PROXY-FIREWALL what a load balancer does not
// accept; KUBE-FORWARD lets marked packets through. x is kube-proxy's hash.
//
// Two things are unlike kube-proxy, because they make a first rendering of 1,000
// services with 10 endpoints each four times as quick on nf_tables, whose price is in
// the number of chains: an endpoint that is known to be on another node, of a port
// without affinity, has no chain of its own (its DNAT stands in KUBE-SVC-x; it can
// never need the hairpin mark); and only the rules that lead to a service have
// comments.
//
// # Applying
//
// A rule set is rendered service by service. Apply renders the services that differ
// from what it has applied and writes one script: whole chains where few rules are in
// them, single insertions and deletions by position in the chains that all services
// share. One script is one transaction for each table. After an error, and when Check
// has found that somebody else changed the chains, all is written anew and chains that
// belong to nobody are removed. Rules are written in the words in which iptables-save
// prints them, so that Check is a comparison of texts.
//
// A Tables is used by one goroutine. It works in its own network namespace or, by a
// thread that enters it, in the one given.
package iptables
