// Package demo builds the demo images from this repository's own programs, without a
// network: a web server that names its pod (web), a key-value server (kv), a worker that
// exits (worker) and a load generator (load). They are what scenarios run in the lab.
//
// Their names, seatrial.dev/demo/NAME:TAG, are names only: no host is asked for them.
package demo
