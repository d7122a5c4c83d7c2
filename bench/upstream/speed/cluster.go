package speed

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/bench/schedperf"
	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// front is the Remote as its API server needs it.
type front struct{ *Remote }

// Do implements apiserver.Cluster.
func (f front) Do(ctx context.Context, do func(now time.Time, a *api.API)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	do(time.Now(), f.api)
	return f.drain()
}

// Do carries out one write.
func (r *Remote) Do(q api.Request) (kinds.Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.do(q)
}

// DoAll carries out many writes in order. The lock is let go between them, for
// kube-scheduler is at work meanwhile.
func (r *Remote) DoAll(lists [][]api.Request) error {
	for _, list := range lists {
		for _, q := range list {
			if _, err := r.Do(q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
	}
	return nil
}

// List returns the objects of a kind.
func (r *Remote) List(k kinds.Kind, namespace string) ([]kinds.Object, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(r.store.List(k, namespace)), nil
}

func (r *Remote) do(q api.Request) (kinds.Object, error) {
	if pod, ok := q.Object.(*corev1.Pod); ok && q.Subresource == "" {
		if err := r.prepare(q, pod); err != nil {
			return nil, err
		}
	}
	o, err := r.api.Do(time.Now(), q)
	if err != nil {
		return nil, err
	}
	return o, r.drain()
}

// prepare does for a pod what schedperf.Local does: admission, which upstream's
// benchmark switches off, is content.
func (r *Remote) prepare(q api.Request, pod *corev1.Pod) error {
	if q.Verb == api.VerbUpdate {
		if live, ok := r.store.Get(q.Ref).(*corev1.Pod); ok && pod.Spec.PriorityClassName == "" {
			pod.Spec.PriorityClassName, pod.Spec.Priority = live.Spec.PriorityClassName, live.Spec.Priority
			pod.Spec.PreemptionPolicy, pod.Spec.Tolerations = live.Spec.PreemptionPolicy, live.Spec.Tolerations
			pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount = live.Spec.ServiceAccountName, live.Spec.DeprecatedServiceAccount
		}
		return nil
	}
	p := pod.Spec.Priority
	if q.Verb != api.VerbCreate || p == nil || *p == 0 || pod.Spec.PriorityClassName != "" {
		return nil
	}
	pod.Spec.PriorityClassName = fmt.Sprintf("value-%d", *p)
	if *p < 0 {
		pod.Spec.PriorityClassName = fmt.Sprintf("value-minus-%d", -int64(*p))
	}
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: pod.Spec.PriorityClassName}, Value: *p}
	if r.store.Get(kinds.RefOf(class)) != nil {
		return nil
	}
	_, err := r.do(api.Create(class))
	return err
}

// drain hands on the events of the store: to the server's watches, and to Step.
func (r *Remote) drain() error {
	for r.seen < r.store.RV() {
		e, err := r.store.At(r.seen + 1)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		r.seen++
		r.server.Observe(e)
		switch o := e.Object.(type) {
		case *corev1.Pod:
			c := schedperf.PodChange{New: o, Worked: r.Worked()}
			c.Old, _ = e.Old.(*corev1.Pod)
			if e.Type == store.Deleted {
				c.New = nil
			}
			r.pods = append(r.pods, c)
			select {
			case r.news <- struct{}{}:
			default:
			}
		case *corev1.PersistentVolume:
			if err := r.bindClaim(o, e.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindClaim is upstream's stand-in for the controller of volumes: a claim that a volume
// names gets the volume's name.
func (r *Remote) bindClaim(pv *corev1.PersistentVolume, t store.Type) error {
	ref := pv.Spec.ClaimRef
	if ref == nil || t == store.Deleted {
		return nil
	}
	key := kinds.Key{Namespace: ref.Namespace, Name: ref.Name}
	claim, ok := r.store.Get(kinds.Ref{Kind: kinds.PersistentVolumeClaim, Key: key}).(*corev1.PersistentVolumeClaim)
	if !ok || claim.Spec.VolumeName != "" {
		return nil
	}
	claim = claim.DeepCopy()
	claim.Spec.VolumeName = pv.Name
	metav1.SetMetaDataAnnotation(&claim.ObjectMeta, "pv.kubernetes.io/bind-completed", "yes")
	_, err := r.api.Do(time.Now(), api.Update(claim))
	return err
}

// Step waits until something has become of a pod.
func (r *Remote) Step(until time.Time) (schedperf.Progress, error) {
	if wait := time.Until(until); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-r.news:
		case <-timer.C:
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := schedperf.Progress{Pods: r.pods, Idle: len(r.pods) == 0}
	r.pods = nil
	return p, r.err
}
