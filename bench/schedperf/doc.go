// Package schedperf runs the workload files of kube-scheduler's own benchmark,
// scheduler_perf (test/integration/scheduler_perf in k8s.io/kubernetes), as they are.
//
// A file is a list of test cases; each has a list of operations (by their opcode:
// createNodes, createPods, churn, ...) and workloads that give the operations'
// parameters values. Read makes a Suite of it: a Workload for each, with the
// operations and the objects' templates resolved and checked. What a file asks for
// and Seatrial has no kind for is in Workload.Missing; everything else in the file
// can still be run.
//
// Run plays a Workload on a Cluster: an API and a scheduler behind it. Local is the
// one of this module: the store and the API in memory, and sched.Scheduler, driven
// in turn by the caller's own goroutine. Package bench/upstream has another, with
// kube-scheduler.
//
// # Time
//
// A Cluster has a clock, by which back-off, churn and every "per second" of a file
// go. Local's advances by the time that its own work takes, as measured, and jumps
// where nobody has anything to do; so waiting for a back-off costs nothing, and the
// making of objects from templates is not counted. Figures are of the time worked;
// what was skipped is told beside them.
//
// # What differs from upstream
//
// No thresholds are judged, metricsCollectorConfig is read and not used, and feature
// gates only tell which kinds upstream would need. A node strategy applies to the
// nodes of its own operation (upstream takes as many of the list of all nodes, in the
// order of names). Throughput is sampled in a fiftieth of the phase instead of each
// second, for phases are over in less. As upstream: no kubelet, so a pod on a node
// that is deleted with a grace period stays; no controllers but the one that sets
// spec.volumeName of a claim that a volume names.
package schedperf
