// Package daemonset keeps one pod of a DaemonSet on every node that suits it.
//
// A node suits if the template's node name, node selector and required node affinity
// match it and its taints are tolerated, with the tolerations that every daemon pod
// gets (https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/). The
// scheduler places the pods: each is created with an affinity for its node.
//
// A change of the template is rolled out by deleting old pods, no more at a time than
// maxUnavailable allows; with the strategy OnDelete it waits for others to delete
// them. Templates are kept in ControllerRevisions (package revision).
//
// A key is a DaemonSet. A plan is ordered: revisions; creations, then deletions, at
// most 250 of either; the status, last.
//
// Left out: maxSurge, which is taken for maxUnavailable; the back-off before a failed
// pod is replaced.
package daemonset
