// Package quality measures how good a scheduler's choices were over a whole run, and
// compares policies on the same workloads and seeds.
//
// Runs are made by bench/playback. What is said of the state of the cluster is said of
// the fullest moment of a run: when the pods that have a node ask for the largest share of
// what the nodes have, by the resource that is scarcest then.
//
// # Measures
//
// packing is how many nodes were in use, over the least number that could have held the
// same pods: Bound, a linear programme. 1 is perfect. A policy that spreads is far from it
// by intent.
//
// allocated is the share of a resource that the pods with a node ask for. pending is the
// share of all pods that never had a node.
//
// stranded is the share of a resource that is free on nodes where no kind of pod of the
// workload that asks for the resource has room: what is left there is of no use.
//
// fragmentation is FGD's (Weng et al., USENIX ATC '23): the share of all GPUs that is free
// and, on the average over the workload's pods, of no use to a pod.
//
// skew is, for the pods that are alike, the difference between the zone (or, without
// zones, the node) with most of them and the one with fewest; the average over the kinds,
// weighted by their pods.
//
// wait is how long pods were pending, in virtual seconds; a pod that never had a node
// counts with all its time. preempted counts victims.
//
// fairness is Jain's index (Jain, Chiu, Hawe, DEC-TR-301, 1984) over the groups of pods (by
// qos label where there is one, else by namespace) of the share of its demand that each
// got: 1 when all got the same, 1/groups when one got everything.
//
// cell is cell compaction (Verma et al., Large-scale cluster management at Google with
// Borg, EuroSys '15, section 5.1): nodes are taken away in random order until the workload
// no longer fits, anew from scratch for each number; of several trials the 90th percentile,
// as a share of the nodes. A workload fits when no more than 0.2 % of its pods stay
// pending. The least number is looked for by halving, as if one that fits on some nodes
// fits on more of them.
//
// # Confidence
//
// A measure of several seeds is told as mean ± half of the 95 % confidence interval by
// Student's t. The interval of the 90th percentile of compaction is by bootstrap: the 2.5th
// and 97.5th percentile of 1,000 resamples of the trials. Policies are compared seed by
// seed: one is worse than another where the interval of their differences lies to one side
// of 0.
package quality
