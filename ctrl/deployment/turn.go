package deployment

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// turn is one call of Reconcile.
type turn struct {
	now    time.Time
	v      *view.View
	d      *appsv1.Deployment // read only
	bounds bounds
	p      *ctrl.Plan

	all    []*set // every set of the Deployment, oldest first, the fresh one last
	old    []*set // all but the new one, oldest first
	new    *set   // the set with the Deployment's template, or nil
	toDrop []*set // old sets beyond the history limit

	status      appsv1.DeploymentStatus // as it will be
	revision    string                  // the Deployment's revision annotation, as it will be; "" keeps it
	settled     bool                    // the status is complete as it stands
	touched     []*set                  // in the order of their first change
	newTemplate *appsv1.Deployment      // the Deployment after a rollback; nil without one
}

// begin claims the Deployment's sets.
func begin(now time.Time, v *view.View, d *appsv1.Deployment, p *ctrl.Plan) *turn {
	t := &turn{now: now, v: v, d: d, bounds: boundsOf(d), p: p, status: d.Status}
	t.status.Conditions = slices.Clone(d.Status.Conditions)
	selector := selectorOf(d)
	claim := func(rs *appsv1.ReplicaSet) {
		switch ownership.Claim(d, rs, selector.Matches(labels.Set(rs.Labels))) {
		case ownership.Adopt:
			p.Write(ownership.AdoptWrite(d, rs))
			t.all = append(t.all, newSet(rs))
		case ownership.Keep:
			t.all = append(t.all, newSet(rs))
		case ownership.Release:
			p.Write(ownership.ReleaseWrite(rs, d.UID))
		}
	}
	for o := range v.Owned(d.UID) {
		if rs, ok := o.(*appsv1.ReplicaSet); ok && ownership.Controls(d, rs) {
			claim(rs)
		}
	}
	for rs := range view.Ownerless[*appsv1.ReplicaSet](v, kinds.ReplicaSet, d.Namespace) {
		claim(rs)
	}
	slices.SortFunc(t.all, byAge)
	for _, s := range t.all {
		if t.new == nil && sameTemplate(&s.seen.Spec.Template, &d.Spec.Template) {
			t.new = s
		} else {
			t.old = append(t.old, s)
		}
	}
	return t
}

// play is Kubernetes' syncDeployment.
func (t *turn) play() {
	if t.d.DeletionTimestamp != nil {
		t.syncNew(false)
		t.plainStatus()
		return
	}
	t.notePause()
	switch {
	case t.d.Spec.Paused:
		t.rescale()
	case t.rollsBack():
		t.rollback()
	case t.wasScaled():
		t.rescale()
	case isRolling(t.d):
		t.roll()
	default:
		t.recreate()
	}
}

// syncNew brings the new set's annotations and minReadySeconds up to date, and
// creates it if there is none and create is set.
func (t *turn) syncNew(create bool) {
	newest := maxRevision(t.old) + 1
	if t.new != nil {
		t.touch(t.new, func(s *set) {
			s.takeRevision(t.d, newest)
			if s.seen.Spec.MinReadySeconds != t.d.Spec.MinReadySeconds {
				s.edit().Spec.MinReadySeconds = t.d.Spec.MinReadySeconds
			}
		})
		t.revision = t.new.now().Annotations[revisionAnnotation]
		if hasDeadline(t.d) && condition(&t.status, appsv1.DeploymentProgressing) == nil {
			t.setProgress(corev1.ConditionTrue, reasonFoundNew, fmt.Sprintf("Found new replica set %q", t.new.seen.Name))
		}
		return
	}
	if create {
		t.createNew(newest)
	}
}

// createNew plans the new set, unless its name is taken by another set: then the
// collision count goes up and the next turn tries another name.
func (t *turn) createNew(newest int64) {
	hash := templateHash(&t.d.Spec.Template, t.d.Status.CollisionCount)
	key := kinds.Key{Namespace: t.d.Namespace, Name: t.d.Name + "-" + hash}
	if view.Get[*appsv1.ReplicaSet](t.v, kinds.ReplicaSet, key) != nil {
		n := int32(1)
		if t.status.CollisionCount != nil {
			n = *t.status.CollisionCount + 1
		}
		t.status.CollisionCount, t.settled = &n, true
		return
	}
	rs := t.blueprint(key, hash)
	s := &set{seen: rs, draft: rs, fresh: true}
	s.resize(t.bounds.newSize(isRolling(t.d), total(t.old), 0))
	s.takeRevision(t.d, newest)
	s.remember(t.bounds)
	if s.size > 0 {
		s.notes = append(s.notes, t.scaled("up", key.Name, 0, s.size))
	}
	t.new = s
	t.all = append(t.all, s)
	t.touched = append(t.touched, s)
	t.revision = strconv.FormatInt(newest, 10)
	if hasDeadline(t.d) {
		t.setProgress(corev1.ConditionTrue, reasonNewSet, fmt.Sprintf("Created new replica set %q", key.Name))
	}
}

