// Package columns says how kubectl get shows the objects of each kind: which columns
// there are, which only with -o wide, and what stands in them. They are what
// Kubernetes' own server sends; ages are by the clock of the cluster, which the caller
// gives.
//
// A row is a pure function of an object and a time. The package does not encode: the
// server makes a Table of the rows.
package columns
