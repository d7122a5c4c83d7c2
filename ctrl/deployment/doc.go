// Package deployment rolls a Deployment's pods from one template to the next.
//
// A Deployment has one ReplicaSet per template that it ever had (up to its
// history limit); the one with today's template is the new set, the others are
// old. A rollout moves replicas from the old sets to the new one within two
// bounds: no more pods than replicas plus maxSurge, no fewer available ones than
// replicas less maxUnavailable.
//
// The rules, and the words of conditions, events and annotations, are those of
// Kubernetes' deployment controller
// (https://kubernetes.io/docs/concepts/workloads/controllers/deployment/):
// rolling update and recreate, pause and resume, proportional scaling of a
// rollout in progress, revisions and their history, rollback, collision count,
// progress deadline.
//
// A key is a Deployment. A turn is played on a copy of the sets' sizes: whatever
// is decided twice in one turn becomes one write per set. A plan either adopts and
// releases sets, or is ordered: writes of sets in the order in which they were first
// touched; deletions of old sets; the Deployment's own annotations or template;
// its status, last and at most once.
//
// The arithmetic of sizes is in size.go, pure and tested by properties.
package deployment
