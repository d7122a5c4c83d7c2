// Package openb reads traces in the OpenB format: the nodes and the pods of a cluster
// with shared GPUs, one CSV file each (github.com/hkust-adsl/kubernetes-scheduler-simulator;
// the trace was published with the FGD paper, USENIX ATC '23).
//
// A node's columns are sn, cpu_milli, memory_mib, gpu (how many) and model; a pod's are
// name, cpu_milli, memory_mib, num_gpu, gpu_milli (of each GPU, 1000 for a whole one),
// gpu_spec (models it takes, separated by |), qos, pod_phase, creation_time,
// deletion_time and scheduled_time (seconds since the start of the trace). The header
// names the columns, which may come in any order.
//
// The package turns rows into Kubernetes' objects. GPUs are two resources of a node: its
// whole devices, and the thousandths of all of them together; a pod asks for thousandths,
// and for devices too if it takes whole ones. So NodeResourcesFit alone keeps a node from
// being given more than it has in sum. What fits on a device, the annotations tell: see
// sched.GPUShare.
//
// A scenario names a trace as its workload; bench/playback plays one without a world.
package openb
