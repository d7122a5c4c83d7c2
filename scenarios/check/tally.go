package check

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// mark is what one object contributes to a tally.
type mark uint8

const (
	absent   mark = iota // there is no such object, or a filter kept it out
	yes                  // the last predicate holds
	no                   // it does not
	softFail             // the last predicate failed: all and exists may still be decided by others
	hardFail             // a filter before it failed, and with it the whole
	marksEnd
)

// tally counts the objects of a kind by a chain of predicates: all but the last
// are filters. It is kept up only while a check that is open and undecided needs
// it. Equal tallies of several checks are one.
type tally struct {
	number int
	kind   kinds.Kind
	key    string
	preds  []binding // one a predicate, with its variable
	progs  []*expression
	count  [marksEnd]int
	marks  []mark // by slot of the tracker
	users  int    // open checks
	by     []*judged
}

// tallyOf finds or makes the tally of a chain of predicates.
func (s *scope) tallyOf(k kinds.Kind, preds []predicate) (*tally, bool) {
	parts := []string{k.String()}
	for _, p := range preds {
		parts = append(parts, p.name, p.text)
	}
	key := strings.Join(parts, "\x00")
	for _, t := range s.tallies {
		if t.key == key {
			return t, true
		}
	}
	t := &tally{number: len(s.tallies), kind: k, key: key}
	for _, p := range preds {
		e, errs := s.lang.compileWith(p.name, s.lang.x.object(k).cel, p.text)
		if errs != nil {
			return nil, false
		}
		t.progs = append(t.progs, e)
		t.preds = append(t.preds, binding{scope: s, name: p.name})
	}
	s.tallies = append(s.tallies, t)
	return t, true
}

// judge evaluates the predicates on one object.
func (t *tally) judge(o kinds.Object) mark {
	if o == nil {
		return absent
	}
	last := len(t.progs) - 1
	for i, p := range t.progs {
		b := &t.preds[i]
		b.value = o
		v, _, err := p.prog.Eval(b)
		holds, isBool := v.(types.Bool)
		switch {
		case (err != nil || !isBool) && i < last:
			return hardFail
		case err != nil || !isBool:
			return softFail
		case !bool(holds) && i < last:
			return absent
		case !bool(holds):
			return no
		}
	}
	return yes
}

// set notes what the object of a slot contributes now.
func (t *tally) set(slot int32, m mark) {
	if int(slot) >= len(t.marks) {
		t.marks = append(t.marks, make([]mark, int(slot)+1-len(t.marks))...)
	}
	was := t.marks[slot]
	if was == m {
		return
	}
	t.marks[slot] = m
	t.count[was]--
	t.count[m]++
	for _, c := range t.by {
		c.dirty = true
	}
}

// errAggregate stands for the error of a predicate; what it was is found out when
// it is shown.
var errAggregate = types.NewErr("a predicate failed")

// value is the answer to a question by the rules of CEL: all and exists swallow
// the errors of their own predicate where another object decides, and nothing
// swallows those of a filter.
func (t *tally) value(q question) ref.Val {
	hard, soft := t.count[hardFail] > 0, t.count[softFail] > 0
	switch {
	case hard:
	case q == whole && t.count[no] > 0:
		return types.False
	case q == whether && t.count[yes] > 0:
		return types.True
	case soft:
	case q == howMany:
		return types.Int(t.count[yes])
	case q == justOne:
		return types.Bool(t.count[yes] == 1)
	default:
		return types.Bool(q == whole)
	}
	return errAggregate
}

// tracker gives the objects of one kind small numbers, so that tallies keep one
// byte an object, and gathers the changes of an instant.
type tracker struct {
	live    []*tally // in the order in which they were opened
	slots   map[kinds.Key]int32
	free    []int32
	pending []change
	place   []int32 // by slot: one more than its index in pending, 0 if not there
}

type change struct {
	slot   int32
	key    kinds.Key
	object kinds.Object // nil if it is gone
}

func (t *tracker) slot(k kinds.Key) int32 {
	if n, ok := t.slots[k]; ok {
		return n
	}
	var n int32
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
	} else {
		n = int32(len(t.place))
		t.place = append(t.place, 0)
	}
	t.slots[k] = n
	return n
}

// observe notes a write. Several to one object in an instant count once.
func (t *tracker) observe(e *store.Event) {
	if len(t.live) == 0 {
		return
	}
	n := t.slot(e.Ref.Key)
	if t.place[n] == 0 {
		t.pending = append(t.pending, change{slot: n, key: e.Ref.Key})
		t.place[n] = int32(len(t.pending))
	}
	c := &t.pending[t.place[n]-1]
	if c.object = e.Object; e.Type == store.Deleted {
		c.object = nil
	}
}

// flush brings the tallies up to date.
func (t *tracker) flush() {
	for i := range t.pending {
		c := &t.pending[i]
		for _, l := range t.live {
			l.set(c.slot, l.judge(c.object))
		}
		t.place[c.slot] = 0
		if c.object == nil {
			delete(t.slots, c.key)
			t.free = append(t.free, c.slot)
		}
		*c = change{}
	}
	t.pending = t.pending[:0]
}

// open counts afresh over the store, unless another check has the tally open.
func (t *tracker) open(l *tally, s *store.Store) {
	if l.users++; l.users > 1 {
		return
	}
	if t.slots == nil {
		t.slots = make(map[kinds.Key]int32, s.Len(l.kind))
	}
	for o := range s.List(l.kind, "") {
		l.set(t.slot(kinds.KeyOf(o)), l.judge(o))
	}
	t.live = append(t.live, l)
}

// close lets go of a tally.
func (t *tracker) close(l *tally) {
	if l.users--; l.users > 0 {
		return
	}
	l.marks, l.count = nil, [marksEnd]int{}
	t.live = slices.DeleteFunc(t.live, func(m *tally) bool { return m == l })
	if len(t.live) == 0 {
		*t = tracker{}
	}
}
