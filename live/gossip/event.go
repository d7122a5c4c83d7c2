package gossip

import (
	"fmt"
	"net/netip"
	"sync"
)

// Kind is what happened.
type Kind string

const (
	Joined  Kind = "Joined"  // came, came back, or was started anew
	Failed  Kind = "Failed"  // does not answer and was declared dead
	Left    Kind = "Left"    // said farewell
	Clashed Kind = "Clashed" // two members have this name: Addr, which is believed, and Other
)

// Event is what happened to another member; a clash may be with this one.
type Event struct {
	Kind  Kind
	Node  string
	Addr  netip.AddrPort
	Other netip.AddrPort // of a clash
	Role  string
}

func (e Event) String() string {
	if e.Kind == Clashed {
		return fmt.Sprintf("two members are named %s, at %s and %s: stop one of them or give it another name", e.Node, e.Addr, e.Other)
	}
	return fmt.Sprintf("%s %s (%s, %s)", e.Kind, e.Node, e.Role, e.Addr)
}

// queue hands events on in the order in which their members first changed, and keeps
// only the last of each member, and the last clash.
type queue struct {
	out    chan Event
	report func(error)

	mu      sync.Mutex
	wake    chan struct{}
	done    chan struct{}
	ended   chan struct{}
	order   []slot
	pending map[slot]Event
	lost    int
}

type slot struct {
	node  string
	clash bool
}

func newQueue(report func(error)) *queue {
	q := &queue{
		out: make(chan Event), report: report, pending: map[slot]Event{},
		wake: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),
	}
	go q.pump()
	return q
}

func (q *queue) put(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := slot{e.Node, e.Kind == Clashed}
	if _, waits := q.pending[s]; !waits {
		if len(q.order) >= pendingMax {
			q.lost++
			q.report(fmt.Errorf("gossip: %d events wait, which is the limit; %d lost, the last: %s", pendingMax, q.lost, e))
			return
		}
		q.order = append(q.order, s)
	}
	q.pending[s] = e
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next is the oldest event, which stays until it is taken or replaced.
func (q *queue) next() (slot, Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return slot{}, Event{}, false
	}
	return q.order[0], q.pending[q.order[0]], true
}

func (q *queue) taken(s slot, e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.order = q.order[1:]
	if q.pending[s] != e {
		q.order = append(q.order, s) // it changed meanwhile
		return
	}
	delete(q.pending, s)
}

func (q *queue) pump() {
	defer close(q.ended)
	defer close(q.out)
	for {
		s, e, ok := q.next()
		if !ok {
			select {
			case <-q.done:
				return
			case <-q.wake:
			}
			continue
		}
		select {
		case <-q.done:
			return
		case <-q.wake: // perhaps it has changed
		case q.out <- e:
			q.taken(s, e)
		}
	}
}

func (q *queue) close() {
	close(q.done)
	<-q.ended
}
