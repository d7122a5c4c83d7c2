package nodeagent

import "time"

// timer is the next deadline of one pod, or of the node (pod nil).
type timer struct {
	at  time.Time
	seq uint64 // order of arrival: breaks ties
	pos int    // index in the heap plus one; 0 is not in it
	pod *pod
}

func (t *timer) before(o *timer) bool {
	if !t.at.Equal(o.at) {
		return t.at.Before(o.at)
	}
	return t.seq < o.seq
}

// alarms is a binary heap of timers, the earliest first.
type alarms []*timer

// set moves a timer to a time; the zero time takes it out.
func (h *alarms) set(t *timer, at time.Time) {
	switch {
	case t.pos == 0 && at.IsZero():
	case t.pos == 0:
		t.at = at
		*h = append(*h, t)
		t.pos = len(*h)
		h.up(t.pos - 1)
	case at.IsZero():
		h.remove(t)
	case !at.Equal(t.at):
		t.at = at
		h.up(t.pos - 1)
		h.down(t.pos - 1)
	}
}

func (h *alarms) remove(t *timer) {
	i, last := t.pos-1, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	t.pos, t.at = 0, time.Time{}
	if i < last {
		h.up(i)
		h.down(i)
	}
}

func (h alarms) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (h alarms) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h alarms) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(h[i]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

// soonest finds the earliest of several times that are still to come.
type soonest struct {
	now time.Time
	at  time.Time // zero is none yet
}

func (s *soonest) add(t time.Time) {
	if t.After(s.now) && (s.at.IsZero() || t.Before(s.at)) {
		s.at = t
	}
}
