package deployment

import (
	"fmt"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"

	"seatrial.dev/seatrial/cluster/api"
)

// roll is one step of a rolling update: the new set grows, or else the old ones
// shrink.
func (t *turn) roll() {
	t.syncNew(true)
	if t.new == nil {
		return // the name was taken: next turn
	}
	if !t.growNew() && !t.shrinkOld() && t.complete() {
		t.clean()
	}
	t.rolloutStatus()
}

func (t *turn) growNew() bool {
	n := t.bounds.replicas
	if t.new.size < n {
		n = t.bounds.newSize(true, total(t.all), t.new.size)
	}
	return t.scale(t.new, n)
}

func (t *turn) shrinkOld() bool {
	old := active(t.old)
	slots := make([]slot, len(old))
	for i, s := range old {
		slots[i] = slotOf(s)
	}
	shrunk := false
	for i, n := range t.bounds.shrinkOld(slots, slotOf(t.new)) {
		shrunk = t.scale(old[i], n) || shrunk
	}
	return shrunk
}

// recreate is one step of the strategy Recreate: all old pods end before the
// first new one starts.
func (t *turn) recreate() {
	t.syncNew(false)
	shrunk := false
	for _, s := range active(t.old) {
		shrunk = t.scale(s, 0) || shrunk
	}
	if shrunk || t.oldPodsRun() {
		t.rolloutStatus()
		return
	}
	if t.new == nil {
		if t.syncNew(true); t.new == nil {
			return
		}
	}
	t.scale(t.new, t.bounds.replicas)
	if t.complete() {
		t.clean()
	}
	t.rolloutStatus()
}

// oldPodsRun says whether a pod of an old set may still be running.
func (t *turn) oldPodsRun() bool {
	for _, s := range t.old {
		pods := t.v.PodsOf(s.seen.UID)
		if s.seen.Status.Replicas > 0 || pods.Active()+pods.Terminating() > 0 {
			return true
		}
	}
	return false
}

// wasScaled says whether the Deployment's size changed since its sets got theirs.
func (t *turn) wasScaled() bool {
	t.syncNew(false)
	return slices.ContainsFunc(active(t.all), func(s *set) bool {
		desired, ok := s.number(desiredReplicasAnnotation)
		return ok && desired != t.bounds.replicas
	})
}

// rescale handles a change of size, and a paused Deployment.
func (t *turn) rescale() {
	t.syncNew(false)
	t.spread()
	if t.d.Spec.Paused && !t.rollsBack() {
		t.clean()
	}
	t.plainStatus()
}

// spread gives the sets sizes for a Deployment that changed its own: the only
// active one (or else the newest) takes it all; a finished rollout drops its old
// sets; a rollout in progress keeps its proportions.
//
// Every active set that stays then remembers the new size, even one that has the
// right size already (upstream leaves that one alone, and with it the Deployment,
// which takes itself for just scaled for ever after).
func (t *turn) spread() {
	if s := t.activeOrNewest(); s != nil {
		t.scaleQuietly(s, t.bounds.replicas)
		return
	}
	if t.saturated() {
		for _, s := range active(t.old) {
			t.scale(s, 0)
		}
		return
	}
	sets := active(t.all)
	if !isRolling(t.d) {
		for _, s := range sets {
			t.scaleQuietly(s, s.size)
		}
		return
	}
	if allowed := t.bounds.limit(); t.bounds.replicas > 0 && allowed > total(sets) {
		slices.SortFunc(sets, bySizeNewer)
	} else {
		slices.SortFunc(sets, bySizeOlder)
	}
	shares := make([]share, len(sets))
	for i, s := range sets {
		shares[i].size = s.size
		shares[i].max, _ = s.number(maxReplicasAnnotation)
	}
	for i, n := range t.bounds.proportional(shares, t.d.Status.Replicas) {
		t.scaleQuietly(sets[i], n)
	}
}

// activeOrNewest is the only active set, the newest set if none is active, and
// nil if several are (FindActiveOrLatest).
func (t *turn) activeOrNewest() *set {
	switch list := active(t.all); {
	case len(list) == 1:
		return list[0]
	case len(list) > 1 || len(t.all) == 0:
		return nil
	}
	if t.new != nil {
		return t.new
	}
	return t.old[len(t.old)-1]
}

// saturated says whether the new set alone is all that the Deployment asks for.
func (t *turn) saturated() bool {
	if t.new == nil {
		return false
	}
	desired, ok := t.new.number(desiredReplicasAnnotation)
	want := t.bounds.replicas
	return ok && desired == want && t.new.size == want && t.new.seen.Status.AvailableReplicas == want
}

// rollbackTo is the revision that the Deployment is asked to go back to; ok is
// false when it is not, or to something that is no number.
func rollbackTo(d *appsv1.Deployment) (revision int64, ok bool) {
	n, err := strconv.ParseInt(d.Annotations[rollbackToAnnotation], 10, 64)
	return n, err == nil
}

func (t *turn) rollsBack() bool { _, ok := rollbackTo(t.d); return ok }

// rollback carries out the annotation deprecated.deployment.rollback.to: the
// template of that revision (0: of the last one) becomes the Deployment's.
func (t *turn) rollback() {
	t.syncNew(true)
	defer t.forgetRollback()
	want, _ := rollbackTo(t.d)
	if want == 0 {
		if want = lastRevision(t.all); want == 0 {
			t.warnRollback("DeploymentRollbackRevisionNotFound", "Unable to find last revision.")
			return
		}
	}
	for _, s := range t.all {
		if n, ok := revision(s.now().Annotations); ok && n == want {
			t.rollbackTo(s, want)
			return
		}
	}
	t.warnRollback("DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to.")
}

func (t *turn) rollbackTo(s *set, revision int64) {
	if sameTemplate(&t.d.Spec.Template, &s.seen.Spec.Template) {
		t.warnRollback("DeploymentRollbackTemplateUnchanged",
			fmt.Sprintf("The rollback revision contains the same template as current deployment %q", t.d.Name))
		return
	}
	d := t.edited()
	d.Spec.Template = *s.seen.Spec.Template.DeepCopy()
	d.Spec.Template.Labels = withoutHash(d.Spec.Template.Labels)
	for name := range d.Annotations { //det:ok each name is judged on its own
		if !ownAnnotation(name) {
			delete(d.Annotations, name)
		}
	}
	for name, value := range s.seen.Annotations { //det:ok each name is set on its own
		if !ownAnnotation(name) {
			d.Annotations[name] = value
		}
	}
	t.p.Note(api.Normal(t.d, component, "DeploymentRollback",
		fmt.Sprintf("Rolled back deployment %q to revision %d", t.d.Name, revision)))
}

func (t *turn) forgetRollback() { delete(t.edited().Annotations, rollbackToAnnotation) }

func (t *turn) warnRollback(reason, message string) {
	t.p.Note(api.Warning(t.d, component, reason, message))
}
