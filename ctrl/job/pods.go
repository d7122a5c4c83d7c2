package job

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/podset"
)

// The labels of a Job's pods from before their prefix; they are set still.
const (
	legacyJobName       = "job-name"
	legacyControllerUID = "controller-uid"
	indexEnv            = "JOB_COMPLETION_INDEX"
)

func tracked(p *corev1.Pod) bool {
	return p != nil && slices.Contains(p.Finalizers, batchv1.JobTrackingFinalizer)
}

// untrack removes the finalizer from a pod, of the version that was seen.
func untrack(p *corev1.Pod) api.Request {
	rest := slices.DeleteFunc(slices.Clone(p.Finalizers), func(f string) bool { return f == batchv1.JobTrackingFinalizer })
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": rest}})
	if err != nil {
		panic("job: finalizers that are no JSON: " + err.Error())
	}
	w := api.Patch(kinds.RefOf(p), types.MergePatchType, body)
	w.UID, w.RV = p.UID, p.ResourceVersion
	return w
}

// failed says whether a pod counts as failed. One that is being deleted does too,
// unless only pods that have really failed are replaced.
func failed(p *corev1.Pod, j *batchv1.Job) bool {
	return p.Status.Phase == corev1.PodFailed ||
		(!replacesFailedOnly(j) && p.DeletionTimestamp != nil && p.Status.Phase != corev1.PodSucceeded)
}

// terminating says whether a pod is being deleted and has not ended.
func terminating(p *corev1.Pod) bool { return p.DeletionTimestamp != nil && !view.Finished(p) }

func replacesFailedOnly(j *batchv1.Job) bool {
	return j.Spec.PodReplacementPolicy != nil && *j.Spec.PodReplacementPolicy == batchv1.Failed
}

func indexed(j *batchv1.Job) bool {
	return j.Spec.CompletionMode != nil && *j.Spec.CompletionMode == batchv1.IndexedCompletion
}

// indexOf is the completion index of a pod; ok is false for one without, or with
// one that the Job does not have.
func indexOf(p *corev1.Pod, j *batchv1.Job) (n int32, ok bool) {
	i, err := strconv.ParseInt(p.Annotations[batchv1.JobCompletionIndexAnnotation], 10, 32)
	return int32(i), err == nil && i >= 0 && j.Spec.Completions != nil && int32(i) < *j.Spec.Completions
}

// newPod is a pod of the Job, with its index if the Job has indexes, in the place of
// a failed pod or of none.
func newPod(j *batchv1.Job, index int32, replaced *corev1.Pod) *corev1.Pod {
	p := podset.New(&j.Spec.Template, j)
	p.Finalizers = append(p.Finalizers, batchv1.JobTrackingFinalizer)
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	if j.Spec.ManualSelector == nil || !*j.Spec.ManualSelector {
		p.Labels[batchv1.JobNameLabel], p.Labels[legacyJobName] = j.Name, j.Name
		p.Labels[batchv1.ControllerUidLabel], p.Labels[legacyControllerUID] = string(j.UID), string(j.UID)
	}
	if !indexed(j) {
		return p
	}
	n := strconv.Itoa(int(index))
	p.Labels[batchv1.JobCompletionIndexAnnotation] = n
	p.Annotations = maps.Clone(p.Annotations)
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	p.Annotations[batchv1.JobCompletionIndexAnnotation] = n
	if perIndex(j) {
		inherit(p, j, replaced)
	}
	p.GenerateName = podset.NamePrefix(j.Name + "-" + n)
	p.Spec.Hostname = j.Name + "-" + n
	for i := range p.Spec.InitContainers {
		addIndexEnv(&p.Spec.InitContainers[i])
	}
	for i := range p.Spec.Containers {
		addIndexEnv(&p.Spec.Containers[i])
	}
	return p
}

func addIndexEnv(c *corev1.Container) {
	if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == indexEnv }) {
		return
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: indexEnv, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{
		FieldPath: fmt.Sprintf("metadata.labels['%s']", batchv1.JobCompletionIndexAnnotation),
	}}})
}

// restarts is how often the containers of a pod were restarted, all together.
func restarts(p *corev1.Pod) (n int32) {
	if p == nil {
		return 0
	}
	for i := range p.Status.InitContainerStatuses {
		n += p.Status.InitContainerStatuses[i].RestartCount
	}
	for i := range p.Status.ContainerStatuses {
		n += p.Status.ContainerStatuses[i].RestartCount
	}
	return n
}

// endTime is when a finished pod finished: when its last container did, or else
// when it ceased to be ready, was deleted, or was created.
func endTime(p *corev1.Pod) time.Time {
	var last time.Time
	for i := range p.Status.ContainerStatuses {
		s := p.Status.ContainerStatuses[i].State.Terminated
		if s == nil {
			last = time.Time{}
			break
		}
		if s.FinishedAt.After(last) {
			last = s.FinishedAt.Time
		}
	}
	if !last.IsZero() {
		return last
	}
	if c := view.Condition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionFalse && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	if p.DeletionTimestamp != nil {
		grace := time.Duration(deref(p.DeletionGracePeriodSeconds)) * time.Second
		return p.DeletionTimestamp.Add(-grace) // it names the end of the grace
	}
	return p.CreationTimestamp.Time
}

// backoff is until when no pod is to be created: it grows with the failures since
// the last success. ok is false if there were none.
func backoff(pods []*corev1.Pod, j *batchv1.Job) (until time.Time, ok bool) {
	var lastSuccess, lastFailure time.Time
	for _, p := range pods {
		if p.Status.Phase == corev1.PodSucceeded {
			lastSuccess = later(lastSuccess, endTime(p))
		}
	}
	failures := 0
	for _, p := range pods {
		if at := endTime(p); failed(p, j) && at.After(lastSuccess) {
			failures++
			lastFailure = later(lastFailure, at)
		}
	}
	if failures == 0 {
		return until, false
	}
	return lastFailure.Add(backoffAfter(failures)), true
}

// backoffAfter is how long the back-off is after so many failures, of which there is
// one at least.
func backoffAfter(failures int) time.Duration {
	wait := backoffMin
	for range failures - 1 {
		if wait *= 2; wait >= backoffMax {
			return backoffMax
		}
	}
	return wait
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
