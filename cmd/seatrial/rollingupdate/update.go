package rollingupdate

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"
)

// Annotations in which the state of an update is kept.
const (
	sourceAnnotation   = "kubectl.kubernetes.io/update-source-id"   // of the new one: name and UID of the old one
	desiredAnnotation  = "kubectl.kubernetes.io/desired-replicas"   // of the new one: its size in the end
	originalAnnotation = "kubectl.kubernetes.io/original-replicas"  // of the old one: its size before
	nextAnnotation     = "kubectl.kubernetes.io/next-controller-id" // of the old one: the name of the new one
)

// Updater carries out updates in one namespace.
type Updater struct {
	Client       typedcorev1.CoreV1Interface
	Namespace    string
	Clock        *Clock
	UpdatePeriod time.Duration // between scaling up and scaling down
	Timeout      time.Duration // without any progress
	Out          io.Writer     // progress, line by line
}

func (u *Updater) rcs() typedcorev1.ReplicationControllerInterface {
	return u.Client.ReplicationControllers(u.Namespace)
}

// Update moves the pods of old over to what is wanted of next, which it creates
// unless an interrupted update has done so. With keepName the new controller takes
// the name of the old one in the end.
func (u *Updater) Update(ctx context.Context, old, next *corev1.ReplicationController, keepName bool) error {
	if err := distinct(old, next); err != nil {
		return err
	}
	next, err := u.getOrCreate(ctx, next, old)
	if err != nil {
		return err
	}
	if old, err = u.rememberSize(ctx, old); err != nil {
		return err
	}
	desired, err := strconv.ParseInt(next.Annotations[desiredAnnotation], 10, 32)
	if err != nil {
		return fmt.Errorf("annotation %s of %s: want a number, not %q", desiredAnnotation, next.Name, next.Annotations[desiredAnnotation])
	}
	s := sizes{old: *old.Spec.Replicas, new: *next.Spec.Replicas, desired: int32(desired)}
	fmt.Fprintf(u.Out, "Scaling up %s from %d to %d, scaling down %s from %d to 0 (keep %d pods available, don't exceed %d pods)\n",
		next.Name, s.new, s.desired, old.Name, s.old, s.availableMin(), s.desired+surge)
	if err := u.shift(ctx, s, old.Name, next); err != nil {
		return err
	}
	return u.finish(ctx, old.Name, next.Name, keepName)
}

// shift scales the two controllers in turns until all pods are of the new one.
func (u *Updater) shift(ctx context.Context, s sizes, old string, next *corev1.ReplicationController) error {
	progress, err := u.Clock.now(ctx)
	if err != nil {
		return err
	}
	for s.new != s.desired || s.old != 0 {
		before := s
		if to := s.up(); to != s.new {
			fmt.Fprintf(u.Out, "Scaling %s up to %d\n", next.Name, to)
			if s.new, err = u.scale(ctx, next.Name, to); err != nil {
				return err
			}
		}
		if err := u.Clock.sleep(ctx, u.UpdatePeriod); err != nil {
			return err
		}
		if s.newAvailable, err = u.available(ctx, next); err != nil {
			return err
		}
		if to := s.down(); to != s.old {
			fmt.Fprintf(u.Out, "Scaling %s down to %d\n", old, to)
			if s.old, err = u.scale(ctx, old, to); err != nil {
				return err
			}
		}
		now, err := u.Clock.now(ctx)
		if err != nil {
			return err
		}
		if s.new != before.new || s.old != before.old {
			progress = now
		} else if now.Sub(progress) > u.Timeout {
			return fmt.Errorf("timed out waiting for any update progress to be made")
		} else if err := u.Clock.sleep(ctx, time.Second); err != nil { // with no update period
			return err
		}
	}
	return nil
}

// distinct refuses two controllers that would fight for pods.
func distinct(old, next *corev1.ReplicationController) error {
	if old.Name == next.Name {
		return fmt.Errorf("the new replication controller cannot have the same name as the existing replication controller %s", old.Name)
	}
	for k, v := range old.Spec.Selector {
		if w, ok := selectorOf(next)[k]; ok && w != v {
			return nil
		}
	}
	return fmt.Errorf("%s must specify a matching key with non-equal value in Selector for %s", next.Name, old.Name)
}

// selectorOf is what the server will make of a selector left out.
func selectorOf(rc *corev1.ReplicationController) map[string]string {
	if len(rc.Spec.Selector) == 0 && rc.Spec.Template != nil {
		return rc.Spec.Template.Labels
	}
	return rc.Spec.Selector
}

func source(old *corev1.ReplicationController) string {
	return fmt.Sprintf("%s:%s", old.Name, old.UID)
}

