package store

import (
	"fmt"
	"slices"

	"seatrial.dev/seatrial/cluster/kinds"
)

// ListAt lists the objects of a kind as they were after the write of version rv,
// from the first key that is not before start, in the order of keys; namespace ""
// means all. It takes back, from the state of today, the writes that the log has
// since rv, and fails with ErrTooOld when the log does not reach that far.
func (s *Store) ListAt(k kinds.Kind, namespace string, start kinds.Key, rv uint64) ([]kinds.Object, error) {
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
	var list []kinds.Object
	for o := range s.ListAfter(k, namespace, start) {
		if _, written := was[kinds.KeyOf(o)]; !written {
			list = append(list, o)
		}
	}
	sorted := len(list)
	for _, o := range was { //det:ok sorted just below
		if o != nil {
			list = append(list, o)
		}
	}
	if len(list) > sorted {
		slices.SortFunc(list, func(a, b kinds.Object) int { return kinds.KeyOf(a).Compare(kinds.KeyOf(b)) })
	}
	return list, nil
}
