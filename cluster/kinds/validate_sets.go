package kinds

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/
func (c *check) daemonSet(root *loc, ds *appsv1.DaemonSet) {
	at := root.dot("spec")
	c.chosen(&at, ds.Spec.Selector, &ds.Spec.Template, "daemonset", "DaemonSet")
	c.notNegative(&at, "minReadySeconds", int64(ds.Spec.MinReadySeconds))
	c.count(&at, "revisionHistoryLimit", ds.Spec.RevisionHistoryLimit)
	strategy := at.dot("updateStrategy")
	oneOf(c, &strategy, "type", ds.Spec.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType)
	r := ds.Spec.UpdateStrategy.RollingUpdate
	if ds.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType {
		return
	}
	if r == nil {
		c.required(&strategy, "rollingUpdate", "")
		return
	}
	here := strategy.dot("rollingUpdate")
	c.share(&here, "maxUnavailable", r.MaxUnavailable)
	c.share(&here, "maxSurge", r.MaxSurge)
	switch {
	case isZero(r.MaxUnavailable) && isZero(r.MaxSurge):
		c.required(&here, "maxUnavailable", "cannot be 0 when maxSurge is 0")
	case !isZero(r.MaxUnavailable) && !isZero(r.MaxSurge):
		c.invalid(&here, "maxSurge", shown(r.MaxSurge), "may not be set when maxUnavailable is non-zero")
	}
	c.atMostAll(&here, "maxUnavailable", r.MaxUnavailable)
	c.atMostAll(&here, "maxSurge", r.MaxSurge)
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
func (c *check) statefulSet(root *loc, sts *appsv1.StatefulSet) {
	at := root.dot("spec")
	s := &sts.Spec
	oneOf(c, &at, "podManagementPolicy", s.PodManagementPolicy, appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)
	strategy := at.dot("updateStrategy")
	oneOf(c, &strategy, "type", s.UpdateStrategy.Type, appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType)
	if r := s.UpdateStrategy.RollingUpdate; r != nil {
		if s.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
			c.invalid(&strategy, "rollingUpdate", r, "only allowed for updateStrategy 'RollingUpdate'")
		}
		here := strategy.dot("rollingUpdate")
		c.count(&here, "partition", r.Partition)
		c.share(&here, "maxUnavailable", r.MaxUnavailable)
		c.atMostAll(&here, "maxUnavailable", r.MaxUnavailable)
		if r.MaxUnavailable != nil && isZero(r.MaxUnavailable) {
			c.invalid(&here, "maxUnavailable", shown(r.MaxUnavailable), "cannot be 0")
		}
	}
	if p := s.PersistentVolumeClaimRetentionPolicy; p != nil {
		here := at.dot("persistentVolumeClaimRetentionPolicy")
		keep, drop := appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType
		oneOf(c, &here, "whenDeleted", p.WhenDeleted, keep, drop)
		oneOf(c, &here, "whenScaled", p.WhenScaled, keep, drop)
	}
	c.count(&at, "replicas", s.Replicas)
	c.notNegative(&at, "minReadySeconds", int64(s.MinReadySeconds))
	c.count(&at, "revisionHistoryLimit", s.RevisionHistoryLimit)
	if s.Ordinals != nil {
		here := at.dot("ordinals")
		c.notNegative(&here, "start", int64(s.Ordinals.Start))
	}
	c.statefulTemplate(&at, s)
}

// statefulTemplate: the volumes of a StatefulSet's claims exist though the
// template does not list them.
func (c *check) statefulTemplate(at *loc, s *appsv1.StatefulSetSpec) {
	t := s.Template
	t.Spec.Volumes = slices.Clone(s.Template.Spec.Volumes)
	for i := range s.VolumeClaimTemplates {
		here := at.index("volumeClaimTemplates", i)
		spec := here.dot("spec")
		c.claimSpec(&spec, &s.VolumeClaimTemplates[i].Spec)
		name := s.VolumeClaimTemplates[i].Name
		if findVolume(&t.Spec, name) != nil {
			continue // the claim takes the place of the volume
		}
		t.Spec.Volumes = append(t.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}})
	}
	c.chosen(at, s.Selector, &t, "statefulset", "StatefulSet")
}

// maxIndexedParallelism bounds the pods that an Indexed job runs at once.
// Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
const maxIndexedParallelism = 100_000

