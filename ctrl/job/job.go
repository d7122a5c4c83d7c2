package job

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/podset"
)

const component = "job-controller"

const (
	// burstMax is how many pods one plan creates or deletes.
	burstMax = 500
	// uncountedMax is how many finished pods one status names before they are
	// counted.
	uncountedMax = 500
	// The back-off after a failed pod.
	backoffMin = 10 * time.Second
	backoffMax = 6 * time.Minute
)

// Controller is the Job controller.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "job-controller".
func (*Controller) Name() string { return component }

// Kinds are Jobs and their pods.
func (*Controller) Kinds() []kinds.Kind { return []kinds.Kind{kinds.Job, kinds.Pod} }

// Keys asks for a Job when it or a pod of its changed, and for a tracked pod whose
// Job is gone.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Ref.Kind == kinds.Job {
		if e.Type != store.Deleted {
			add(e.Ref)
			return
		}
		for pod := range v.PodsOf(e.Object.GetUID()).Pods() {
			if tracked(pod) {
				add(kinds.RefOf(pod))
			}
		}
		return
	}
	var old, now *corev1.Pod
	if e.Old != nil {
		old = e.Old.(*corev1.Pod)
	}
	if e.Type != store.Deleted {
		now = e.Object.(*corev1.Pod)
	}
	if !podset.Changed(old, now) && tracked(old) == tracked(now) && restarts(old) == restarts(now) {
		return
	}
	was, is := jobOf(v, old), jobOf(v, now)
	if was.Name != "" {
		add(was)
	}
	if is.Name != "" && is != was {
		add(is)
	}
	if now == nil || is.Name != "" {
		return
	}
	if ownership.Controller(now) == nil {
		adopters(v, now, add)
	}
	if tracked(now) {
		add(e.Ref)
	}
}

func adopters(v *view.View, pod *corev1.Pod, add func(kinds.Ref)) {
	if len(pod.Labels) == 0 || pod.DeletionTimestamp != nil {
		return
	}
	for j := range view.In[*batchv1.Job](v, kinds.Job, pod.Namespace) {
		if s := selectorOf(j); !s.Empty() && s.Matches(labels.Set(pod.Labels)) {
			add(kinds.RefOf(j))
		}
	}
}

func jobOf(v *view.View, pod *corev1.Pod) kinds.Ref {
	if pod == nil {
		return kinds.Ref{}
	}
	ref, uid, ok := ownership.ParentOf(pod, kinds.Job)
	if !ok {
		return kinds.Ref{}
	}
	if j := v.Object(ref); j == nil || j.GetUID() != uid {
		return kinds.Ref{}
	}
	return ref
}

// selectorOf is the Job's selector; where the API has set none it is the Job's own
// UID, by which its pods are labelled.
func selectorOf(j *batchv1.Job) labels.Selector {
	if j.Spec.Selector == nil {
		return labels.SelectorFromSet(labels.Set{batchv1.ControllerUidLabel: string(j.UID)})
	}
	s, err := metav1.LabelSelectorAsSelector(j.Spec.Selector)
	if err != nil {
		return labels.Nothing()
	}
	return s
}

// Reconcile plans one turn of a Job, or frees a pod whose Job is gone.
func (c *Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	if key.Kind == kinds.Pod {
		if pod := v.Pod(key.Key); tracked(pod) && jobOf(v, pod).Name == "" {
			if r := ownership.Controller(pod); r == nil || r.Kind == "Job" {
				p.Write(untrack(pod))
			}
		}
		return p
	}
	j := view.Get[*batchv1.Job](v, kinds.Job, key.Key)
	if j == nil || ended(&j.Status) || othersManage(j) {
		return p
	}
	t := begin(now, v, j, &p)
	t.count()
	t.judge()
	t.release()
	t.manage()
	t.conclude()
	t.finish()
	return p
}

// othersManage says whether spec.managedBy leaves the Job to another controller.
func othersManage(j *batchv1.Job) bool {
	return j.Spec.ManagedBy != nil && *j.Spec.ManagedBy != batchv1.JobControllerName
}

// Refused tells why a pod could not be created or deleted.
func (c *Controller) Refused(_ time.Time, v *view.View, key kinds.Ref, w api.Request, err error) (p ctrl.Plan) {
	j := view.Get[*batchv1.Job](v, kinds.Job, key.Key)
	if j == nil || w.Ref.Kind != kinds.Pod || errors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return p
	}
	switch w.Verb {
	case api.VerbCreate:
		p.Note(api.Warning(j, component, "FailedCreate", fmt.Sprintf("Error creating: %v", err)))
	case api.VerbDelete:
		p.Note(api.Warning(j, component, "FailedDelete", fmt.Sprintf("Error deleting: %v", err)))
	}
	return p
}
