// Package e2e drives Kubernetes' own programs, kubectl and helm, against served
// simulated clusters, and holds what they print against transcripts. It is tests
// only; nobody calls it.
//
// The programs are built by `make kubectl` and `make helm`, of the versions that
// tools/go.mod names. What the API does is tested where it is decided, in
// cluster/api and cluster/apiserver; here it is only whether people's programs get
// on with it.
//
// A transcript has a cluster of its own, whose clock stands still between commands,
// so that all that the server says of time is the same each run.
package e2e
