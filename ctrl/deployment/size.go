package deployment

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// bounds are a rollout's limits, resolved to numbers of pods.
type bounds struct {
	replicas    int32 // spec.replicas
	surge       int32 // pods above replicas
	unavailable int32 // pods that may be missing, at most replicas
}

func boundsOf(d *appsv1.Deployment) bounds {
	b := bounds{replicas: 1}
	if d.Spec.Replicas != nil {
		b.replicas = *d.Spec.Replicas
	}
	if !isRolling(d) {
		return b
	}
	var surge, unavailable *intstr.IntOrString
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		surge, unavailable = r.MaxSurge, r.MaxUnavailable
	}
	b.surge, b.unavailable = fenceposts(surge, unavailable, b.replicas)
	if b.replicas == 0 {
		b.unavailable = 0
	}
	b.unavailable = min(b.unavailable, b.replicas)
	return b
}

func isRolling(d *appsv1.Deployment) bool {
	return d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType || d.Spec.Strategy.Type == ""
}

// fenceposts resolves maxSurge (rounded up) and maxUnavailable (rounded down).
// Were both zero, nothing could move: then one pod may be unavailable.
func fenceposts(surge, unavailable *intstr.IntOrString, replicas int32) (int32, int32) {
	s, u := scaled(surge, replicas, true), scaled(unavailable, replicas, false)
	if s == 0 && u == 0 {
		u = 1
	}
	return s, u
}

// scaled resolves a number or a percentage of total. What is neither is 0: the
// API refuses it.
func scaled(v *intstr.IntOrString, total int32, roundUp bool) int32 {
	if v == nil {
		return 0
	}
	if v.Type == intstr.Int {
		return v.IntVal
	}
	text, ok := strings.CutSuffix(v.StrVal, "%")
	percent, err := strconv.ParseInt(text, 10, 32)
	if !ok || err != nil {
		return 0
	}
	n := percent * int64(total)
	if roundUp {
		n += 99
	}
	return int32(n / 100)
}

// limit is the largest number of pods allowed while rolling.
func (b bounds) limit() int32 { return b.replicas + b.surge }

// leastAvailable is the number of pods that must stay available while rolling.
func (b bounds) leastAvailable() int32 { return b.replicas - b.unavailable }

// newSize is the size that the new set may have now, when all sets together have
// total replicas and the new one has size of them (NewRSNewReplicas).
func (b bounds) newSize(rolling bool, total, size int32) int32 {
	if !rolling {
		return b.replicas
	}
	if total >= b.limit() {
		return size
	}
	return size + min(b.limit()-total, b.replicas-size)
}

// slot is a set's size and how much of it is available. A set's status lags
// behind its size: of a set that has just shrunk no more than its size counts as
// available (Kubernetes gives up the turn with an error instead).
type slot struct {
	size, available int32
}

func slotOf(s *set) slot {
	return slot{s.size, min(s.size, s.seen.Status.AvailableReplicas)}
}

// shrinkOld says how large each old set may be now: first the replicas that are
// not available anyway are taken away, then as many available ones as the least
// availability allows. old is in the order in which sets shrink.
func (b bounds) shrinkOld(old []slot, new slot) []int32 {
	sizes := make([]int32, len(old))
	total, available := new.size, new.available
	for i, s := range old {
		sizes[i] = s.size
		total += s.size
		available += s.available
	}
	room := total - b.leastAvailable() - (new.size - new.available)
	if total == new.size || room <= 0 {
		return sizes
	}
	for i, s := range old {
		if room <= 0 {
			break
		}
		cut := min(room, sizes[i]-s.available)
		sizes[i] -= cut
		room -= cut
	}
	spare := available - b.leastAvailable()
	for i := range old {
		if spare <= 0 {
			break
		}
		cut := min(sizes[i], spare)
		sizes[i] -= cut
		spare -= cut
	}
	return sizes
}

// share is one set in proportional scaling.
type share struct {
	size int32
	max  int32 // the largest number of pods of the rollout when the set got its size; 0 is unknown
}

// proportional spreads the change from the present total to the limit over the
// active sets by their part of it (proportional scaling). sets are in the order
// in which they are served: the largest first; what rounding leaves over goes to
// the first. statusReplicas stands in for an unknown max.
func (b bounds) proportional(sets []share, statusReplicas int32) []int32 {
	var total, allowed int32
	for _, s := range sets {
		total += s.size
	}
	if b.replicas > 0 {
		allowed = b.limit()
	}
	sizes := make([]int32, len(sets))
	change, given := allowed-total, int32(0)
	for i, s := range sets {
		part := b.part(s, change, given, statusReplicas)
		sizes[i] = s.size + part
		given += part
	}
	if len(sets) > 0 && change != 0 {
		sizes[0] = max(0, sizes[0]+change-given)
	}
	return sizes
}

func (b bounds) part(s share, change, given, statusReplicas int32) int32 {
	if s.size == 0 || change == 0 || change == given {
		return 0
	}
	fraction := b.fraction(s, statusReplicas)
	if change > 0 {
		return min(fraction, change-given)
	}
	return max(fraction, change-given)
}

// fraction is by how much a set would change if it kept its part of the whole,
// rounded to the nearest.
func (b bounds) fraction(s share, statusReplicas int32) int32 {
	if b.replicas == 0 {
		return -s.size
	}
	whole := int64(s.max)
	if whole == 0 {
		whole = int64(statusReplicas)
	}
	if whole == 0 {
		return 0
	}
	return int32((2*int64(s.size)*int64(b.limit())+whole)/(2*whole)) - s.size
}
