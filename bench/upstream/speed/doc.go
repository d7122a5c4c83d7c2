// Package speed runs scheduler_perf's workload files with kube-scheduler and with
// package sched in one process and puts their figures side by side.
//
// Remote is kube-scheduler as it runs in a cluster: its loop, its informers, its
// queue and its binding goroutines, with a client for whom no rate is limited, over
// HTTP on the loopback interface. The API server is Seatrial's, with the store in
// memory: cheaper than upstream's own server with etcd, which is to kube-scheduler's
// advantage. The workload's own writes (nodes, pods) do not go over HTTP, which is so
// too. Its clock is the real one, and every moment of it counts.
//
// What package sched does is measured by schedperf.Local, whose clock stands still
// while nobody has anything to do.
package speed
