package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// defaultReplicationController takes labels and selector from the template.
// Source: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller/
func defaultReplicationController(rc *corev1.ReplicationController) {
	setDefault(&rc.Spec.Replicas, 1)
	t := rc.Spec.Template
	if t == nil {
		return
	}
	if len(t.Labels) > 0 {
		if len(rc.Spec.Selector) == 0 {
			rc.Spec.Selector = copyMap(t.Labels)
		}
		if len(rc.Labels) == 0 {
			rc.Labels = copyMap(t.Labels)
		}
	}
	defaultPodSpec(&t.Spec)
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
func defaultDeployment(d *appsv1.Deployment) {
	setDefault(&d.Spec.Replicas, 1)
	s := &d.Spec.Strategy
	setIfEmpty(&s.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Type == appsv1.RollingUpdateDeploymentStrategyType {
		if s.RollingUpdate == nil {
			s.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		if s.RollingUpdate.MaxUnavailable == nil {
			s.RollingUpdate.MaxUnavailable = ptr(intstr.FromString("25%"))
		}
		if s.RollingUpdate.MaxSurge == nil {
			s.RollingUpdate.MaxSurge = ptr(intstr.FromString("25%"))
		}
	}
	setDefault(&d.Spec.RevisionHistoryLimit, 10)
	setDefault(&d.Spec.ProgressDeadlineSeconds, 600)
	defaultPodSpec(&d.Spec.Template.Spec)
}

// Source: https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/
func defaultDaemonSet(ds *appsv1.DaemonSet) {
	s := &ds.Spec.UpdateStrategy
	setIfEmpty(&s.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if s.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		if s.RollingUpdate == nil {
			s.RollingUpdate = &appsv1.RollingUpdateDaemonSet{}
		}
		if s.RollingUpdate.MaxUnavailable == nil {
			s.RollingUpdate.MaxUnavailable = ptr(intstr.FromInt32(1))
		}
		if s.RollingUpdate.MaxSurge == nil {
			s.RollingUpdate.MaxSurge = ptr(intstr.FromInt32(0))
		}
	}
	setDefault(&ds.Spec.RevisionHistoryLimit, 10)
	defaultPodSpec(&ds.Spec.Template.Spec)
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
func defaultStatefulSet(sts *appsv1.StatefulSet) {
	setIfEmpty(&sts.Spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	s := &sts.Spec.UpdateStrategy
	setIfEmpty(&s.Type, appsv1.RollingUpdateStatefulSetStrategyType)
	if s.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		if s.RollingUpdate == nil {
			s.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{}
		}
		setDefault(&s.RollingUpdate.Partition, 0)
	}
	if sts.Spec.PersistentVolumeClaimRetentionPolicy == nil {
		sts.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	}
	retention := sts.Spec.PersistentVolumeClaimRetentionPolicy
	setIfEmpty(&retention.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	setIfEmpty(&retention.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	setDefault(&sts.Spec.Replicas, 1)
	setDefault(&sts.Spec.RevisionHistoryLimit, 10)
	defaultPodSpec(&sts.Spec.Template.Spec)
	for i := range sts.Spec.VolumeClaimTemplates {
		c := &sts.Spec.VolumeClaimTemplates[i]
		defaultClaim(c)
		// A template in a StatefulSet keeps its type, unlike an object of its own.
		setIfEmpty(&c.APIVersion, "v1")
		setIfEmpty(&c.Kind, "PersistentVolumeClaim")
	}
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/
func defaultJob(j *batchv1.Job) {
	// Neither count given is a job of one pod; parallelism alone is a work
	// queue, whose completions stay unset.
	if j.Spec.Completions == nil && j.Spec.Parallelism == nil {
		setDefault(&j.Spec.Completions, 1)
	}
	setDefault(&j.Spec.Parallelism, 1)
	setDefault(&j.Spec.CompletionMode, batchv1.NonIndexedCompletion)
	setDefault(&j.Spec.Suspend, false)
	if j.Spec.BackoffLimit == nil {
		if j.Spec.BackoffLimitPerIndex != nil {
			// Each index has its own limit, so the whole has none.
			j.Spec.BackoffLimit = ptr(int32(1<<31 - 1))
		} else {
			j.Spec.BackoffLimit = ptr(int32(6))
		}
	}
	if j.Spec.PodReplacementPolicy == nil {
		if j.Spec.PodFailurePolicy != nil {
			j.Spec.PodReplacementPolicy = ptr(batchv1.Failed)
		} else {
			j.Spec.PodReplacementPolicy = ptr(batchv1.TerminatingOrFailed)
		}
	}
	setDefault(&j.Spec.ManualSelector, false)
	if len(j.Labels) == 0 && len(j.Spec.Template.Labels) > 0 {
		j.Labels = copyMap(j.Spec.Template.Labels)
	}
	if p := j.Spec.PodFailurePolicy; p != nil {
		for i := range p.Rules {
			for k := range p.Rules[i].OnPodConditions {
				setIfEmpty(&p.Rules[i].OnPodConditions[k].Status, corev1.ConditionTrue)
			}
		}
	}
	defaultPodSpec(&j.Spec.Template.Spec)
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
func defaultCronJob(c *batchv1.CronJob) {
	setIfEmpty(&c.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
	setDefault(&c.Spec.Suspend, false)
	setDefault(&c.Spec.SuccessfulJobsHistoryLimit, 3)
	setDefault(&c.Spec.FailedJobsHistoryLimit, 1)
	defaultPodSpec(&c.Spec.JobTemplate.Spec.Template.Spec)
}

// Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
func defaultAutoscaler(h *autoscalingv2.HorizontalPodAutoscaler) {
	setDefault(&h.Spec.MinReplicas, 1)
	if len(h.Spec.Metrics) == 0 {
		h.Spec.Metrics = []autoscalingv2.MetricSpec{{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr(int32(80))}},
		}}
	}
	b := h.Spec.Behavior
	if b == nil {
		return
	}
	// Up: double, or four pods more, every 15 s, whichever is more. Down: as
	// far as the metric says. The windows' default is the controller's.
	up := []autoscalingv2.HPAScalingPolicy{
		{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
		{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
	}
	down := []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}}
	if b.ScaleUp == nil {
		b.ScaleUp = &autoscalingv2.HPAScalingRules{}
	}
	if b.ScaleDown == nil {
		b.ScaleDown = &autoscalingv2.HPAScalingRules{}
	}
	setDefault(&b.ScaleUp.StabilizationWindowSeconds, 0)
	defaultScaling(b.ScaleUp, up)
	defaultScaling(b.ScaleDown, down)
}

func defaultScaling(r *autoscalingv2.HPAScalingRules, policies []autoscalingv2.HPAScalingPolicy) {
	setDefault(&r.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if r.Policies == nil {
		r.Policies = policies
	}
}
