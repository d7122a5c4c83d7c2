package play

import (
	"container/heap"
	"context"

	"sync"
	"time"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/live/client"
)

// lagMax is how long a write waits for those before it, which come by other watches.
// Longer, and they are taken for lost to a list that came after them.
const lagMax = 300 * time.Millisecond

// arrivalsMax bounds what has come and has not been looked at; watches wait beyond it.
const arrivalsMax = 4096

// arrival is a write as one of the watches told it.
type arrival struct {
	e  store.Event
	at time.Time
}

// mirror follows every kind and gives the writes back in the order in which they were
// made: versions are dense over all kinds, so a gap shows that one is still to come.
type mirror struct {
	arrivals chan arrival
	synced   chan struct{} // closed when every kind has been listed
	state    *store.Store

	waiting byVersion
	last    uint64 // version of the latest write that was handed on
}

// follow begins to mirror a cluster; it ends with ctx.
func follow(ctx context.Context, c *client.Client, problem func(error)) *mirror {
	m := &mirror{arrivals: make(chan arrival, arrivalsMax), synced: make(chan struct{}), state: store.New(0)}
	var lists sync.WaitGroup
	for n := 1; n < kinds.Count; n++ {
		k := kinds.Kind(n)
		lists.Add(1)
		first := sync.OnceFunc(lists.Done)
		go c.Follow(ctx, k, client.Selection{}, client.Sink{
			Event: func(e store.Event) {
				select {
				case m.arrivals <- arrival{e, time.Now()}:
				case <-ctx.Done():
				}
			},
			Synced: first,
			Failed: problem,
		})
	}
	go func() {
		lists.Wait()
		close(m.synced)
	}()
	return m
}

// take puts an arrival in its place.
func (m *mirror) take(a arrival) { heap.Push(&m.waiting, a) }

// next is the next write in order; ok is false when there is none yet, and then wait
// says when to ask again (0: when something has arrived).
func (m *mirror) next(now time.Time) (e store.Event, wait time.Duration, ok bool) {
	if len(m.waiting) == 0 {
		return e, 0, false
	}
	a := m.waiting[0]
	if late := now.Sub(a.at); a.e.RV > m.last+1 && late < lagMax {
		return e, lagMax - late, false
	}
	heap.Pop(&m.waiting)
	m.last = max(m.last, a.e.RV)
	return m.state.Mirror(a.e), 0, true
}

// byVersion is a heap of arrivals, those of one version by what they are of.
type byVersion []arrival

func (h byVersion) Len() int { return len(h) }
func (h byVersion) Less(i, j int) bool {
	if h[i].e.RV != h[j].e.RV {
		return h[i].e.RV < h[j].e.RV
	}
	return h[i].e.Ref.Compare(h[j].e.Ref) < 0
}
func (h byVersion) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *byVersion) Push(x any)   { *h = append(*h, x.(arrival)) }
func (h *byVersion) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