func (u *Updater) getOrCreate(ctx context.Context, next, old *corev1.ReplicationController) (*corev1.ReplicationController, error) {
	found, err := u.rcs().Get(ctx, next.Name, metav1.GetOptions{})
	if err == nil {
		if _, ok := found.Annotations[desiredAnnotation]; !ok || found.Annotations[sourceAnnotation] != source(old) {
			return nil, fmt.Errorf("there is a replication controller %s already, which is not of an update of %s", next.Name, old.Name)
		}
		fmt.Fprintf(u.Out, "Continuing update with existing controller %s.\n", next.Name)
		return found, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("look for %s: %w", next.Name, err)
	}
	desired := *old.Spec.Replicas
	if next.Spec.Replicas != nil {
		desired = *next.Spec.Replicas
	}
	if desired <= 0 {
		return nil, fmt.Errorf("invalid controller spec for %s; required: > 0 replicas, actual: %d", next.Name, desired)
	}
	next = next.DeepCopy()
	annotate(next, desiredAnnotation, strconv.Itoa(int(desired)))
	annotate(next, sourceAnnotation, source(old))
	next.Spec.Replicas = new(int32)
	if next, err = u.rcs().Create(ctx, next, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("create the new replication controller: %w", err)
	}
	fmt.Fprintf(u.Out, "Created %s\n", next.Name)
	return next, nil
}

// rememberSize notes the size of old, for a rollback.
func (u *Updater) rememberSize(ctx context.Context, old *corev1.ReplicationController) (*corev1.ReplicationController, error) {
	return u.change(ctx, old.Name, func(rc *corev1.ReplicationController) {
		if _, ok := rc.Annotations[originalAnnotation]; !ok {
			annotate(rc, originalAnnotation, strconv.Itoa(int(*rc.Spec.Replicas)))
		}
	})
}

func annotate(rc *corev1.ReplicationController, key, value string) {
	if rc.Annotations == nil {
		rc.Annotations = map[string]string{}
	}
	rc.Annotations[key] = value
}

// change gets a controller, alters it and writes it, again if others wrote in between.
func (u *Updater) change(ctx context.Context, name string, alter func(*corev1.ReplicationController)) (rc *corev1.ReplicationController, err error) {
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if rc, err = u.rcs().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		alter(rc)
		rc, err = u.rcs().Update(ctx, rc, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("update replication controller %s: %w", name, err)
	}
	return rc, nil
}

// scale sets a controller's size and waits until it has so many pods.
func (u *Updater) scale(ctx context.Context, name string, to int32) (int32, error) {
	rc, err := u.change(ctx, name, func(rc *corev1.ReplicationController) { rc.Spec.Replicas = &to })
	if err != nil {
		return 0, err
	}
	return to, u.Clock.until(ctx, u.Timeout, fmt.Sprintf("%s to have %d pods", name, to), func() (bool, error) {
		if rc, err = u.rcs().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return false, fmt.Errorf("look at %s: %w", name, err)
		}
		return rc.Status.ObservedGeneration >= rc.Generation && rc.Status.Replicas == *rc.Spec.Replicas, nil
	})
}

// available counts the ready pods of a controller.
func (u *Updater) available(ctx context.Context, rc *corev1.ReplicationController) (n int32, err error) {
	pods, err := u.Client.Pods(u.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(rc.Spec.Selector).String()})
	if err != nil {
		return 0, fmt.Errorf("list the pods of %s: %w", rc.Name, err)
	}
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil && ready(&pods.Items[i]) {
			n++
		}
	}
	return n, nil
}

func ready(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// finish removes the traces of an update and the old controller.
func (u *Updater) finish(ctx context.Context, old, next string, keepName bool) error {
	rc, err := u.change(ctx, next, func(rc *corev1.ReplicationController) {
		delete(rc.Annotations, sourceAnnotation)
		delete(rc.Annotations, desiredAnnotation)
	})
	if err != nil {
		return err
	}
	if !keepName {
		fmt.Fprintf(u.Out, "Update succeeded. Deleting %s\n", old)
		return u.remove(ctx, old)
	}
	fmt.Fprintf(u.Out, "Update succeeded. Deleting old controller: %s\n", old)
	if err := u.remove(ctx, old); err != nil {
		return err
	}
	fmt.Fprintf(u.Out, "Renaming %s to %s\n", next, old)
	return u.rename(ctx, rc, old)
}

// remove deletes a controller but not its pods, and waits until it is gone.
func (u *Updater) remove(ctx context.Context, name string) error {
	orphan := metav1.DeletePropagationOrphan
	if err := u.rcs().Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &orphan}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return u.Clock.until(ctx, u.Timeout, name+" to be gone", func() (bool, error) {
		_, err := u.rcs().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}

// rename replaces a controller by one of another name, which takes over its pods.
func (u *Updater) rename(ctx context.Context, rc *corev1.ReplicationController, to string) error {
	if err := u.remove(ctx, rc.Name); err != nil {
		return err
	}
	renamed := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: to, Namespace: rc.Namespace, Labels: rc.Labels, Annotations: rc.Annotations},
		Spec:       rc.Spec,
	}
	if _, err := u.rcs().Create(ctx, renamed, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create %s in place of %s: %w", to, rc.Name, err)
	}
	return nil
}
