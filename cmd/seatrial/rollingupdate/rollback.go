package rollingupdate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Rollback ends an update of old to next that was interrupted, the other way round.
func (u *Updater) Rollback(ctx context.Context, old, next *corev1.ReplicationController) error {
	size, ok := old.Annotations[originalAnnotation]
	if !ok {
		return fmt.Errorf("couldn't find original replica count of %q", old.Name)
	}
	fmt.Fprintf(u.Out, "Setting %q replicas to %s\n", old.Name, size)
	back, err := u.change(ctx, old.Name, func(rc *corev1.ReplicationController) {
		annotate(rc, desiredAnnotation, size)
		annotate(rc, sourceAnnotation, source(next))
		delete(rc.Annotations, nextAnnotation)
		delete(rc.Annotations, originalAnnotation)
	})
	if err != nil {
		return err
	}
	return u.Update(ctx, next, back, false)
}

// Next is the name of the controller that an interrupted update with an image was
// moving to; empty if there was none.
func Next(old *corev1.ReplicationController) string { return old.Annotations[nextAnnotation] }
