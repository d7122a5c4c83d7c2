package netsim

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func three() (n *Net, a, b, c Party) {
	n = New(DefaultLatency(), rand.New(rand.NewPCG(1, 1)))
	return n, n.Join("a", "z1"), n.Join("b", "z1"), n.Join("c", "z2")
}

func TestLatencyByDistance(t *testing.T) {
	n, a, b, c := three()
	l := DefaultLatency()
	require.Equal(t, l.SameHost, n.Latency(a, a))
	require.Equal(t, l.SameZone, n.Latency(a, b))
	require.Equal(t, l.CrossZone, n.Latency(c, a))
}

func TestDelayIsLatencyAndBoundedJitter(t *testing.T) {
	n, a, _, c := three()
	least := n.Latency(a, c)
	seen := map[bool]bool{}
	for range 1000 {
		d := n.Delay(a, c)
		require.GreaterOrEqual(t, d, least)
		require.LessOrEqual(t, d, least+least/5)
		seen[d > least+least/10] = true
	}
	require.Len(t, seen, 2, "short and long delays both occur")
}

func TestIsolateAndRejoin(t *testing.T) {
	n, a, b, c := three()
	n.Isolate(a)
	require.False(t, n.Up(a, b))
	require.False(t, n.Up(c, a))
	require.True(t, n.Up(a, a), "a host reaches itself")
	require.True(t, n.Connected(b, c))
	n.Rejoin(a)
	require.True(t, n.Connected(a, b))
}

func TestOneWayCut(t *testing.T) {
	n, a, b, c := three()
	n.Cut([]Party{b, a}, []Party{c}, true)
	require.False(t, n.Up(a, c))
	require.True(t, n.Up(c, a))
	require.False(t, n.Connected(a, c), "a connection needs both ways")
	n.Heal([]Party{a, b}, []Party{c}, true)
	require.True(t, n.Connected(a, c))
}

func TestHealTakesBackOnlyWhatWasCutBetweenTheTwo(t *testing.T) {
	n, a, b, c := three()
	n.Cut([]Party{a}, []Party{b}, false)
	n.Cut([]Party{a}, []Party{c}, false)
	n.Heal([]Party{b}, []Party{a}, false)
	require.True(t, n.Connected(a, b))
	require.False(t, n.Connected(a, c))
}
