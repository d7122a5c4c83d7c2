package deployment

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"seatrial.dev/seatrial/cluster/api"
)

// The annotations by which a Deployment and its sets remember a rollout. Their
// names are Kubernetes'.
const (
	revisionAnnotation        = "deployment.kubernetes.io/revision"
	revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	maxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
	rollbackToAnnotation      = appsv1.DeprecatedRollbackTo
)

// historyCharsMax bounds the revision-history annotation.
const historyCharsMax = 2000

// set is one ReplicaSet during a turn: as the view has it, and as it will be.
type set struct {
	seen  *appsv1.ReplicaSet // read only; of a set about to be created, what will be created
	fresh bool               // about to be created
	size  int32              // spec.replicas, as decided so far
	draft *appsv1.ReplicaSet // the writer's copy; nil while nothing changes
	notes []api.Note
}

func newSet(rs *appsv1.ReplicaSet) *set { return &set{seen: rs, size: sizeOf(rs)} }

func sizeOf(rs *appsv1.ReplicaSet) int32 {
	if rs.Spec.Replicas == nil {
		return 1
	}
	return *rs.Spec.Replicas
}

// edit returns the writer's copy, made at the first change. It shares the
// template, which nobody changes.
func (s *set) edit() *appsv1.ReplicaSet {
	if s.draft == nil {
		c := *s.seen
		c.Annotations = maps.Clone(c.Annotations)
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		s.draft = &c
	}
	return s.draft
}

// now is the set with what has been decided so far.
func (s *set) now() *appsv1.ReplicaSet {
	if s.draft != nil {
		return s.draft
	}
	return s.seen
}

func (s *set) resize(n int32) {
	s.size = n
	s.edit().Spec.Replicas = &n
}

func (s *set) setAnnotation(name, value string) bool {
	if have, ok := s.now().Annotations[name]; ok && have == value {
		return false
	}
	s.edit().Annotations[name] = value
	return true
}

// remember notes on the set for which size of the Deployment it was sized.
func (s *set) remember(b bounds) {
	s.setAnnotation(desiredReplicasAnnotation, strconv.Itoa(int(b.replicas)))
	s.setAnnotation(maxReplicasAnnotation, strconv.Itoa(int(b.limit())))
}

// number reads a whole number from an annotation.
func (s *set) number(name string) (int32, bool) {
	n, err := strconv.ParseInt(s.now().Annotations[name], 10, 32)
	return int32(n), err == nil
}

// revision is the set's revision; ok is false for a value that is no number. A
// set without one has revision 0.
func revision(annotations map[string]string) (n int64, ok bool) {
	text, has := annotations[revisionAnnotation]
	if !has {
		return 0, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func maxRevision(sets []*set) (most int64) {
	for _, s := range sets {
		if n, ok := revision(s.seen.Annotations); ok {
			most = max(most, n)
		}
	}
	return most
}

// lastRevision is the one before the latest, 0 if there is none.
func lastRevision(sets []*set) int64 {
	var most, second int64
	for _, s := range sets {
		switch n, ok := revision(s.now().Annotations); {
		case !ok:
		case n >= most:
			most, second = n, most
		case n > second:
			second = n
		}
	}
	return second
}

// ownAnnotation says whether an annotation belongs to a Deployment or a set
// itself and is not handed from the one to the other.
func ownAnnotation(name string) bool {
	switch name {
	case corev1.LastAppliedConfigAnnotation, revisionAnnotation, revisionHistoryAnnotation,
		desiredReplicasAnnotation, maxReplicasAnnotation, rollbackToAnnotation:
		return true
	}
	return false
}

// takeRevision copies the Deployment's annotations to its new set and gives it
// the newest revision. A set that had an older one (a rollback to it) keeps that
// in its history.
func (s *set) takeRevision(d *appsv1.Deployment, newest int64) {
	for name, value := range d.Annotations { //det:ok each name is set on its own
		if !ownAnnotation(name) {
			s.setAnnotation(name, value)
		}
	}
	text, had := s.now().Annotations[revisionAnnotation]
	old, ok := revision(s.now().Annotations)
	if !ok && text != "" {
		return // somebody wrote nonsense there: leave it, as Kubernetes does
	}
	if old >= newest {
		return
	}
	s.setAnnotation(revisionAnnotation, strconv.FormatInt(newest, 10))
	if had {
		s.addHistory(text)
	}
}

func (s *set) addHistory(old string) {
	history := s.now().Annotations[revisionHistoryAnnotation]
	if history == "" {
		s.setAnnotation(revisionHistoryAnnotation, old)
		return
	}
	all := strings.Split(history, ",")
	length := len(history) + len(old) + 1
	for length > historyCharsMax && len(all) > 0 {
		length -= len(all[0]) + 1
		all = all[1:]
	}
	if length <= historyCharsMax {
		s.setAnnotation(revisionHistoryAnnotation, strings.Join(append(slices.Clone(all), old), ","))
	}
}

// sameTemplate compares templates but for the hash label that sets add.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	x, y := *a, *b
	x.Labels, y.Labels = withoutHash(x.Labels), withoutHash(y.Labels)
	return equality.Semantic.DeepEqual(&x, &y)
}

func withoutHash(labels map[string]string) map[string]string {
	if _, ok := labels[appsv1.DefaultDeploymentUniqueLabelKey]; !ok {
		return labels
	}
	labels = maps.Clone(labels)
	delete(labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return labels
}

// The orders in which sets are walked; all end in the name.
func byAge(a, b *set) int {
	x, y := &a.seen.ObjectMeta, &b.seen.ObjectMeta
	return cmp.Or(x.CreationTimestamp.Time.Compare(y.CreationTimestamp.Time), strings.Compare(x.Name, y.Name))
}

func bySizeOlder(a, b *set) int { return cmp.Or(cmp.Compare(b.size, a.size), byAge(a, b)) }

func bySizeNewer(a, b *set) int { return cmp.Or(cmp.Compare(b.size, a.size), byAge(b, a)) }

func byRevision(a, b *set) int {
	x, _ := revision(a.seen.Annotations)
	y, _ := revision(b.seen.Annotations)
	return cmp.Or(cmp.Compare(x, y), byAge(a, b))
}
