package store

import (
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/tidwall/btree"

	"seatrial.dev/seatrial/cluster/kinds"
)

// What can go wrong with a write or a watch. Callers compare with errors.Is.
var (
	ErrExists   = errors.New("object exists already")
	ErrNotFound = errors.New("object not found")
	ErrConflict = errors.New("object has been modified")
	ErrTooOld   = errors.New("resource version too old")
)

// Type says what a write did.
type Type uint8

// The three things a write can do to an object.
const (
	Added Type = iota + 1
	Modified
	Deleted
)

// String is Kubernetes' word for the event type in a watch.
func (t Type) String() string { return [...]string{"", "ADDED", "MODIFIED", "DELETED"}[t] }

// Event is one write, as watchers see it.
type Event struct {
	Type   Type
	Ref    kinds.Ref
	RV     uint64       // resourceVersion of this write
	Object kinds.Object // the new state; for Deleted the last state, stamped with RV
	Old    kinds.Object // the state before; nil for Added
}

// chunkLen is how many writes a piece of the log holds.
const chunkLen = 1024

// WindowDefault is how many writes the log keeps for watchers to resume from.
const WindowDefault = 1 << 18

// Store holds one cluster's objects in memory. It is not safe for concurrent use.
type Store struct {
	tables [kinds.Count]table
	rv     uint64
	log    [][]Event // chunks of chunkLen; log[0][0] has RV base
	base   uint64
	first  uint64 // the oldest write that is kept
	window int
}

// table holds the objects of one kind: by key for the many that ask for one, and in
// order for the few that walk.
type table struct {
	byKey   map[kinds.Key]*item
	ordered *btree.BTreeG[*item]
}

type item struct {
	key kinds.Key
	obj kinds.Object
	rv  uint64
}

func lessItem(a, b *item) bool { return a.key.Compare(b.key) < 0 }

// New returns an empty store whose log keeps at least window writes.
func New(window int) *Store {
	s := &Store{window: window, base: 1, first: 1}
	for i := range s.tables {
		s.tables[i] = table{map[kinds.Key]*item{}, btree.NewBTreeGOptions(lessItem, btree.Options{NoLocks: true})}
	}
	return s
}

// Restore fills an empty store with objects as they were written, each with its
// resourceVersion, and goes on after version rv. Watches resume from there.
func (s *Store) Restore(rv uint64, objects []kinds.Object) error {
	if s.rv != 0 {
		return fmt.Errorf("restore into a store at version %d: it must be empty", s.rv)
	}
	for _, o := range objects {
		ref := kinds.RefOf(o)
		at, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
		switch {
		case err != nil || at == 0 || at > rv:
			return fmt.Errorf("restore %s: its version %q is not from 1 to %d", ref, o.GetResourceVersion(), rv)
		case s.Get(ref) != nil:
			return fmt.Errorf("restore %s: %w", ref, ErrExists)
		}
		it := &item{ref.Key, o, at}
		s.tables[ref.Kind].byKey[ref.Key] = it
		s.tables[ref.Kind].ordered.Set(it)
	}
	s.rv, s.base, s.first = rv, rv+1, rv+1
	return nil
}

// Mirror repeats a write of another store in one that follows it and that nobody else
// writes to. Objects keep the other's versions; the writes are numbered by this store's
// own, without gaps, since some of the other's may be missing.
func (s *Store) Mirror(e Event) Event {
	t := &s.tables[e.Ref.Kind]
	it := t.byKey[e.Ref.Key]
	s.rv++
	e.RV, e.Old = s.rv, nil
	if it != nil {
		e.Old = it.obj
	}
	switch {
	case e.Type == Deleted && it != nil:
		delete(t.byKey, e.Ref.Key)
		t.ordered.Delete(it)
	case e.Type == Deleted:
	case it == nil:
		e.Type = Added
		it = &item{e.Ref.Key, e.Object, s.rv}
		t.byKey[e.Ref.Key] = it
		t.ordered.Set(it)
	default:
		e.Type = Modified
		it.obj, it.rv = e.Object, s.rv
	}
	return s.append(e)
}

// RV is the resourceVersion of the latest write, 0 for an empty store.
func (s *Store) RV() uint64 { return s.rv }

// Get returns an object, or nil.
func (s *Store) Get(ref kinds.Ref) kinds.Object {
	if it := s.tables[ref.Kind].byKey[ref.Key]; it != nil {
		return it.obj
	}
	return nil
}

// Len is the number of objects of a kind.
func (s *Store) Len(k kinds.Kind) int { return len(s.tables[k].byKey) }

// List walks the objects of a kind in the order of their keys; namespace ""
// means all. The store must not be written to during the walk.
func (s *Store) List(k kinds.Kind, namespace string) iter.Seq[kinds.Object] {
	return s.ListAfter(k, namespace, kinds.Key{Namespace: namespace})
}

// ListAfter is List from the first key that is not before start: how a list in
// pieces goes on.
func (s *Store) ListAfter(k kinds.Kind, namespace string, start kinds.Key) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		s.tables[k].ordered.Ascend(&item{key: start}, func(it *item) bool {
			if namespace != "" && it.key.Namespace != namespace {
				return false
			}
			return yield(it.obj)
		})
	}
}

