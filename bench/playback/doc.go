// Package playback plays a workload of pods that come and go on a set of nodes, in virtual
// time: against the API and the store in memory, with sched.Scheduler behind them, in the
// caller's own goroutine. There are no node agents, no controllers and no network: a
// decision takes no virtual time, a pod that is bound runs, one that is deleted is gone.
// So whole traces of months take seconds, and what is measured is the scheduler's choice.
//
// A run is a function of the workload, the configuration and the seed.
package playback
