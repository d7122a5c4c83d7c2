// Package job runs a Job's pods until enough of them have succeeded.
//
// It creates pods up to spec.parallelism while completions are missing, again after
// a failure with a back-off of 10 s doubling to 6 min, and ends the Job when it is
// complete, or enough so for successPolicy, or when it has failed: too many failures
// (backoffLimit) or failed indexes (maxFailedIndexes), too long
// (activeDeadlineSeconds), or by podFailurePolicy
// (https://kubernetes.io/docs/concepts/workloads/controllers/job/). A Job whose
// managedBy names another controller is left alone.
//
// Vocabulary. A finished pod is counted when it is in status.succeeded or
// status.failed. So that each is counted once, whatever crashes or is deleted in
// between, its pods bear the finalizer batch.kubernetes.io/job-tracking: a
// finished pod's UID is first put into status.uncountedTerminatedPods, then the
// finalizer is removed from the pod, then the UID becomes a count. An ending Job
// has the condition SuccessCriteriaMet or FailureTarget; it has ended, with Complete
// or Failed, when its last pod is gone and counted.
//
// A key is a Job; or a Pod with the finalizer whose Job is gone, to remove it.
//
// A plan is ordered: the status; the finalizers of the pods that it names as
// uncounted; deletions; creations. The status speaks of the active pods as they
// will be, as in Kubernetes.
//
// The back-off is computed from the Job's failed pods, which stay as long as the
// Job, so it outlives a restart of the controller.
//
// With backoffLimitPerIndex each index is tried again by itself. How often it has
// failed is known only by its pods: each bears the number of failures before it in
// the annotation batch.kubernetes.io/job-index-failure-count (those that
// podFailurePolicy ignores in job-index-ignored-failure-count). So the last failed
// pod of an index is held: it keeps its finalizer, and is not counted, until the pod
// that replaces it is there, its index has failed for good (status.failedIndexes), or
// the Job ends. The other indexes go on; when each has succeeded or failed, and one
// has failed, the Job has.
//
// A Job that has met its successPolicy takes its remaining pods away without counting
// them.
package job
