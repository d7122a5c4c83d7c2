package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type collector struct{ got []uint64 }

func (c *collector) Handle(m Msg) { c.got = append(c.got, m.A) }

func TestEventsRunInOrderOfTimeThenSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, c := New(1), &collector{}
		id := e.Register("collector", c)
		type ev struct{ at, n int }
		var want []ev
		for n, at := range rapid.SliceOfN(rapid.IntRange(0, 20), 0, 200).Draw(t, "times") {
			e.At(Time(at), id, Msg{A: uint64(n)})
			want = append(want, ev{at, n})
		}
		slices.SortStableFunc(want, func(a, b ev) int { return a.at - b.at })
		e.Run(time.Second, nil)
		require.Len(t, c.got, len(want))
		for i, w := range want {
			require.Equal(t, uint64(w.n), c.got[i])
		}
		require.Equal(t, time.Second, e.Now())
	})
}

func TestCancelledEventIsNeitherHandledNorHashed(t *testing.T) {
	run := func(cancel bool) (*collector, uint64) {
		e, c := New(7), &collector{}
		id := e.Register("collector", c)
		e.At(1, id, Msg{A: 1})
		tm := e.At(3, id, Msg{A: 3})
		if cancel {
			require.True(t, e.Cancel(tm))
			require.False(t, e.Cancel(tm))
		}
		e.Run(2, nil)
		h := e.Hash()
		e.Run(5, nil)
		if cancel {
			require.Equal(t, h, e.Hash())
		}
		require.False(t, e.Cancel(tm), "an event that ran cannot be cancelled")
		return c, h
	}
	c1, h1 := run(true)
	c2, h2 := run(false)
	require.Equal(t, []uint64{1}, c1.got)
	require.Equal(t, []uint64{1, 3}, c2.got)
	require.Equal(t, h1, h2)
}

func TestStreamsAreIndependent(t *testing.T) {
	a, b := New(1), New(1)
	b.Stream("another purpose").Uint64()
	require.Equal(t, a.Stream("uids").Uint64(), b.Stream("uids").Uint64())
	require.NotEqual(t, a.Stream("uids").Uint64(), a.Stream("names").Uint64())
	require.NotEqual(t, New(2).Stream("uids").Uint64(), a.Stream("uids").Uint64())
}

func TestThePastIsRefused(t *testing.T) {
	e := New(1)
	id := e.Register("collector", &collector{})
	e.Run(10, nil)
	require.Panics(t, func() { e.At(9, id, Msg{}) })
}

// again keeps the number of pending events: every event schedules one more.
type again struct {
	e    *Engine
	id   ActorID
	rand *rand.Rand
	left int
}

func (a *again) Handle(Msg) {
	if a.left--; a.left > 0 {
		a.e.After(Time(a.rand.Uint64N(1_000_000)), a.id, Msg{})
	}
}

func benchmarkPushPop(b *testing.B, pending int) {
	e := New(1)
	a := &again{e: e, rand: e.Stream("bench")}
	a.id = e.Register("again", a)
	for range pending {
		e.At(Time(a.rand.Uint64N(1_000_000)), a.id, Msg{})
	}
	a.left = b.N
	b.ReportAllocs()
	b.ResetTimer()
	e.Run(1<<62, func() bool { return a.left <= 0 })
}

func BenchmarkPushPop100k(b *testing.B) { benchmarkPushPop(b, 100_000) }
func BenchmarkPushPop1M(b *testing.B)   { benchmarkPushPop(b, 1_000_000) }