func (t *turn) blueprint(key kinds.Key, hash string) *appsv1.ReplicaSet {
	template := t.d.Spec.Template.DeepCopy()
	template.Labels = maps.Clone(template.Labels)
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	selector := t.d.Spec.Selector.DeepCopy()
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: key.Name, Namespace: key.Namespace,
			Labels: maps.Clone(template.Labels), Annotations: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{ownership.Ref(t.d)},
		},
		Spec: appsv1.ReplicaSetSpec{
			MinReadySeconds: t.d.Spec.MinReadySeconds, Selector: selector, Template: *template,
		},
	}
}

// touch lets change edit a set, and notes that it did.
func (t *turn) touch(s *set, change func(*set)) {
	clean := s.draft == nil
	change(s)
	if clean && s.draft != nil {
		t.touched = append(t.touched, s)
	}
}

// scale gives a set a size, with the event that tells of it.
func (t *turn) scale(s *set, n int32) bool {
	if s.size == n {
		return false
	}
	t.scaleQuietly(s, n)
	return true
}

// scaleQuietly is scale that also brings the set's memory of the Deployment's
// size up to date where the size stays.
func (t *turn) scaleQuietly(s *set, n int32) {
	t.touch(s, func(s *set) {
		if s.size != n {
			direction := "down"
			if n > s.size {
				direction = "up"
			}
			s.notes = append(s.notes, t.scaled(direction, s.seen.Name, s.size, n))
			s.resize(n)
		}
		s.remember(t.bounds)
	})
}

func (t *turn) scaled(direction, name string, from, to int32) api.Note {
	return api.Normal(t.d, component, "ScalingReplicaSet",
		fmt.Sprintf("Scaled %s replica set %s from %d to %d", direction, name, from, to))
}

func total(sets []*set) (n int32) {
	for _, s := range sets {
		n += s.size
	}
	return n
}

func active(sets []*set) []*set {
	var out []*set
	for _, s := range sets {
		if s.size > 0 {
			out = append(out, s)
		}
	}
	return out
}

// clean marks the old sets beyond the history limit for deletion: empty ones
// whose controller has seen that they are.
func (t *turn) clean() {
	limit := t.d.Spec.RevisionHistoryLimit
	if limit == nil || *limit == math.MaxInt32 {
		return
	}
	var living []*set
	for _, s := range t.old {
		if s.seen.DeletionTimestamp == nil {
			living = append(living, s)
		}
	}
	slices.SortFunc(living, byRevision)
	for _, s := range living[:max(0, len(living)-int(*limit))] {
		st := &s.seen.Status
		if st.Replicas == 0 && s.size == 0 && s.draft == nil && s.seen.Generation <= st.ObservedGeneration {
			t.toDrop = append(t.toDrop, s)
		}
	}
}

// finish writes down what was decided.
func (t *turn) finish() {
	for _, s := range t.touched {
		if s.fresh {
			t.p.WriteNoted(api.Create(s.draft), s.notes...)
		} else {
			t.p.WriteNoted(api.Update(s.draft), s.notes...)
		}
	}
	for _, s := range t.toDrop {
		t.p.Write(api.Delete(kinds.RefOf(s.seen), s.seen.UID))
	}
	bumped := t.finishDeployment()
	if !sameStatus(&t.d.Status, &t.status) {
		c := *t.d
		c.Status = t.status
		w := api.UpdateStatus(&c)
		if bumped {
			w.RV, c.ResourceVersion = "", "" // our own write came between
		}
		t.p.Write(w)
	}
}

// finishDeployment writes the Deployment itself: its template after a rollback,
// or its revision. It says whether it wrote anything.
func (t *turn) finishDeployment() bool {
	if t.newTemplate != nil {
		if t.revision != "" {
			t.newTemplate.Annotations[revisionAnnotation] = t.revision
		}
		t.p.Write(api.Update(t.newTemplate))
		return true
	}
	if t.revision == "" || t.d.Annotations[revisionAnnotation] == t.revision {
		return false
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{revisionAnnotation: t.revision},
	}})
	if err != nil {
		panic("deployment: an annotation that is no JSON: " + err.Error())
	}
	w := api.Patch(kinds.RefOf(t.d), types.MergePatchType, body)
	w.UID = t.d.UID
	t.p.Write(w)
	return true
}

func refusalIsTransient(err error) bool {
	return errors.IsAlreadyExists(err) || errors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}
