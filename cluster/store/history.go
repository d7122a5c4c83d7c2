package store

import (
	"fmt"
	"iter"
	"slices"

	"seatrial.dev/seatrial/cluster/kinds"
)

// ListAt walks the objects of a kind as they were after the write of version rv,
// from the first key that is not before start, in the order of keys; namespace ""
// means all. It takes back, from the state of today, the writes that the log has
// since rv, and fails with ErrTooOld when the log does not reach that far. The store
// must not be written to during the walk.
func (s *Store) ListAt(k kinds.Kind, namespace string, start kinds.Key, rv uint64) (iter.Seq[kinds.Object], error) {
	if rv+1 < s.first || rv > s.rv {
		return nil, fmt.Errorf("list at %d, kept are %d to %d: %w", rv, s.first, s.rv, ErrTooOld)
	}
	was := map[kinds.Key]kinds.Object{} // of what has been written since; nil: there was none
	for i := s.rv; i > rv; i-- {
		e := s.at(i)
		if e.Ref.Kind == k && (namespace == "" || e.Ref.Namespace == namespace) && e.Ref.Key.Compare(start) >= 0 {
			was[e.Ref.Key] = e.Old
		}
	}
	var old []kinds.Object
	for _, o := range was { //det:ok sorted just below
		if o != nil {
			old = append(old, o)
		}
	}
	slices.SortFunc(old, func(a, b kinds.Object) int { return kinds.KeyOf(a).Compare(kinds.KeyOf(b)) })
	return merged(s.ListAfter(k, namespace, start), old, was), nil
}

// merged walks what is there today but has not been written since, and the old
// states of what has, in the order of keys.
func merged(today iter.Seq[kinds.Object], old []kinds.Object, was map[kinds.Key]kinds.Object) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		left := old
		for o := range today {
			key := kinds.KeyOf(o)
			for len(left) > 0 && kinds.KeyOf(left[0]).Compare(key) < 0 {
				if !yield(left[0]) {
					return
				}
				left = left[1:]
			}
			if _, written := was[key]; !written && !yield(o) {
				return
			}
		}
		for _, o := range left {
			if !yield(o) {
				return
			}
		}
	}
}