func (c *check) job(root *loc, j *batchv1.Job) {
	at := root.dot("spec")
	c.jobSpec(&at, &j.Spec)
	if s := j.Spec.Selector; s != nil {
		c.selector(&at, "selector", s)
		sel, err := metav1.LabelSelectorAsSelector(s)
		if err == nil && !sel.Matches(labels.Set(j.Spec.Template.Labels)) {
			here := at.dot("template")
			c.mismatch(&here, &j.Spec.Template)
		}
	} else if m := j.Spec.ManualSelector; m != nil && *m {
		c.required(&at, "selector", "")
	}
}

// jobSpec checks a job, or a cron job's template of one, without its selector,
// which the server makes.
func (c *check) jobSpec(at *loc, s *batchv1.JobSpec) {
	c.count(at, "parallelism", s.Parallelism)
	c.count(at, "completions", s.Completions)
	if s.ActiveDeadlineSeconds != nil {
		c.notNegative(at, "activeDeadlineSeconds", *s.ActiveDeadlineSeconds)
	}
	c.count(at, "backoffLimit", s.BackoffLimit)
	c.count(at, "ttlSecondsAfterFinished", s.TTLSecondsAfterFinished)
	c.count(at, "backoffLimitPerIndex", s.BackoffLimitPerIndex)
	c.count(at, "maxFailedIndexes", s.MaxFailedIndexes)
	if s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil {
		c.required(at, "backoffLimitPerIndex", "when maxFailedIndexes is specified")
	}
	c.managedBy(at, s)
	oneOfPtr(c, at, "completionMode", s.CompletionMode, batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)
	if s.PodFailurePolicy != nil {
		oneOfPtr(c, at, "podReplacementPolicy", s.PodReplacementPolicy, batchv1.Failed)
	} else {
		oneOfPtr(c, at, "podReplacementPolicy", s.PodReplacementPolicy, batchv1.TerminatingOrFailed, batchv1.Failed)
	}
	c.indexedJob(at, s)
	here := at.dot("template")
	c.template(&here, &s.Template)
	spec := here.dot("spec")
	policy := s.Template.Spec.RestartPolicy
	switch {
	case policy == corev1.RestartPolicyAlways:
		c.required(&spec, "restartPolicy", `valid values: "OnFailure", "Never"`)
	case s.PodFailurePolicy != nil && policy != corev1.RestartPolicyNever:
		c.invalid(&spec, "restartPolicy", policy, `only "Never" is supported when podFailurePolicy is specified`)
	}
	if s.PodFailurePolicy != nil {
		c.podFailurePolicy(at, s)
	}
}

