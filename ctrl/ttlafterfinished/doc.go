// Package ttlafterfinished deletes Jobs some time after they finished.
//
// A finished Job with ttlSecondsAfterFinished is deleted, in the foreground so that
// its pods go first, when that time has passed since it finished
// (https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/).
//
// A key is a Job.
package ttlafterfinished
