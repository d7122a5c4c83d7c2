package job

import (
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/podset"
)

// turn is one call of Reconcile.
type turn struct {
	now    time.Time
	j      *batchv1.Job // read only
	p      *ctrl.Plan
	status batchv1.JobStatus // as it will be

	pods        []*corev1.Pod // all of the Job's
	active      []*corev1.Pod
	terminating int32
	ready       int32
	done, lost  indexes               // succeeded and failed indexes; empty without indexes
	held        map[int32]*corev1.Pod // failed pods that stay until their index is tried again

	succeeded, failed int32 // counted and yet to be counted
	waiting           int32 // of the failed, those of held pods
	untrack           []*corev1.Pod
	deletes, creates  []api.Request
	removed, created  int32
	event             *api.Note // of the end, recorded with the status
}

func begin(now time.Time, v *view.View, j *batchv1.Job, p *ctrl.Plan) *turn {
	t := &turn{now: now, j: j, p: p}
	t.status = *j.Status.DeepCopy()
	selector := selectorOf(j)
	for pod := range v.PodsOf(j.UID).Pods() {
		if !selector.Empty() && ownership.Claim(j, pod, selector.Matches(labels.Set(pod.Labels))) == ownership.Release {
			p.Write(ownership.ReleaseWrite(pod, j.UID)) // an orphan, it loses its finalizer in its own turn
			continue
		}
		t.pods = append(t.pods, pod)
	}
	for pod := range v.OrphanPods(j.Namespace) {
		if ownership.Claim(j, pod, !selector.Empty() && selector.Matches(labels.Set(pod.Labels))) == ownership.Adopt {
			p.Write(ownership.AdoptWrite(j, pod))
		}
	}
	for _, pod := range t.pods {
		switch {
		case view.Active(pod):
			t.active = append(t.active, pod)
			if view.Ready(pod) {
				t.ready++
			}
		case terminating(pod):
			t.terminating++
		}
	}
	if j.Status.StartTime == nil && !suspended(j) {
		at := metav1.NewTime(now)
		t.status.StartTime = &at
	}
	return t
}

func suspended(j *batchv1.Job) bool { return j.Spec.Suspend != nil && *j.Spec.Suspend }