func (c *check) indexedJob(at *loc, s *batchv1.JobSpec) {
	if s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion {
		if s.Completions == nil {
			c.required(at, "completions", "when completion mode is Indexed")
		}
		if s.Parallelism != nil && *s.Parallelism > maxIndexedParallelism {
			c.invalid(at, "parallelism", *s.Parallelism, fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", maxIndexedParallelism))
		}
		c.failingIndexes(at, s)
		c.successPolicy(at, s)
		return
	}
	const why = "requires indexed completion mode"
	if s.BackoffLimitPerIndex != nil {
		c.invalid(at, "backoffLimitPerIndex", *s.BackoffLimitPerIndex, why)
	}
	if s.MaxFailedIndexes != nil {
		c.invalid(at, "maxFailedIndexes", *s.MaxFailedIndexes, why)
	}
	if s.SuccessPolicy != nil {
		c.invalid(at, "successPolicy", s.SuccessPolicy, why)
	}
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
func (c *check) podFailurePolicy(at *loc, s *batchv1.JobSpec) {
	policy := at.dot("podFailurePolicy")
	for i := range s.PodFailurePolicy.Rules {
		r := &s.PodFailurePolicy.Rules[i]
		here := policy.index("rules", i)
		oneOf(c, &here, "action", r.Action, batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
			batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)
		if r.Action == batchv1.PodFailurePolicyActionFailIndex && s.BackoffLimitPerIndex == nil {
			c.invalid(&here, "action", r.Action, "requires the backoffLimitPerIndex to be set")
		}
		switch {
		case r.OnExitCodes != nil && len(r.OnPodConditions) > 0:
			c.invalid(&here, "", "", "specifying both OnExitCodes and OnPodConditions is not supported")
		case r.OnExitCodes == nil && len(r.OnPodConditions) == 0:
			c.invalid(&here, "", "", "specifying one of OnExitCodes and OnPodConditions is required")
		case r.OnExitCodes != nil:
			c.exitCodes(&here, r.OnExitCodes)
		}
	}
}

func (c *check) exitCodes(at *loc, e *batchv1.PodFailurePolicyOnExitCodesRequirement) {
	here := at.dot("onExitCodes")
	oneOf(c, &here, "operator", e.Operator, batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if len(e.Values) == 0 {
		c.invalid(&here, "values", e.Values, "at least one value is required")
	}
	for i, v := range e.Values {
		place := here.index("values", i)
		if v == 0 && e.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			c.invalid(&place, "", v, "must not be 0 for the In operator")
		}
		if slices.Contains(e.Values[:i], v) {
			c.duplicate(&place, "", v)
		}
	}
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
func (c *check) cronJob(root *loc, j *batchv1.CronJob) {
	at := root.dot("spec")
	switch {
	case j.Spec.Schedule == "":
		c.required(&at, "schedule", "")
	case strings.Contains(j.Spec.Schedule, "TZ"):
		c.invalid(&at, "schedule", j.Spec.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
	default:
		if err := checkSchedule(j.Spec.Schedule); err != nil {
			c.invalid(&at, "schedule", j.Spec.Schedule, err.Error())
		}
	}
	if z := j.Spec.TimeZone; z != nil {
		switch {
		case *z == "":
			c.invalid(&at, "timeZone", *z, "timeZone must be nil or non-empty string")
		case strings.EqualFold(*z, "Local"):
			c.invalid(&at, "timeZone", *z, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")
		}
	}
	if d := j.Spec.StartingDeadlineSeconds; d != nil {
		c.notNegative(&at, "startingDeadlineSeconds", *d)
	}
	oneOf(c, &at, "concurrencyPolicy", j.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)
	c.count(&at, "successfulJobsHistoryLimit", j.Spec.SuccessfulJobsHistoryLimit)
	c.count(&at, "failedJobsHistoryLimit", j.Spec.FailedJobsHistoryLimit)
	job := at.dot("jobTemplate")
	spec := job.dot("spec")
	c.jobSpec(&spec, &j.Spec.JobTemplate.Spec)
	if m := j.Spec.JobTemplate.Spec.ManualSelector; m != nil && *m {
		c.notSupported(&spec, "manualSelector", "true", []string{"nil", "false"})
	}
}

// cronField is what a field of a schedule may hold.
type cronField struct {
	name     string
	min, max int
	words    string // names of the values, each of three letters, from min on
}

func cronFields() [5]cronField {
	return [5]cronField{
		{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day of month", 1, 31, ""},
		{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {"day of week", 0, 6, "sunmontuewedthufrisat"},
	}
}

// checkSchedule says what is wrong with a cron schedule: five fields of numbers,
// names, ranges, steps and lists, or a word such as @hourly.
func checkSchedule(s string) error {
	if strings.HasPrefix(s, "@") {
		word, rest, _ := strings.Cut(s, " ")
		if slices.Contains([]string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}, s) ||
			word == "@every" && rest != "" {
			return nil
		}
		return fmt.Errorf("unrecognized descriptor: %s", s)
	}
	parts := strings.Fields(s)
	if len(parts) != 5 {
		return fmt.Errorf("expected exactly 5 fields, found %d: %v", len(parts), parts)
	}
	for i, f := range cronFields() {
		for _, part := range strings.Split(parts[i], ",") {
			if err := f.check(part); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	return nil
}

func (f cronField) check(part string) error {
	span, step, stepped := strings.Cut(part, "/")
	if n, err := strconv.Atoi(step); stepped && (err != nil || n <= 0) {
		return fmt.Errorf("step of range should be a positive number: %s", part)
	}
	if span == "*" || span == "?" {
		return nil
	}
	low, high, ranged := strings.Cut(span, "-")
	from, err := f.value(low)
	to := from
	if err == nil && ranged {
		to, err = f.value(high)
	}
	switch {
	case err != nil:
		return err
	case from < f.min:
		return fmt.Errorf("beginning of range (%d) below minimum (%d): %s", from, f.min, part)
	case to > f.max:
		return fmt.Errorf("end of range (%d) above maximum (%d): %s", to, f.max, part)
	case from > to:
		return fmt.Errorf("beginning of range (%d) beyond end of range (%d): %s", from, to, part)
	}
	return nil
}

func (f cronField) value(s string) (int, error) {
	if len(s) == 3 {
		if i := strings.Index(f.words, strings.ToLower(s)); i >= 0 && i%3 == 0 {
			return f.min + i/3, nil
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, errors.New("failed to parse int from " + s)
	}
	return n, nil
}
