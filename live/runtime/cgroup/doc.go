// Package cgroup finishes what may be left in a tree of control groups: it kills
// every process in it and removes the groups, deepest first, in each hierarchy of
// cgroup v1 and in the unified one. It needs no more than the file system, so that
// an agent can sweep without the container library; groups are made and limited by
// opencontainers/cgroups, in live/runtime/shim.
//
// A path is always that of a group below the root of each hierarchy, with a leading
// slash.
package cgroup
