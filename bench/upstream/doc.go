// Command upstream compares Seatrial's scheduler with kube-scheduler, whose code it
// imports; so it is a module of its own. In this directory:
//
//	go run . fidelity --seed 1 --decisions 100000 --dump cases
//	go run . case cases/*.yaml
//	go run . speed --config ../workloads/basic.yaml --run '^Fill/1000'
//	go test ./...
//
// fidelity draws clusters and pods and shows them to both (packages draw, reference
// and fidelity). Equal must be: the nodes that could take a pod; who rejects each of
// the others, why, and whether taking pods off could help; each plugin's score of each
// node; the text of the pod's condition; the victims there could be on each node. The
// node that Seatrial chooses must be one that kube-scheduler could. Seatrial's
// explanation of a decision is compared, and its decision with its explanation.
//
// A difference is told with the command that repeats it, after the cluster has been
// made as small as it can be; --dump writes its objects as YAML. A case that has been
// put right goes into testdata/regressions, which `go test` looks at first; one that
// has not is in testdata/open. Seeds for what takes a history are in
// testdata/regressions/seeds.
//
// speed runs workload files of scheduler_perf with both, in turn (package speed).
//
// # What is left out
//
// Where kube-scheduler goes by chance, nothing is compared: the choice among the best
// nodes and among the best candidates for preemption, and clusters on which it goes by
// the order of a map (several CSIStorageCapacity of one class and place; an image with
// a size for each node). Where it remembers what is no more (a host port that two pods
// of a node shared, how many nodes had an image), it is judged by what it says when it
// is shown the same objects anew; the summary counts how often. A
// CSIStorageCapacity with a largest size and no capacity makes its score panic.
// Device claims, pod groups and extenders are not drawn.
//
// # Versions
//
// k8s.io/kubernetes is 1.37.1, and its staging modules are pinned to 0.37.1 by replace
// directives, which the packages of Seatrial are then built with as well.
package main
