// Package agent is the node agent of a real host: it carries out what nodeagent.Agent
// decides, with a container runtime, an image store, a network and a connection to an
// API server, and tells it what happened.
//
// One goroutine, the loop, owns the nodeagent.Agent and gives it one input after the
// other. It waits for nothing else: every effect goes to a goroutine of its own or to
// the queue of its pod. A pod's queue keeps its sandbox, starts, kills and exits in one
// order; pulls, probes, hooks and writes are apart, so that none of them holds a pod up.
//
// A host joins with a token (Join) and is then known by its certificate, kept in the
// data folder with all that the agent must find again after a restart. Containers do not
// depend on the agent: they run on when it ends, and the next one adopts them.
//
// Words: a host is the machine, a node its object in the API; the data folder is
// Config.DataDir, of one agent alone.
package agent
