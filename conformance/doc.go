// Package conformance goes through Kubernetes' own conformance list
// (test/conformance/testdata/conformance.yaml of k8s.io/kubernetes) against a served
// simulated cluster, by way of client-go.
//
// It has nothing but tests. Each entry of the registry is one entry of that list: it
// either has a test, and then it holds and is run, or the reason why it does not
// hold. docs/CONFORMANCE.md is written from the registry; go test -rewrite writes it
// anew.
//
// The tests are not Kubernetes' own: those start containers that answer requests, and
// here no container runs. What is demanded is taken from the description of each
// entry, and what is asked of the cluster is asked over HTTP.
//
// One cluster serves all entries; each has a namespace to itself and is run beside
// the others. What an entry needs of the whole cluster it must find by its own
// labels.
package conformance
