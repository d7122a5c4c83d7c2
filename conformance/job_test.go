package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"
)

const noCronJobs = "there is no cronjob controller"

var jobEntries = slices.Concat([]entry{
	{Group: "Jobs", Name: "Jobs, orphan pods, re-adoption", Codename: "[sig-apps] Job should adopt matching orphans and release non-matching pods", Test: jobAdopts},
	{Group: "Jobs", Name: "Verify Pod Failure policy allows to fail job early on exit code.", Codename: "[sig-apps] Job should allow to use the pod failure policy on exit code to fail the job early", Test: jobFailsEarly},
	{Group: "Jobs", Name: "Ensure pod failure policy allows to ignore failure matching on the DisruptionTarget condition", Codename: "[sig-apps] Job should allow to use a pod failure policy to ignore failure matching on DisruptionTarget condition", Test: jobIgnoresDisruption},
	{Group: "Jobs", Name: "Jobs, apply changes to status", Codename: "[sig-apps] Job should apply changes to a job status", Test: jobStatus},
	{Group: "Jobs", Name: "Ensure Pods of an Indexed Job get a unique index.", Codename: "[sig-apps] Job should create pods for an Indexed job with completion indexes and specified hostname", Test: jobIndexed},
	{Group: "Jobs", Name: "Jobs, active pods, graceful termination", Codename: "[sig-apps] Job should delete a job", Test: jobDeleted},
	{Group: "Jobs", Name: "Ensure that all indexes are executed for an indexed job with backoffLimitPerIndex despite some failing", Codename: "[sig-apps] Job should execute all indexes despite some failing when using backoffLimitPerIndex", Test: jobTriesAllIndexes},
	{Group: "Jobs", Name: "Mark indexes as failed when the FailIndex action is matched in podFailurePolicy", Codename: "[sig-apps] Job should mark indexes as failed when the FailIndex action is matched in podFailurePolicy", Test: jobFailsIndex},
	{Group: "Jobs", Name: "Terminate job execution when the maxFailedIndexes is exceeded", Codename: "[sig-apps] Job should terminate job execution when the number of failed indexes exceeds maxFailedIndexes", Test: jobFailsByIndexes},
	{Group: "Jobs", Name: "Ensure that job with successPolicy succeeded when all indexes succeeded", Codename: "[sig-apps] Job with successPolicy should succeeded when all indexes succeeded", Test: jobSucceedsByAll},
	{Group: "Jobs", Name: "Ensure that job with successPolicy succeededCount rule succeeded even when some indexes remain pending", Codename: "[sig-apps] Job with successPolicy succeededCount rule should succeeded even when some indexes remain pending", Test: jobSucceedsByCount},
	{Group: "Jobs", Name: "Ensure that job with successPolicy succeededIndexes rule succeeded even when some indexes remain pending", Codename: "[sig-apps] Job with successPolicy succeededIndexes rule should succeeded even when some indexes remain pending", Test: jobSucceedsByIndexes},
	{Group: "Jobs", Name: "Jobs, manage lifecycle", Codename: "[sig-apps] Job should manage the lifecycle of a job", Test: jobLifecycle},
	{Group: "Jobs", Name: "Jobs, completion after task failure", Codename: "[sig-apps] Job should run a job to completion when tasks sometimes fail and are locally restarted",
		Missing: "a container cannot fail at first and succeed when it is restarted: its image says once how it ends"},
	{Group: "Cron jobs", Name: "CronJob API Operations", Codename: "[sig-apps] CronJob should support CronJob API operations", Test: operations{
		gvr: batchv1.SchemeGroupVersion.WithResource("cronjobs"), object: `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{},"spec":{"schedule":"* */1 * * ?","suspend":true,
			"jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"OnFailure","containers":[{"name":"c","image":"demo/x:1"}]}}}}}}`,
		status: []string{"status", "lastScheduleTime"}, value: "2026-01-01T00:00:00Z", other: "2026-01-02T00:00:00Z"}.test},
}, missing("Cron jobs", noCronJobs,
	"CronJob Suspend", "[sig-apps] CronJob should not schedule jobs when suspended [Slow]",
	"CronJob ForbidConcurrent", "[sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Slow]",
	"CronJob ReplaceConcurrent", "[sig-apps] CronJob should replace jobs when ReplaceConcurrent",
	"CronJob AllowConcurrent", "[sig-apps] CronJob should schedule multiple jobs concurrently",
), []entry{
	{Group: "Disruption budgets", Name: "PodDisruptionBudget: list and delete collection", Codename: "[sig-apps] DisruptionController Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets", Test: budgetsDeleted},
	{Group: "Disruption budgets", Name: "PodDisruptionBudget: block an eviction until the PDB is updated to allow it", Codename: "[sig-apps] DisruptionController should block an eviction until the PDB is updated to allow it", Test: budgetBlocks},
	{Group: "Disruption budgets", Name: "PodDisruptionBudget: create, update, patch, and delete object", Codename: "[sig-apps] DisruptionController should create a PodDisruptionBudget", Test: budgetLifecycle},
	{Group: "Disruption budgets", Name: "PodDisruptionBudget: Status updates", Codename: "[sig-apps] DisruptionController should observe PodDisruptionBudget status updated", Test: budgetObserved},
	{Group: "Disruption budgets", Name: "PodDisruptionBudget: update and patch status", Codename: "[sig-apps] DisruptionController should update/patch PodDisruptionBudget status", Test: budgetStatus},
})

