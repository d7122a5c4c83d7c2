package check

import (
	"slices"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// watchers are the checks by what they read, so that a write finds those that it
// concerns without asking each. What an aggregate reads is not here: its tally
// knows its checks, and tells them only if its counts change.
type watchers struct {
	byKind    [kinds.Count][]*judged // any write to the kind
	bySize    [kinds.Count][]*judged // the number of its objects
	byRef     map[kinds.Ref][]*judged
	refs      [kinds.Count]bool // some check reads a single object of the kind
	byService map[kinds.Key][]*judged
}

func (w *watchers) add(c *judged) {
	if w.byRef == nil {
		w.byRef, w.byService = map[kinds.Ref][]*judged{}, map[kinds.Key][]*judged{}
	}
	uses := &c.fast.uses
	for k := range kinds.Count {
		if uses.all || uses.kinds[k] {
			w.byKind[k] = append(w.byKind[k], c)
		}
	}
	for _, k := range c.fast.sizes {
		w.bySize[k] = append(w.bySize[k], c)
	}
	for _, r := range uses.refs {
		w.refs[r.Kind] = true
		w.byRef[r] = append(w.byRef[r], c)
	}
	for _, s := range uses.services {
		w.byService[s] = append(w.byService[s], c)
	}
	for _, t := range c.fast.tallies {
		if !slices.Contains(t.by, c) {
			t.by = append(t.by, c)
		}
	}
}

// mark makes dirty the checks whose sources a write may have changed.
func (w *watchers) mark(e *store.Event) {
	k := e.Ref.Kind
	dirty(w.byKind[k])
	if e.Type != store.Modified {
		dirty(w.bySize[k])
	}
	if w.refs[k] {
		dirty(w.byRef[e.Ref])
	}
}

func (w *watchers) markService(s kinds.Key) { dirty(w.byService[s]) }

func dirty(list []*judged) {
	for _, c := range list {
		c.dirty = true
	}
}
