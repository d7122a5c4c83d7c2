package rollingupdate

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/retry"
)

// Image says how the new controller differs from the old one where no file does.
type Image struct {
	Image     string
	Container string // may be left out where there is but one
	Name      string // of the new controller; made up where it is left out
	Label     string // the key that is to tell the pods of the two apart
}

// WithImage returns the controller that old is to become, and old as it is after its
// pods have been given a label that tells them from those to come.
func (u *Updater) WithImage(ctx context.Context, old *corev1.ReplicationController, im Image) (was, next *corev1.ReplicationController, err error) {
	if name := old.Annotations[nextAnnotation]; name != "" {
		next, err := u.rcs().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			fmt.Fprintf(u.Out, "Found existing update in progress (%s), resuming.\n", name)
			return old, next, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, nil, fmt.Errorf("look for %s: %w", name, err)
		}
	}
	if next, err = successor(old, im); err != nil {
		return nil, nil, err
	}
	if was, err = u.label(ctx, old, next.Name, im.Label); err != nil {
		return nil, nil, err
	}
	return was, next, nil
}

// successor is old with another image, and with a label that tells its pods apart.
func successor(old *corev1.ReplicationController, im Image) (*corev1.ReplicationController, error) {
	next := &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: im.Name, Namespace: old.Namespace, Labels: old.Labels},
		Spec:       *old.Spec.DeepCopy(),
	}
	containers := next.Spec.Template.Spec.Containers
	at := -1
	for i, c := range containers {
		if im.Container == c.Name || im.Container == "" && len(containers) == 1 {
			at = i
		}
	}
	if at < 0 {
		if im.Container == "" {
			return nil, fmt.Errorf("must specify container to update when updating a multi-container pod: %s has %d", old.Name, len(containers))
		}
		return nil, fmt.Errorf("%s has no container %q", old.Name, im.Container)
	}
	if containers[at].Image == im.Image {
		return nil, fmt.Errorf("container %s of %s has the image %s already", containers[at].Name, old.Name, im.Image)
	}
	containers[at].Image = im.Image
	sum := hash(next)
	if next.Name == "" {
		next.Name = old.Name + "-" + sum
	}
	for _, m := range []*map[string]string{&next.Spec.Selector, &next.Spec.Template.Labels} {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[im.Label] = sum
	}
	return next, nil
}

func hash(rc *corev1.ReplicationController) string {
	text, err := json.Marshal(rc)
	if err != nil {
		panic(fmt.Sprintf("replication controller %s: %v", rc.Name, err)) // it came as JSON
	}
	return fmt.Sprintf("%x", md5.Sum(text))
}

// label gives the template, the pods and the selector of a controller a label, in
// this order, so that it always owns its pods.
func (u *Updater) label(ctx context.Context, old *corev1.ReplicationController, next, key string) (*corev1.ReplicationController, error) {
	if _, ok := old.Spec.Selector[key]; ok {
		return u.change(ctx, old.Name, func(rc *corev1.ReplicationController) { annotate(rc, nextAnnotation, next) })
	}
	value := hash(old)
	_, err := u.change(ctx, old.Name, func(rc *corev1.ReplicationController) {
		annotate(rc, nextAnnotation, next)
		if rc.Spec.Template.Labels == nil {
			rc.Spec.Template.Labels = map[string]string{}
		}
		rc.Spec.Template.Labels[key] = value
	})
	if err != nil {
		return nil, err
	}
	pods, err := u.Client.Pods(u.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(old.Spec.Selector).String()})
	if err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", old.Name, err)
	}
	for i := range pods.Items {
		if err := u.labelPod(ctx, pods.Items[i].Name, key, value); err != nil {
			return nil, err
		}
	}
	was, err := u.change(ctx, old.Name, func(rc *corev1.ReplicationController) { rc.Spec.Selector[key] = value })
	if err != nil {
		return nil, err
	}
	return was, u.removeUnlabelled(ctx, old, key)
}

// removeUnlabelled deletes the pods that the controller made, before it saw its new
// template, after its pods were labelled: nobody owns them now.
func (u *Updater) removeUnlabelled(ctx context.Context, old *corev1.ReplicationController, key string) error {
	pods, err := u.Client.Pods(u.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(old.Spec.Selector).String() + ",!" + key})
	if err != nil {
		return fmt.Errorf("list the pods of %s: %w", old.Name, err)
	}
	for i := range pods.Items {
		if err := u.Client.Pods(u.Namespace).Delete(ctx, pods.Items[i].Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete pod %s: %w", pods.Items[i].Name, err)
		}
	}
	return nil
}

func (u *Updater) labelPod(ctx context.Context, name, key, value string) error {
	pods := u.Client.Pods(u.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels[key] = value
		_, err = pods.Update(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("label pod %s: %w", name, err)
	}
	return nil
}
