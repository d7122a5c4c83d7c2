package apiserver

import (
	"fmt"
	"sync"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// hub hands writes to watchers. The writes of a kind go into one ring that all its
// watchers read, each at its own place, so that Observe costs the same for one
// watcher as for a thousand.
type hub struct {
	feeds [kinds.Count]feed
}

// feed is the recent writes of one kind.
type feed struct {
	mu     sync.Mutex
	ring   []*seen // the event with number n is at n modulo the window
	first  uint64  // number of the oldest event that is kept
	next   uint64  // number of the next event
	wake   chan struct{}
	waited bool // someone waits for wake
	window int

	bytes, bytesMax int64 // of the objects of the events that are kept
}

// seen is one write as watchers see it, with what it has been encoded to.
type seen struct {
	store.Event
	encoded encodings
	bytes   int64
}

func (h *hub) init(window int, bytesMax int64) {
	for i := range h.feeds {
		h.feeds[i].wake = make(chan struct{})
		h.feeds[i].window = max(window, encodedKept+1)
		h.feeds[i].bytesMax = bytesMax
	}
}

// Observe hands a write to the watchers. The world calls it on its goroutine after
// every write, in the order of versions. It does not block.
func (s *Server) Observe(e store.Event) { s.hub.feeds[e.Ref.Kind].put(e) }

func (f *feed) put(e store.Event) {
	ev := &seen{Event: e, bytes: kinds.Size(e.Object)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next-f.first == uint64(f.window) {
		f.drop()
	}
	if len(f.ring) < f.window { // grows to its full size only for a kind that is written
		f.ring = append(f.ring, ev)
	} else {
		f.ring[f.next%uint64(f.window)] = ev
	}
	f.next++
	for f.bytes += ev.bytes; f.bytes > f.bytesMax && f.next-f.first > 1; {
		f.drop()
	}
	if f.next-f.first > encodedKept {
		f.ring[(f.next-1-encodedKept)%uint64(f.window)].encoded.drop()
	}
	if f.waited {
		close(f.wake)
		f.wake, f.waited = make(chan struct{}), false
	}
}

// drop forgets the oldest event.
func (f *feed) drop() {
	at := f.first % uint64(f.window)
	f.bytes -= f.ring[at].bytes
	f.ring[at] = nil
	f.first++
}

// encodedKept is for how many events of a kind the bytes are kept; a watcher further
// behind makes them again.
const encodedKept = 2048

// place is the number of the next event to come.
func (f *feed) place() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next
}

// errBehind closes a watcher that is slower than the writes.
var errBehind = fmt.Errorf("the watcher is more than the window of writes behind")

// batchMax is how many events a watcher takes at a time.
const batchMax = 256

// take copies the events from number n into buf, and says where to go on and what
// to wait for when there are no more.
func (f *feed) take(n uint64, buf []*seen) (got []*seen, next uint64, wake <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < f.first {
		return nil, n, nil, errBehind
	}
	for got = buf[:0]; n < f.next && len(got) < batchMax; n++ {
		got = append(got, f.ring[n%uint64(f.window)])
	}
	f.waited = f.waited || len(got) == 0
	return got, n, f.wake, nil
}