// Create adds an object and stamps its resourceVersion.
func (s *Store) Create(o kinds.Object) (Event, error) {
	ref := kinds.RefOf(o)
	t := &s.tables[ref.Kind]
	if t.byKey[ref.Key] != nil {
		return Event{}, fmt.Errorf("create %s: %w", ref, ErrExists)
	}
	s.stamp(o)
	it := &item{ref.Key, o, s.rv}
	t.byKey[ref.Key] = it
	t.ordered.Set(it)
	return s.append(Event{Type: Added, Ref: ref, RV: s.rv, Object: o}), nil
}

// Update replaces an object. expect is the resourceVersion the writer read, 0
// when any will do.
func (s *Store) Update(o kinds.Object, expect uint64) (Event, error) {
	ref := kinds.RefOf(o)
	it, err := s.current(ref, expect)
	if err != nil {
		return Event{}, fmt.Errorf("update %s: %w", ref, err)
	}
	s.stamp(o)
	old := it.obj
	it.obj, it.rv = o, s.rv
	return s.append(Event{Type: Modified, Ref: ref, RV: s.rv, Object: o, Old: old}), nil
}

// Delete removes an object. last is the writer's own copy of its final state,
// which watchers get; nil keeps the stored state as it is.
func (s *Store) Delete(ref kinds.Ref, last kinds.Object, expect uint64) (Event, error) {
	old, err := s.current(ref, expect)
	if err != nil {
		return Event{}, fmt.Errorf("delete %s: %w", ref, err)
	}
	if last == nil {
		last = kinds.Clone(old.obj)
	}
	s.stamp(last)
	delete(s.tables[ref.Kind].byKey, ref.Key)
	s.tables[ref.Kind].ordered.Delete(old)
	return s.append(Event{Type: Deleted, Ref: ref, RV: s.rv, Object: last, Old: old.obj}), nil
}

func (s *Store) current(ref kinds.Ref, expect uint64) (*item, error) {
	it := s.tables[ref.Kind].byKey[ref.Key]
	switch {
	case it == nil:
		return nil, ErrNotFound
	case expect != 0 && expect != it.rv:
		return nil, fmt.Errorf("%w: at version %d, not %d", ErrConflict, it.rv, expect)
	}
	return it, nil
}

func (s *Store) stamp(o kinds.Object) {
	s.rv++
	o.SetResourceVersion(strconv.FormatUint(s.rv, 10))
}

func (s *Store) append(e Event) Event {
	n := len(s.log)
	if n == 0 || len(s.log[n-1]) == chunkLen {
		if (n-1)*chunkLen >= s.window { // the rest is a window without the oldest piece
			s.dropChunk()
			n--
		}
		s.log = append(s.log, make([]Event, 0, chunkLen))
		n++
	}
	s.log[n-1] = append(s.log[n-1], e)
	return e
}

func (s *Store) dropChunk() {
	s.log[0] = nil
	s.log = s.log[1:]
	s.base += chunkLen
	s.first = max(s.first, s.base)
}

// Forget drops the writes up to resourceVersion rv from the log: for whoever has less room
// than the window's writes take, since one may be a hundred bytes or a million.
func (s *Store) Forget(rv uint64) {
	for rv = min(rv, s.rv); s.first <= rv; s.first++ {
		i := s.first - s.base
		s.log[i/chunkLen][i%chunkLen] = Event{}
	}
	for len(s.log) > 1 && s.base+chunkLen <= s.first {
		s.dropChunk()
	}
}

// Since returns a copy of the writes after resourceVersion rv, oldest first. It
// fails with ErrTooOld when the log no longer reaches back that far.
func (s *Store) Since(rv uint64) ([]Event, error) {
	if rv+1 < s.first {
		return nil, fmt.Errorf("watch from %d, oldest kept is %d: %w", rv, s.first, ErrTooOld)
	}
	if rv >= s.rv {
		return nil, nil
	}
	out := make([]Event, 0, s.rv-rv)
	for i := rv + 1; i <= s.rv; i++ {
		out = append(out, s.at(i))
	}
	return out, nil
}

// SinceOf is Since of one kind's writes, of which it gives most at most: with more it
// fails with ErrTooOld. It costs no memory for the writes of other kinds.
func (s *Store) SinceOf(rv uint64, k kinds.Kind, most int) ([]Event, error) {
	if rv+1 < s.first {
		return nil, fmt.Errorf("watch from %d, oldest kept is %d: %w", rv, s.first, ErrTooOld)
	}
	var out []Event
	for i := rv + 1; i <= s.rv; i++ {
		if e := &s.log[(i-s.base)/chunkLen][(i-s.base)%chunkLen]; e.Ref.Kind == k {
			if len(out) == most {
				return nil, fmt.Errorf("watch from %d, more than %d writes since: %w", rv, most, ErrTooOld)
			}
			out = append(out, *e)
		}
	}
	return out, nil
}

func (s *Store) at(rv uint64) Event {
	i := rv - s.base
	return s.log[i/chunkLen][i%chunkLen]
}

// At returns the write with resourceVersion rv.
func (s *Store) At(rv uint64) (Event, error) {
	if rv < s.first || rv > s.rv {
		return Event{}, fmt.Errorf("version %d, kept are %d to %d: %w", rv, s.first, s.rv, ErrTooOld)
	}
	return s.at(rv), nil
}
