// Package rollingupdate replaces one replication controller by another, pod by pod, as
// kubectl rolling-update did until Kubernetes 1.18: by the client, which scales the
// new one up and the old one down in turns. cmd/seatrial calls it.
//
// It is not the rolling update of a Deployment, which a controller carries out
// (ctrl/deployment).
//
// Vocabulary: old and new are the two controllers. How far an update has come is
// written into their annotations, so that one that was interrupted goes on when it is
// called again, or is undone by a rollback.
//
// Waiting is by the time of the cluster (Clock): against a simulated one, whose clock
// may run at any speed or stand still, that is not the time of this machine.
//
// Source: kubectl v1.17, pkg/kubectl/cmd/rollingupdate.
package rollingupdate
