package columns

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"seatrial.dev/seatrial/cluster/kinds"
)

func workloadPrinters() map[kinds.Kind]printer {
	replicas := columns("Name", "#Desired", "#Current", "#Ready", "Age", "wide:Containers", "wide:Images", "wide:Selector")
	return map[kinds.Kind]printer{
		kinds.Deployment:            {columns: columns("Name", "Ready", "#Up-to-date", "#Available", "Age", "wide:Containers", "wide:Images", "wide:Selector"), cells: deploymentCells},
		kinds.ReplicaSet:            {columns: replicas, cells: replicaSetCells},
		kinds.ReplicationController: {columns: replicas, cells: replicationControllerCells},
		kinds.StatefulSet:           {columns: columns("Name", "Ready", "Age", "wide:Containers", "wide:Images"), cells: statefulSetCells},
		kinds.DaemonSet: {columns: columns("Name", "#Desired", "#Current", "#Ready", "#Up-to-date", "#Available", "Node Selector", "Age",
			"wide:Containers", "wide:Images", "wide:Selector"), cells: daemonSetCells},
		kinds.Job: {columns: columns("Name", "Status", "Completions", "Duration", "Age", "wide:Containers", "wide:Images", "wide:Selector"), cells: jobCells},
		kinds.CronJob: {columns: columns("Name", "Schedule", "Timezone", "Suspend", "#Active", "Last Schedule", "Age",
			"wide:Containers", "wide:Images", "wide:Selector"), cells: cronJobCells},
		kinds.HorizontalPodAutoscaler: {columns: columns("Name", "Reference", "Targets", "MinPods", "MaxPods", "#Replicas", "Age"), cells: autoscalerCells},
		kinds.PodDisruptionBudget:     {columns: columns("Name", "Min Available", "Max Unavailable", "#Allowed Disruptions", "Age"), cells: budgetCells},
		kinds.ControllerRevision:      {columns: columns("Name", "Controller", "Revision", "Age"), cells: revisionCells},
	}
}

func count(p *int32, byDefault int32) int64 {
	if p == nil {
		return int64(byDefault)
	}
	return int64(*p)
}

func deploymentCells(o kinds.Object, now time.Time) []any {
	d := o.(*appsv1.Deployment)
	names, images := containerText(&d.Spec.Template.Spec)
	return []any{d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, count(d.Spec.Replicas, 1)), int64(d.Status.UpdatedReplicas),
		int64(d.Status.AvailableReplicas), age(d, now), names, images, selectorText(d.Spec.Selector)}
}

func replicaSetCells(o kinds.Object, now time.Time) []any {
	r := o.(*appsv1.ReplicaSet)
	names, images := containerText(&r.Spec.Template.Spec)
	return []any{r.Name, count(r.Spec.Replicas, 1), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas), age(r, now), names, images, selectorText(r.Spec.Selector)}
}

func replicationControllerCells(o kinds.Object, now time.Time) []any {
	r := o.(*corev1.ReplicationController)
	names, images := "<none>", "<none>"
	if r.Spec.Template != nil {
		names, images = containerText(&r.Spec.Template.Spec)
	}
	return []any{r.Name, count(r.Spec.Replicas, 1), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas), age(r, now), names, images, labelText(r.Spec.Selector)}
}

func statefulSetCells(o kinds.Object, now time.Time) []any {
	s := o.(*appsv1.StatefulSet)
	names, images := containerText(&s.Spec.Template.Spec)
	return []any{s.Name, fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, count(s.Spec.Replicas, 1)), age(s, now), names, images}
}

func daemonSetCells(o kinds.Object, now time.Time) []any {
	d := o.(*appsv1.DaemonSet)
	names, images := containerText(&d.Spec.Template.Spec)
	s := &d.Status
	return []any{d.Name, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled), int64(s.NumberReady), int64(s.UpdatedNumberScheduled),
		int64(s.NumberAvailable), labelText(d.Spec.Template.Spec.NodeSelector), age(d, now), names, images, selectorText(d.Spec.Selector)}
}

func jobCells(o kinds.Object, now time.Time) []any {
	j := o.(*batchv1.Job)
	completions := ""
	switch {
	case j.Spec.Completions != nil:
		completions = fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	case count(j.Spec.Parallelism, 0) > 1:
		completions = fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, *j.Spec.Parallelism)
	default:
		completions = fmt.Sprintf("%d/1", j.Status.Succeeded)
	}
	span := ""
	switch {
	case j.Status.StartTime == nil:
	case j.Status.CompletionTime == nil:
		span = duration.HumanDuration(now.Sub(j.Status.StartTime.Time))
	default:
		span = duration.HumanDuration(j.Status.CompletionTime.Sub(j.Status.StartTime.Time))
	}
	names, images := containerText(&j.Spec.Template.Spec)
	return []any{j.Name, jobStatus(j), completions, span, age(j, now), names, images, selectorText(j.Spec.Selector)}
}

