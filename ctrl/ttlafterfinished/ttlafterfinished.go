package ttlafterfinished

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

// Controller is the TTL-after-finished controller.
type Controller struct{}

// New returns it.
func New() *Controller { return &Controller{} }

// Name is "ttl-after-finished-controller".
func (*Controller) Name() string { return "ttl-after-finished-controller" }

// Kinds are Jobs.
func (*Controller) Kinds() []kinds.Kind { return []kinds.Kind{kinds.Job} }

// Keys asks for a Job that will have to go.
func (*Controller) Keys(_ *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Type == store.Deleted {
		return
	}
	if _, ok := expiry(e.Object.(*batchv1.Job)); ok {
		add(e.Ref)
	}
}

// Reconcile deletes one Job, or waits until its time is up.
func (*Controller) Reconcile(now time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	j := view.Get[*batchv1.Job](v, kinds.Job, key.Key)
	if j == nil {
		return p
	}
	due, ok := expiry(j)
	if !ok {
		return p
	}
	if wait := due.Sub(now); wait > 0 {
		p.LookAgain(wait)
		return p
	}
	w := api.Delete(key, j.UID)
	w.Propagation = metav1.DeletePropagationForeground
	p.Write(w)
	return p
}

// expiry is when a finished Job's time is up; ok is false for one that stays.
func expiry(j *batchv1.Job) (due time.Time, ok bool) {
	if j.Spec.TTLSecondsAfterFinished == nil || j.DeletionTimestamp != nil {
		return due, false
	}
	for i := range j.Status.Conditions {
		c := &j.Status.Conditions[i]
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Add(time.Duration(*j.Spec.TTLSecondsAfterFinished) * time.Second), true
		}
	}
	return due, false
}
