package job

import (
	"cmp"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/view"
)

// perIndex says whether each index has a limit of failures of its own.
func perIndex(j *batchv1.Job) bool { return indexed(j) && j.Spec.BackoffLimitPerIndex != nil }

// failures is how many counted, and how many ignored, failures of its index a pod
// knows of that came before it. What the annotations do not say is none.
func failures(p *corev1.Pod) (counted, ignored int32) {
	return number(p, batchv1.JobIndexFailureCountAnnotation), number(p, batchv1.JobIndexIgnoredFailureCountAnnotation)
}

func number(p *corev1.Pod, annotation string) int32 {
	n, err := strconv.ParseInt(p.Annotations[annotation], 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int32(n)
}

// inherit annotates a pod with the failures of its index: those that the pod which
// it replaces knew of, and that one's own. replaced is nil for an index's first pod.
func inherit(p *corev1.Pod, j *batchv1.Job, replaced *corev1.Pod) {
	var counted, ignored int32
	if replaced != nil {
		counted, ignored = failures(replaced)
		if ignores(j, replaced) {
			ignored++
		} else {
			counted++
		}
	}
	p.Annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(int(counted))
	if ignored > 0 {
		p.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(int(ignored))
	}
}

// retryAt is when an index may be tried again after a failed pod. Ignored failures
// delay it like any other.
func retryAt(p *corev1.Pod) time.Time {
	counted, ignored := failures(p)
	return endTime(p).Add(backoffAfter(int(counted) + int(ignored) + 1))
}

// losesIndex says whether a pod's failure is the last that its index may have.
func losesIndex(p *corev1.Pod, j *batchv1.Job) bool {
	if !failed(p, j) {
		return false
	}
	switch action, _ := ruleFor(j.Spec.PodFailurePolicy, p); action {
	case batchv1.PodFailurePolicyActionFailIndex:
		return true
	case batchv1.PodFailurePolicyActionIgnore:
		return false
	}
	counted, _ := failures(p)
	return counted >= *j.Spec.BackoffLimitPerIndex
}

// sortIndexes adds to the status the indexes whose pods have succeeded, and those
// that have failed for good. An index that is in one of the two sets stays there.
// While a Job ends, pods are stopped: that fails no more indexes.
func (t *turn) sortIndexes() {
	n := deref(t.j.Spec.Completions)
	t.done = parseIndexes(t.status.CompletedIndexes, n)
	if perIndex(t.j) {
		t.lost = parseIndexes(deref(t.status.FailedIndexes), n)
	}
	t.done = t.done.with(t.indexesWhere(func(pod *corev1.Pod, i int32) bool {
		return tracked(pod) && pod.Status.Phase == corev1.PodSucceeded && !t.lost.has(i) && !t.named(pod)
	}))
	t.status.CompletedIndexes, t.status.Succeeded = t.done.String(), t.done.count()
	if !perIndex(t.j) {
		return
	}
	if ending(&t.status) == nil {
		t.lost = t.lost.with(t.indexesWhere(func(pod *corev1.Pod, i int32) bool {
			return tracked(pod) && !t.done.has(i) && losesIndex(pod, t.j)
		}))
		t.hold()
	}
	s := t.lost.String()
	t.status.FailedIndexes = &s
}

// indexesWhere are the indexes of the pods that satisfy is.
func (t *turn) indexesWhere(is func(pod *corev1.Pod, i int32) bool) (out []int32) {
	for _, pod := range t.pods {
		if i, ok := indexOf(pod, t.j); ok && is(pod, i) {
			out = append(out, i)
		}
	}
	return out
}

// hold finds, for each index that is to be tried again, the failed pod that knows of
// most failures. It keeps its finalizer until a pod that knows of one more is there:
// without it nobody would know how often the index has failed.
func (t *turn) hold() {
	if t.j.DeletionTimestamp != nil {
		return
	}
	t.held = map[int32]*corev1.Pod{}
	busy := indexes(nil).with(t.indexesWhere(func(pod *corev1.Pod, _ int32) bool { return view.Active(pod) }))
	for _, pod := range t.pods {
		i, ok := indexOf(pod, t.j)
		if !ok || !tracked(pod) || !failed(pod, t.j) || t.done.has(i) || t.lost.has(i) || busy.has(i) {
			continue
		}
		if last := t.held[i]; last == nil || !knowsLess(pod, last) {
			t.held[i] = pod
		}
	}
}

// knowsLess says whether a pod of an index knows of fewer failures than another, or
// of as many but ended before it.
func knowsLess(a, b *corev1.Pod) bool {
	ac, ai := failures(a)
	bc, bi := failures(b)
	return cmp.Or(cmp.Compare(int64(ac)+int64(ai), int64(bc)+int64(bi)), endTime(a).Compare(endTime(b))) < 0
}

// isHeld says whether a pod must keep its finalizer for the sake of its index.
func (t *turn) isHeld(pod *corev1.Pod) bool {
	if len(t.held) == 0 {
		return false
	}
	i, ok := indexOf(pod, t.j)
	return ok && t.held[i] == pod
}

// lostIndexes tells why a Job fails by its failed indexes; reason is "" if it does not.
func (t *turn) lostIndexes() (reason, message string) {
	switch n := t.lost.count(); {
	case n == 0:
	case t.j.Spec.MaxFailedIndexes != nil && n > *t.j.Spec.MaxFailedIndexes:
		return batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes"
	case n+t.done.count() >= deref(t.j.Spec.Completions):
		return batchv1.JobReasonFailedIndexes, "Job has failed indexes"
	}
	return "", ""
}