func jobStatus(j *batchv1.Job) string {
	holds := map[batchv1.JobConditionType]bool{}
	for _, c := range j.Status.Conditions {
		holds[c.Type] = c.Status == corev1.ConditionTrue
	}
	switch {
	case holds[batchv1.JobComplete]:
		return "Complete"
	case holds[batchv1.JobFailed]:
		return "Failed"
	case j.DeletionTimestamp != nil:
		return "Terminating"
	case holds[batchv1.JobSuspended]:
		return "Suspended"
	case holds[batchv1.JobFailureTarget]:
		return "FailureTarget"
	case holds[batchv1.JobSuccessCriteriaMet]:
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func cronJobCells(o kinds.Object, now time.Time) []any {
	j := o.(*batchv1.CronJob)
	zone, last := "<none>", "<none>"
	if z := j.Spec.TimeZone; z != nil {
		zone = *z
	}
	if at := j.Status.LastScheduleTime; at != nil {
		last = since(*at, now)
	}
	suspend := "<unset>"
	if s := j.Spec.Suspend; s != nil {
		suspend = map[bool]string{true: "True", false: "False"}[*s]
	}
	names, images := containerText(&j.Spec.JobTemplate.Spec.Template.Spec)
	return []any{j.Name, j.Spec.Schedule, zone, suspend, int64(len(j.Status.Active)), last, age(j, now), names, images, selectorText(j.Spec.JobTemplate.Spec.Selector)}
}

func autoscalerCells(o kinds.Object, now time.Time) []any {
	h := o.(*autoscalingv2.HorizontalPodAutoscaler)
	least := "<unset>"
	if h.Spec.MinReplicas != nil {
		least = strconv.Itoa(int(*h.Spec.MinReplicas))
	}
	return []any{h.Name, h.Spec.ScaleTargetRef.Kind + "/" + h.Spec.ScaleTargetRef.Name, metricsText(h), least, strconv.Itoa(int(h.Spec.MaxReplicas)),
		int64(h.Status.CurrentReplicas), age(h, now)}
}

// metricsShown is how many metrics of an autoscaler a line shows.
const metricsShown = 2

func metricsText(h *autoscalingv2.HorizontalPodAutoscaler) string {
	if len(h.Spec.Metrics) == 0 {
		return "<none>"
	}
	var list []string
	for i, m := range h.Spec.Metrics {
		if i == metricsShown && len(h.Spec.Metrics) > metricsShown {
			return fmt.Sprintf("%s + %d more...", strings.Join(list, ", "), len(h.Spec.Metrics)-metricsShown)
		}
		var now *autoscalingv2.MetricStatus
		if i < len(h.Status.CurrentMetrics) {
			now = &h.Status.CurrentMetrics[i]
		}
		list = append(list, metricText(&m, now))
	}
	return strings.Join(list, ", ")
}

func metricText(m *autoscalingv2.MetricSpec, now *autoscalingv2.MetricStatus) string {
	var target autoscalingv2.MetricTarget
	var current *autoscalingv2.MetricValueStatus
	name := ""
	switch {
	case m.Resource != nil:
		name, target = string(m.Resource.Name), m.Resource.Target
		if now != nil && now.Resource != nil {
			current = &now.Resource.Current
		}
	case m.ContainerResource != nil:
		name, target = string(m.ContainerResource.Name), m.ContainerResource.Target
		if now != nil && now.ContainerResource != nil {
			current = &now.ContainerResource.Current
		}
	case m.Pods != nil:
		target = m.Pods.Target
		if now != nil && now.Pods != nil {
			current = &now.Pods.Current
		}
	case m.Object != nil:
		target = m.Object.Target
		if now != nil && now.Object != nil {
			current = &now.Object.Current
		}
	case m.External != nil:
		target = m.External.Target
		if now != nil && now.External != nil {
			current = &now.External.Current
		}
	default:
		return "<unknown type>"
	}
	text := targetText(&target, current)
	if name != "" {
		text = name + ": " + text
	}
	return text
}

func targetText(t *autoscalingv2.MetricTarget, current *autoscalingv2.MetricValueStatus) string {
	is := "<unknown>"
	switch {
	case t.AverageUtilization != nil:
		if current != nil && current.AverageUtilization != nil {
			is = fmt.Sprintf("%d%%", *current.AverageUtilization)
		}
		return fmt.Sprintf("%s/%d%%", is, *t.AverageUtilization)
	case t.AverageValue != nil:
		if current != nil && current.AverageValue != nil {
			is = current.AverageValue.String()
		}
		return is + "/" + t.AverageValue.String() + " (avg)"
	case t.Value != nil:
		if current != nil && current.Value != nil {
			is = current.Value.String()
		}
		return is + "/" + t.Value.String()
	}
	return is + "/<auto>"
}

func budgetCells(o kinds.Object, now time.Time) []any {
	b := o.(*policyv1.PodDisruptionBudget)
	least, most := "N/A", "N/A"
	if b.Spec.MinAvailable != nil {
		least = b.Spec.MinAvailable.String()
	}
	if b.Spec.MaxUnavailable != nil {
		most = b.Spec.MaxUnavailable.String()
	}
	return []any{b.Name, least, most, int64(b.Status.DisruptionsAllowed), age(b, now)}
}

func revisionCells(o kinds.Object, now time.Time) []any {
	r := o.(*appsv1.ControllerRevision)
	owner := "<none>"
	if c := metav1.GetControllerOf(r); c != nil {
		gv := strings.Split(c.APIVersion, "/")
		owner = strings.ToLower(c.Kind)
		if len(gv) == 2 {
			owner += "." + gv[0]
		}
		owner += "/" + c.Name
	}
	return []any{r.Name, owner, r.Revision, age(r, now)}
}