// count brings the counts forward: pods that lost their finalizer are counted, and
// those that finished are named as uncounted.
func (t *turn) count() {
	if t.status.UncountedTerminatedPods == nil {
		t.status.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	held := map[types.UID]bool{}
	for _, pod := range t.pods {
		if tracked(pod) {
			held[pod.UID] = true
		}
	}
	u := t.status.UncountedTerminatedPods
	u.Succeeded, t.status.Succeeded = settle(u.Succeeded, held, t.status.Succeeded)
	u.Failed, t.status.Failed = settle(u.Failed, held, t.status.Failed)
	if indexed(t.j) {
		t.sortIndexes()
	}
	for _, pod := range t.pods {
		switch {
		case !tracked(pod):
		case !t.isHeld(pod):
			t.name(pod)
		case !t.named(pod) && !ignores(t.j, pod):
			t.waiting++
		}
	}
	t.succeeded = t.status.Succeeded + int32(len(u.Succeeded))
	t.failed = t.status.Failed + int32(len(u.Failed)) + t.waiting
}

// named says whether the status names a pod as uncounted.
func (t *turn) named(pod *corev1.Pod) bool {
	u := t.status.UncountedTerminatedPods
	return slices.Contains(u.Succeeded, pod.UID) || slices.Contains(u.Failed, pod.UID)
}

// settle counts the UIDs whose pods bear the finalizer no more.
func settle(list []types.UID, held map[types.UID]bool, n int32) ([]types.UID, int32) {
	var rest []types.UID
	for _, uid := range list {
		if held[uid] {
			rest = append(rest, uid)
		} else {
			n++
		}
	}
	return rest, n
}

// name puts a finished pod among the uncounted ones.
func (t *turn) name(pod *corev1.Pod) {
	u := t.status.UncountedTerminatedPods
	if len(u.Succeeded)+len(u.Failed) >= uncountedMax {
		return
	}
	switch {
	case t.named(pod):
		t.untrack = append(t.untrack, pod)
	case pod.Status.Phase == corev1.PodSucceeded:
		if !indexed(t.j) { // an index counts itself: no UID is needed
			u.Succeeded = append(u.Succeeded, pod.UID)
		}
		t.untrack = append(t.untrack, pod)
	case failed(pod, t.j):
		if _, has := indexOf(pod, t.j); !ignores(t.j, pod) && (has || !indexed(t.j)) {
			u.Failed = append(u.Failed, pod.UID)
		}
		t.untrack = append(t.untrack, pod)
	}
}

// judge decides whether the Job has failed, or has succeeded by its policy.
func (t *turn) judge() {
	if ending(&t.status) != nil {
		return
	}
	reason, message := t.failure()
	if reason == "" {
		reason, message = t.lostIndexes()
	}
	if reason != "" {
		t.setCondition(batchv1.JobFailureTarget, corev1.ConditionTrue, reason, message)
	} else if message, met := successBy(t.j, t.done); met {
		t.setCondition(batchv1.JobSuccessCriteriaMet, corev1.ConditionTrue, batchv1.JobReasonSuccessPolicy, message)
	}
}

// failure tells why the Job has failed as a whole; reason is "" if it has not. It
// asks to look again at the Job's deadline.
func (t *turn) failure() (reason, message string) {
	for _, pod := range t.pods {
		if action, message := ruleFor(t.j.Spec.PodFailurePolicy, pod); action == batchv1.PodFailurePolicyActionFailJob && tracked(pod) {
			return batchv1.JobReasonPodFailurePolicy, message
		}
	}
	if limit := deref(t.j.Spec.BackoffLimit); t.failed > limit || t.restartsExceed(limit) {
		return batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit"
	}
	if t.j.Spec.ActiveDeadlineSeconds == nil || suspended(t.j) || t.status.StartTime == nil {
		return "", ""
	}
	due := t.status.StartTime.Add(time.Duration(*t.j.Spec.ActiveDeadlineSeconds) * time.Second)
	if wait := due.Sub(t.now); wait > 0 {
		t.p.LookAgain(wait)
		return "", ""
	}
	return batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline"
}

// restartsExceed says whether the containers of pods that restart them in place
// were restarted too often.
func (t *turn) restartsExceed(limit int32) bool {
	if t.j.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	var n int32
	for _, pod := range t.pods {
		if pod.Status.Phase == corev1.PodRunning || pod.Status.Phase == corev1.PodPending {
			n += restarts(pod)
		}
	}
	if limit == 0 {
		return n > 0
	}
	return n >= limit
}

// release lets go of what an ending Job has no use for: pods that were kept until
// their index is tried again, and, if it has succeeded, pods that are being deleted.
// What becomes of those is of no interest: they are not counted.
func (t *turn) release() {
	c := ending(&t.status)
	if c == nil {
		return
	}
	for _, pod := range t.pods {
		switch {
		case !tracked(pod):
		case t.isHeld(pod):
			t.name(pod)
		case c.Type == batchv1.JobSuccessCriteriaMet && terminating(pod) && !failed(pod, t.j):
			t.untrack = append(t.untrack, pod)
		}
	}
}

// manage deletes and creates pods.
func (t *turn) manage() {
	switch c := ending(&t.status); {
	case t.j.DeletionTimestamp != nil:
	case c != nil:
		t.remove(t.active, c.Type == batchv1.JobSuccessCriteriaMet)
	case suspended(t.j):
		t.remove(t.active, true)
	default:
		t.adjust()
	}
}

func (t *turn) adjust() {
	active := int32(len(t.active))
	want := deref(t.j.Spec.Parallelism)
	if t.j.Spec.Completions != nil {
		want = max(0, min(want, *t.j.Spec.Completions-t.succeeded))
	} else if t.succeeded > 0 {
		want = active // a work queue is nearly empty: nobody new
	}
	if extra := t.extra(int(max(0, active-want))); len(extra) > 0 {
		t.remove(extra, true)
		return
	}
	missing := want - active
	if replacesFailedOnly(t.j) {
		missing -= t.terminating
	}
	if missing <= 0 {
		return
	}
	if !perIndex(t.j) {
		if until, ok := backoff(t.pods, t.j); ok && until.After(t.now) {
			t.p.LookAgain(until.Sub(t.now))
			return
		}
	}
	t.create(int(min(missing, burstMax)))
}

// extra are the pods to take away: those whose index another has or the Job does
// not, and then as many as are too many.
func (t *turn) extra(n int) []*corev1.Pod {
	rest := slices.Clone(t.active)
	var out []*corev1.Pod
	if indexed(t.j) {
		taken := map[int32]bool{}
		rest = rest[:0]
		for _, pod := range podset.Victims(t.now, slices.Clone(t.active), nowhere, len(t.active)) {
			switch i, ok := indexOf(pod, t.j); {
			case !ok || taken[i] || t.done.has(i) || t.lost.has(i):
				out = append(out, pod)
			default:
				taken[i] = true
				rest = append(rest, pod)
			}
		}
	}
	if len(out) < n {
		out = append(out, podset.Victims(t.now, rest, nowhere, n-len(out))...)
	}
	return out[:min(len(out), burstMax)]
}

func nowhere(string) int { return 0 }

// remove deletes pods. Those that are not to be counted lose their finalizer first.
func (t *turn) remove(pods []*corev1.Pod, uncounted bool) {
	for _, pod := range pods[:min(len(pods), burstMax)] {
		if uncounted && tracked(pod) {
			t.deletes = append(t.deletes, untrack(pod))
		}
		t.deletes = append(t.deletes, api.Delete(kinds.RefOf(pod), pod.UID))
		t.removed++
		if view.Ready(pod) {
			t.ready--
		}
	}
}

func (t *turn) create(n int) {
	if !indexed(t.j) {
		for range n {
			t.creates = append(t.creates, api.Create(newPod(t.j, 0, nil)))
		}
	} else {
		t.createIndexed(n)
	}
	t.created = int32(len(t.creates))
}

// createIndexed makes pods for the n lowest indexes that want one. An index whose
// back-off is not over gets none, nor does another in its place.
func (t *turn) createIndexed(n int) {
	busy := indexes(nil).with(t.indexesWhere(func(pod *corev1.Pod, _ int32) bool {
		return view.Active(pod) || (replacesFailedOnly(t.j) && terminating(pod))
	}))
	for _, i := range union(slices.Concat(t.done, t.lost, busy)).absent(deref(t.j.Spec.Completions), n) {
		last := t.held[i]
		if last != nil {
			if wait := retryAt(last).Sub(t.now); wait > 0 {
				t.p.LookAgain(wait)
				continue
			}
		}
		t.creates = append(t.creates, api.Create(newPod(t.j, i, last)))
	}
}

// conclude decides whether the Job is complete, suspended or resumed, and ends an
// ending one when its last pod is gone and counted.
func (t *turn) conclude() {
	t.status.Active = int32(len(t.active)) - t.removed + t.created
	t.status.Ready = &t.ready
	terminating := t.terminating + t.removed
	t.status.Terminating = &terminating
	if ending(&t.status) == nil {
		t.proceed()
	}
	c := ending(&t.status)
	u := t.status.UncountedTerminatedPods
	if c == nil || t.status.Active > 0 || terminating > 0 || len(u.Succeeded)+len(u.Failed)+len(t.untrack) > 0 {
		return
	}
	if c.Type == batchv1.JobFailureTarget {
		t.setCondition(batchv1.JobFailed, corev1.ConditionTrue, c.Reason, c.Message)
		t.tell(api.Warning(t.j, component, c.Reason, c.Message))
		return
	}
	t.setCondition(batchv1.JobComplete, corev1.ConditionTrue, c.Reason, c.Message)
	at := metav1.NewTime(t.now)
	t.status.CompletionTime = &at
	t.tell(api.Normal(t.j, component, "Completed", "Job completed"))
}

func (t *turn) proceed() {
	done := t.succeeded > 0 && len(t.active) == 0
	if t.j.Spec.Completions != nil {
		done = t.succeeded >= *t.j.Spec.Completions
	}
	switch {
	case done:
		t.setCondition(batchv1.JobSuccessCriteriaMet, corev1.ConditionTrue, batchv1.JobReasonCompletionsReached,
			"Reached expected number of succeeded pods")
	case suspended(t.j):
		if t.setCondition(batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended") {
			t.status.StartTime = nil
			t.tell(api.Normal(t.j, component, "Suspended", "Job suspended"))
		}
	case condition(&t.status, batchv1.JobSuspended) != nil:
		if t.setCondition(batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed") {
			at := metav1.NewTime(t.now)
			t.status.StartTime = &at
			t.tell(api.Normal(t.j, component, "Resumed", "Job resumed"))
		}
	}
}

func (t *turn) tell(n api.Note) { t.event = &n }

// finish writes down what was decided.
func (t *turn) finish() {
	if !sameStatus(&t.j.Status, &t.status) {
		c := *t.j
		c.Status = t.status
		if t.event != nil {
			t.p.WriteNoted(api.UpdateStatus(&c), *t.event)
		} else {
			t.p.Write(api.UpdateStatus(&c))
		}
	}
	for _, pod := range t.untrack {
		t.p.Write(untrack(pod))
	}
	for _, w := range t.deletes {
		if w.Verb == api.VerbDelete {
			t.p.WriteNoted(w, api.Normal(t.j, component, "SuccessfulDelete", "Deleted pod: "+w.Ref.Name))
		} else {
			t.p.Write(w)
		}
	}
	for _, w := range t.creates {
		t.p.WriteNoted(w, api.Normal(t.j, component, "SuccessfulCreate", fmt.Sprintf("Created pod: %s", ctrl.NameOfWritten)))
	}
}

func sameStatus(a, b *batchv1.JobStatus) bool {
	x, y := *a, *b
	for _, s := range []*batchv1.JobStatus{&x, &y} { // unset says as much as empty
		if s.UncountedTerminatedPods == nil {
			s.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
		}
		ready, terminating := deref(s.Ready), deref(s.Terminating)
		s.Ready, s.Terminating = &ready, &terminating
	}
	return equality.Semantic.DeepEqual(&x, &y)
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