// job makes a job of pods that run an image.
func job(name, image string, parallelism, completions int32) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(name)}, Spec: batchv1.JobSpec{Parallelism: &parallelism, Completions: &completions, Template: podTemplateSpec(image, app(name))}}
	j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return j
}

func (c *cluster) makeJob(t *testing.T, j *batchv1.Job) *batchv1.Job {
	t.Helper()
	made, err := c.kube.BatchV1().Jobs(c.ns).Create(c.ctx, j, metav1.CreateOptions{})
	require.NoError(t, err)
	return made
}

// untilJob waits until a job has a condition.
func (c *cluster) untilJob(t *testing.T, name string, kind batchv1.JobConditionType) *batchv1.Job {
	t.Helper()
	var j *batchv1.Job
	c.until(t, "the job to be "+string(kind), func() (bool, error) {
		var err error
		j, err = c.kube.BatchV1().Jobs(c.ns).Get(c.ctx, name, metav1.GetOptions{})
		require.NoError(t, err)
		return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == kind && c.Status == corev1.ConditionTrue }), nil
	})
	return j
}

func jobAdopts(t *testing.T, c *cluster) {
	j := c.makeJob(t, job("job", anImage, 2, 2))
	pod := c.untilPods(t, "app=job", 2, running)[0]
	_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, pod.Name, mergePatch, []byte(`{"metadata":{"ownerReferences":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.untilAdopted(t, pod.Name, j)
	_, err = c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, pod.Name, mergePatch, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.untilReleased(t, pod.Name)
}

func jobFailsEarly(t *testing.T, c *cluster) {
	limit := int32(20)
	j := job("job", "demo/fail:1", 1, 1)
	j.Spec.BackoffLimit = &limit
	j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{Action: batchv1.PodFailurePolicyActionFailJob,
		OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42}}}}}
	c.makeJob(t, j)
	j = c.untilJob(t, "job", batchv1.JobFailed)
	require.EqualValues(t, 1, j.Status.Failed)
	for _, cond := range j.Status.Conditions {
		if cond.Type == batchv1.JobFailed {
			require.Equal(t, batchv1.JobReasonPodFailurePolicy, cond.Reason)
		}
	}
}

// jobIgnoresDisruption evicts each pod of a job that stands no failure; the pods that
// come in their place must end, so a status does that.
func jobIgnoresDisruption(t *testing.T, c *cluster) {
	none := int32(0)
	j := job("job", "demo/stubborn:1", 2, 2) // it takes no TERM, so an eviction is a failure
	indexed := batchv1.IndexedCompletion
	j.Spec.CompletionMode, j.Spec.BackoffLimit = &indexed, &none
	j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{
		{Action: batchv1.PodFailurePolicyActionIgnore, OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}},
		{Action: batchv1.PodFailurePolicyActionFailJob, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpNotIn, Values: []int32{0}}}}}
	c.makeJob(t, j)
	evicted := map[string]bool{}
	for _, p := range c.untilPods(t, "app=job", 2, running) {
		evicted[string(p.UID)] = true
		require.NoError(t, c.kube.PolicyV1().Evictions(c.ns).Evict(c.ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: c.ns}}))
	}
	fresh := func(p *corev1.Pod) bool { return !evicted[string(p.UID)] && running(p) }
	c.until(t, "pods in their place", func() (bool, error) {
		n := 0
		for _, p := range c.pods(t, "app=job") {
			if fresh(&p) {
				n++
			}
		}
		return n == 2, nil
	})
	got, err := c.kube.BatchV1().Jobs(c.ns).Get(c.ctx, "job", metav1.GetOptions{})
	require.NoError(t, err)
	require.Empty(t, got.Status.Conditions)
	for _, p := range c.pods(t, "app=job") {
		if fresh(&p) {
			_, err := c.kube.CoreV1().Pods(c.ns).Patch(c.ctx, p.Name, mergePatch, []byte(`{"status":{"phase":"Succeeded"}}`), metav1.PatchOptions{}, "status")
			require.NoError(t, err)
		}
	}
	require.EqualValues(t, 2, c.untilJob(t, "job", batchv1.JobComplete).Status.Succeeded)
}

func jobStatus(t *testing.T, c *cluster) {
	c.makeJob(t, job("job", anImage, 2, 4))
	c.untilPods(t, "app=job", 2, running)
	jobs := c.kube.BatchV1().Jobs(c.ns)
	now := metav1.Now().UTC().Format("2006-01-02T15:04:05Z")
	got, err := jobs.Patch(c.ctx, "job", mergePatch, patch(t, map[string]any{"metadata": map[string]any{"annotations": map[string]any{"patchedstatus": "true"}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "CustomConditionType", "status": "True", "reason": "E2E", "lastTransitionTime": now}}}}), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	require.Equal(t, "true", got.Annotations["patchedstatus"])
	require.True(t, slices.ContainsFunc(got.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == "CustomConditionType" }))
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		j, err := jobs.Get(c.ctx, "job", metav1.GetOptions{})
		if err != nil {
			return err
		}
		j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: "Updated", Status: corev1.ConditionTrue, Reason: "E2E", LastTransitionTime: metav1.Now()})
		j, err = jobs.UpdateStatus(c.ctx, j, metav1.UpdateOptions{})
		if err == nil {
			require.True(t, slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == "Updated" }))
		}
		return err
	}))
	u, err := c.dyn.Resource(batchv1.SchemeGroupVersion.WithResource("jobs")).Namespace(c.ns).Get(c.ctx, "job", metav1.GetOptions{}, "status")
	require.NoError(t, err)
	require.True(t, hasCondition("Updated")(u))
}

func jobIndexed(t *testing.T, c *cluster) {
	j, indexed := job("job", "demo/done:1", 2, 4), batchv1.IndexedCompletion
	j.Spec.CompletionMode = &indexed
	c.makeJob(t, j)
	j = c.untilJob(t, "job", batchv1.JobComplete)
	require.Equal(t, "0-3", j.Status.CompletedIndexes)
	indexes := map[string]bool{}
	for _, p := range c.pods(t, "app=job") {
		index := p.Annotations[batchv1.JobCompletionIndexAnnotation]
		indexes[index] = true
		require.Equal(t, "job-"+index, p.Spec.Hostname)
		require.True(t, slices.ContainsFunc(p.Spec.Containers[0].Env, func(e corev1.EnvVar) bool {
			return e.Name == "JOB_COMPLETION_INDEX" && e.ValueFrom != nil && e.ValueFrom.FieldRef != nil
		}))
	}
	require.Equal(t, map[string]bool{"0": true, "1": true, "2": true, "3": true}, indexes)
}

// indexedJob makes an indexed job whose pods wait at a gate, for endOddly to say how
// they end.
func indexedJob(parallelism, completions int32) *batchv1.Job {
	j, indexed := job("job", "demo/done:1", parallelism, completions), batchv1.IndexedCompletion
	j.Spec.CompletionMode = &indexed
	j.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "test/image"}}
	return j
}

// endOddly lets the pods of a job run as they come, until the job has a condition:
// those of even indexes will succeed, those of odd ones will fail.
func (c *cluster) endOddly(t *testing.T, kind batchv1.JobConditionType) *batchv1.Job {
	t.Helper()
	var j *batchv1.Job
	c.until(t, "the job to be "+string(kind), func() (bool, error) {
		for _, p := range c.pods(t, "app=job") {
			if len(p.Spec.SchedulingGates) == 0 {
				continue
			}
			image := "demo/done:1"
			if index := p.Annotations[batchv1.JobCompletionIndexAnnotation]; index == "1" || index == "3" {
				image = "demo/fail:1"
			}
			p.Spec.SchedulingGates, p.Spec.Containers[0].Image = nil, image
			_, err := c.kube.CoreV1().Pods(c.ns).Update(c.ctx, &p, metav1.UpdateOptions{})
			if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				return false, err
			}
		}
		var err error
		j, err = c.kube.BatchV1().Jobs(c.ns).Get(c.ctx, "job", metav1.GetOptions{})
		require.NoError(t, err)
		return jobCondition(j, kind) != nil, nil
	})
	return j
}

// jobCondition is a condition that holds for a job, or nil.
func jobCondition(j *batchv1.Job, kind batchv1.JobConditionType) *batchv1.JobCondition {
	i := slices.IndexFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == kind && c.Status == corev1.ConditionTrue })
	if i < 0 {
		return nil
	}
	return &j.Status.Conditions[i]
}

func jobTriesAllIndexes(t *testing.T, c *cluster) {
	j, once := indexedJob(2, 4), int32(1)
	j.Spec.BackoffLimitPerIndex = &once
	c.makeJob(t, j)
	j = c.endOddly(t, batchv1.JobFailed)
	require.Equal(t, batchv1.JobReasonFailedIndexes, jobCondition(j, batchv1.JobFailed).Reason)
	require.Equal(t, "1,3", *j.Status.FailedIndexes)
	require.Equal(t, "0,2", j.Status.CompletedIndexes)
	require.EqualValues(t, 4, j.Status.Failed, "two for each failed index")
	require.EqualValues(t, 2, j.Status.Succeeded)
}

func jobFailsIndex(t *testing.T, c *cluster) {
	j, once := indexedJob(2, 2), int32(1)
	j.Spec.BackoffLimitPerIndex = &once
	j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{Action: batchv1.PodFailurePolicyActionFailIndex,
		OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{42}}}}}
	c.makeJob(t, j)
	j = c.endOddly(t, batchv1.JobFailed)
	require.Equal(t, "1", *j.Status.FailedIndexes)
	require.Equal(t, "0", j.Status.CompletedIndexes)
	require.EqualValues(t, 1, j.Status.Failed)
	require.EqualValues(t, 1, j.Status.Succeeded)
}

func jobFailsByIndexes(t *testing.T, c *cluster) {
	j, none := indexedJob(1, 4), int32(0)
	j.Spec.Template.Spec.SchedulingGates, j.Spec.Template.Spec.Containers[0].Image = nil, "demo/fail:1"
	j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = &none, &none
	c.makeJob(t, j)
	j = c.untilJob(t, "job", batchv1.JobFailed)
	require.Equal(t, batchv1.JobReasonMaxFailedIndexesExceeded, jobCondition(j, batchv1.JobFailed).Reason)
	require.NotNil(t, jobCondition(j, batchv1.JobFailureTarget))
	require.Equal(t, "0", *j.Status.FailedIndexes)
	require.EqualValues(t, 1, j.Status.Failed)
}

// succeedBy waits until a job that has a success policy is complete by it, with
// nothing left of its pods.
func (c *cluster) succeedBy(t *testing.T, j *batchv1.Job, rule batchv1.SuccessPolicyRule) *batchv1.Job {
	j.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{rule}}
	c.makeJob(t, j)
	j = c.endOddly(t, batchv1.JobComplete)
	for _, kind := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		require.NotNil(t, jobCondition(j, kind))
		require.Equal(t, batchv1.JobReasonSuccessPolicy, jobCondition(j, kind).Reason)
	}
	require.Zero(t, j.Status.Active)
	require.Zero(t, *j.Status.Ready)
	require.Zero(t, *j.Status.Terminating)
	return j
}

func jobSucceedsByAll(t *testing.T, c *cluster) {
	two := int32(2)
	j := indexedJob(2, 2)
	j.Spec.Template.Spec.SchedulingGates = nil
	j = c.succeedBy(t, j, batchv1.SuccessPolicyRule{SucceededCount: &two})
	require.EqualValues(t, 2, j.Status.Succeeded)
	require.Zero(t, j.Status.Failed)
}

func jobSucceedsByCount(t *testing.T, c *cluster) {
	one := int32(1)
	j := c.succeedBy(t, indexedJob(2, 5), batchv1.SuccessPolicyRule{SucceededCount: &one})
	require.Equal(t, "0", j.Status.CompletedIndexes)
}

func jobSucceedsByIndexes(t *testing.T, c *cluster) {
	first := "0"
	j := c.succeedBy(t, indexedJob(2, 5), batchv1.SuccessPolicyRule{SucceededIndexes: &first})
	require.Equal(t, "0", j.Status.CompletedIndexes)
}

func jobDeleted(t *testing.T, c *cluster) {
	j := c.makeJob(t, job("job", anImage, 2, 4))
	c.untilPods(t, "app=job", 2, running)
	require.NoError(t, c.kube.BatchV1().Jobs(c.ns).Delete(c.ctx, "job", propagate(metav1.DeletePropagationForeground, &metav1.Preconditions{UID: &j.UID})))
	c.until(t, "the job to go", func() (bool, error) {
		_, err := c.kube.BatchV1().Jobs(c.ns).Get(c.ctx, "job", metav1.GetOptions{})
		return gone(err)
	})
	require.Empty(t, c.pods(t, "app=job"))
}

func jobLifecycle(t *testing.T, c *cluster) {
	j, yes := job("job", anImage, 2, 4), true
	j.Spec.Suspend = &yes
	c.makeJob(t, j)
	jobs := c.kube.BatchV1().Jobs(c.ns)
	got, err := jobs.Patch(c.ctx, "job", strategicPatch, labelled(t, "patched", c.ns), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, c.ns, got.Labels["patched"])
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		j, err := jobs.Get(c.ctx, "job", metav1.GetOptions{})
		if err != nil {
			return err
		}
		j.Annotations = map[string]string{"updated": "true"}
		j.Spec.Suspend = new(bool)
		j, err = jobs.Update(c.ctx, j, metav1.UpdateOptions{})
		if err == nil {
			require.Equal(t, "true", j.Annotations["updated"])
		}
		return err
	}))
	c.untilPods(t, "app=job", 2, running)
	all, err := c.kube.BatchV1().Jobs("").List(c.ctx, selecting("patched="+c.ns))
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	require.NoError(t, jobs.DeleteCollection(c.ctx, propagate(metav1.DeletePropagationBackground, nil), selecting("patched="+c.ns)))
	c.until(t, "the job to go", func() (bool, error) {
		_, err := jobs.Get(c.ctx, "job", metav1.GetOptions{})
		return gone(err)
	})
}

func (c *cluster) makeBudget(t *testing.T, name, selected string, available int) *policyv1.PodDisruptionBudget {
	t.Helper()
	min := intstr.FromInt(available)
	b, err := c.kube.PolicyV1().PodDisruptionBudgets(c.ns).Create(c.ctx, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: app(c.ns)},
		Spec: policyv1.PodDisruptionBudgetSpec{MinAvailable: &min, Selector: &metav1.LabelSelector{MatchLabels: app(selected)}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	return b
}

// untilBudget waits until the controller has seen a budget as it is now.
func (c *cluster) untilBudget(t *testing.T, name string, is func(policyv1.PodDisruptionBudgetStatus) bool) *policyv1.PodDisruptionBudget {
	t.Helper()
	var b *policyv1.PodDisruptionBudget
	c.until(t, "the status of the budget", func() (bool, error) {
		var err error
		b, err = c.kube.PolicyV1().PodDisruptionBudgets(c.ns).Get(c.ctx, name, metav1.GetOptions{})
		require.NoError(t, err)
		return b.Status.ObservedGeneration == b.Generation && is(b.Status), nil
	})
	return b
}

func budgetsDeleted(t *testing.T, c *cluster) {
	for i := range 3 {
		c.makeBudget(t, fmt.Sprint("b", i), "x", 1)
	}
	budgets := func() int {
		all, err := c.kube.PolicyV1().PodDisruptionBudgets("").List(c.ctx, selecting("app="+c.ns))
		require.NoError(t, err)
		return len(all.Items)
	}
	require.Equal(t, 3, budgets())
	require.NoError(t, c.kube.PolicyV1().PodDisruptionBudgets(c.ns).DeleteCollection(c.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	c.until(t, "the budgets to go", func() (bool, error) { return budgets() == 0, nil })
}

func budgetBlocks(t *testing.T, c *cluster) {
	c.makeReplicaSet(t, replicaSet("web", 3))
	c.makeBudget(t, "b", "web", 3)
	c.untilBudget(t, "b", func(s policyv1.PodDisruptionBudgetStatus) bool {
		return s.CurrentHealthy == 3 && s.DisruptionsAllowed == 0
	})
	pod := c.pods(t, "app=web")[0]
	evict := func() error {
		return c.kube.PolicyV1().Evictions(c.ns).Evict(c.ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: c.ns}})
	}
	err := evict()
	require.True(t, apierrors.IsTooManyRequests(err), "%v", err)
	require.True(t, apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause))
	_, err = c.kube.PolicyV1().PodDisruptionBudgets(c.ns).Patch(c.ctx, "b", mergePatch, []byte(`{"spec":{"minAvailable":2}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	c.untilBudget(t, "b", func(s policyv1.PodDisruptionBudgetStatus) bool { return s.DisruptionsAllowed == 1 })
	require.NoError(t, evict())
	_, err = c.kube.PolicyV1().PodDisruptionBudgets(c.ns).Patch(c.ctx, "b", mergePatch, []byte(`{"spec":{"minAvailable":3}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, c.kube.PolicyV1().PodDisruptionBudgets(c.ns).Delete(c.ctx, "b", metav1.DeleteOptions{}))
	pod = c.untilPods(t, "app=web", 3, running)[0]
	require.NoError(t, evict(), "without a budget nothing blocks")
}

func budgetLifecycle(t *testing.T, c *cluster) {
	budgets := c.kube.PolicyV1().PodDisruptionBudgets(c.ns)
	c.makeBudget(t, "b", "x", 1)
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		b, err := budgets.Get(c.ctx, "b", metav1.GetOptions{})
		if err != nil {
			return err
		}
		min := intstr.FromInt32(2)
		b.Spec.MinAvailable = &min
		_, err = budgets.Update(c.ctx, b, metav1.UpdateOptions{})
		return err
	}))
	b := c.untilBudget(t, "b", whatever)
	require.Equal(t, 2, b.Spec.MinAvailable.IntValue())
	_, err := budgets.Patch(c.ctx, "b", mergePatch, []byte(`{"spec":{"minAvailable":"30%"}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.Equal(t, "30%", c.untilBudget(t, "b", whatever).Spec.MinAvailable.String())
	require.NoError(t, budgets.Delete(c.ctx, "b", metav1.DeleteOptions{}))
	_, err = budgets.Get(c.ctx, "b", metav1.GetOptions{})
	is, _ := gone(err)
	require.True(t, is, "%v", err)
}

func budgetObserved(t *testing.T, c *cluster) {
	c.makeReplicaSet(t, replicaSet("web", 3))
	c.makeBudget(t, "b", "web", 1)
	c.untilBudget(t, "b", func(s policyv1.PodDisruptionBudgetStatus) bool {
		return s.CurrentHealthy == 3 && s.ExpectedPods == 3 && s.DesiredHealthy == 1 && s.DisruptionsAllowed == 2
	})
}

// budgetStatus writes a disrupted pod into the status, which the controller keeps.
func budgetStatus(t *testing.T, c *cluster) {
	c.makeReplicaSet(t, replicaSet("web", 3))
	c.makeBudget(t, "b", "web", 1)
	budgets := c.kube.PolicyV1().PodDisruptionBudgets(c.ns)
	c.untilBudget(t, "b", func(s policyv1.PodDisruptionBudgetStatus) bool { return s.DisruptionsAllowed == 2 })
	var updated *policyv1.PodDisruptionBudget
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		b, err := budgets.Get(c.ctx, "b", metav1.GetOptions{})
		if err != nil {
			return err
		}
		b.Status.DisruptedPods = map[string]metav1.Time{"pod": metav1.Now()}
		updated, err = budgets.UpdateStatus(c.ctx, b, metav1.UpdateOptions{})
		return err
	}))
	require.Contains(t, updated.Status.DisruptedPods, "pod")
	b, err := budgets.Patch(c.ctx, "b", mergePatch, []byte(`{"status":{"disruptedPods":null}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	require.Empty(t, b.Status.DisruptedPods)
}
